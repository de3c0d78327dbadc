# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a page of the documentation in the package."""

from __future__ import annotations

import pytest

from tools.package_run.markdown import packaged_page

_PLACES = {
    "README.md": "doc/README.md",
    "docs/guide.md": "doc/docs/guide.md",
    "docs/rules.yml": "doc/docs/rules.yml",
    "testdata/a/kamailio.cfg": "doc/examples/a/kamailio.cfg",
}


def _packaged(text: str) -> str:
    return packaged_page(
        text,
        source="docs/page.md",
        target="doc/docs/page.md",
        place=_PLACES.get,
        built="/built",
        packaged="/packaged",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](guide.md)", "[x](guide.md)"),
        ("[x](guide.md#y)", "[x](guide.md#y)"),
        ("[x](#y)", "[x](#y)"),
        ("[x](../README.md)", "[x](../README.md)"),
        (
            "[x](../testdata/a/kamailio.cfg)",
            "[x](../examples/a/kamailio.cfg)",
        ),
        ("[`a[b]`\nc](guide.md)", "[`a[b]`\nc](guide.md)"),
        ("![x](../README.md)", "![x](../README.md)"),
        ("[x](https://example.org/y)", "[x](https://example.org/y)"),
        ("[`x`](../tools/x)", "`x` (in the sources)"),
    ],
)
def test_links(text: str, expected: str) -> None:
    assert _packaged(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`testdata/a/kamailio.cfg`,", "`/doc/examples/a/kamailio.cfg`,"),
        ("f=docs/rules.yml \\", "f=/doc/docs/rules.yml \\"),
        ('"$PWD/docs/rules.yml"', '"/doc/docs/rules.yml"'),
        ("testdata/b/kamailio.cfg", "testdata/b/kamailio.cfg"),
        ("/home/me/docs/rules.yml", "/home/me/docs/rules.yml"),
        ("[docs/rules.yml](rules.yml)", "[docs/rules.yml](rules.yml)"),
    ],
)
def test_paths(text: str, expected: str) -> None:
    assert _packaged(text) == expected


def test_the_module_of_the_package_is_named_but_in_commands() -> None:
    command = "```sh\ncp mqtt.so /built/mqtt.so\n```"
    text = '```cfg\nloadmodule "/built/mqtt.so"\n```\n'
    assert _packaged(f"{text}{command}\n/built\n") == (
        f"{text.replace('/built', '/packaged')}{command}\n/packaged\n"
    )
