# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tools.compat_run.results import Result, table, upstream_version


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("6.0.1-1+deb13u1", "6.0.1"),
        ("7.7.1+ds-8+b1", "7.7.1"),
        ("2:1.24~2", "1.24"),
    ],
)
def test_upstream_version(version: str, expected: str) -> None:
    assert upstream_version(version) == expected


def test_the_last_count_is_taken() -> None:
    result = Result("sid", is_set_up=True, is_built=True)
    result.count_tests("FAILED a\n\n12 passed, 1 failed\n")
    assert (result.passed, result.failed) == (12, 1)
    assert not result.is_good
    result.count_tests("1 passed, 1 failed\n13 passed, 0 failed\n")
    assert result.is_good


def test_without_a_count_nothing_is_good() -> None:
    result = Result("sid", is_set_up=True, is_built=True)
    result.count_tests("Killed\n")
    assert not result.is_good


def test_table() -> None:
    versions = {"kamailio": "6.0.1-1", "bazel-bootstrap": "4.2.3+ds-11"}
    results = [
        Result("trixie", versions, True, True, 12, 0),
        Result("sid"),
    ]
    assert table(results) == """\
| Debian | Kamailio | libmosquitto | gRPC | Bazel | setup | build | passed | failed |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| trixie | 6.0.1 | ? | ? | 4.2.3 | ok | ok | 12 | 0 |
| sid | ? | ? | ? | ? | failed | failed | 0 | 0 |
"""
