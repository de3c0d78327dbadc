# SPDX-License-Identifier: GPL-3.0-or-later
import re
from typing import Any

import pytest

from tools.scenario_run.payloads import ExpectedPayload, Payload, shown


def fits(expected: ExpectedPayload, actual: bytes) -> bool:
    return expected.fits_payload(actual, len(actual))


def test_what_is_sent() -> None:
    assert Payload().data == b""
    assert Payload(payload=b"a").data == b"a"
    assert Payload(payload_base64=b"\0").data == b"\0"
    assert Payload(payload_json=None).data == b"null"
    assert Payload(payload_json={"ü": [1]}).data == '{"ü": [1]}'.encode()


def test_nothing_said_is_any_payload() -> None:
    assert fits(ExpectedPayload(), b"anything")


def test_bytes_must_be_equal() -> None:
    assert fits(ExpectedPayload(payload=b"a"), b"a")
    assert not fits(ExpectedPayload(payload=b"a"), b"ab")
    assert fits(ExpectedPayload(payload=b""), b"")
    assert not fits(ExpectedPayload(payload=b""), b"a")
    assert fits(ExpectedPayload(payload_base64=b"\0\xff"), b"\0\xff")


def test_the_beginning_of_a_payload_is_not_the_payload() -> None:
    assert not ExpectedPayload(payload=b"a").fits_payload(b"a", 2)
    assert not ExpectedPayload(payload_json=1).fits_payload(b"1", 2)


def test_a_pattern_is_looked_for_anywhere() -> None:
    expected = ExpectedPayload(payload_matches=re.compile("b$"))
    assert fits(expected, b"ab")
    assert fits(expected, b"\xff b")
    assert not fits(expected, b"bc")


@pytest.mark.parametrize(
    ("expected", "actual", "equal"),
    [
        ({"a": 1, "b": [2]}, b'{ "b": [2],"a":1}', True),
        ({"a": 1}, b'{"a": 1, "b": 2}', False),
        ([1, 2], b"[2, 1]", False),
        ([1], b"[1, 1]", False),
        (1, b"1.0", True),
        (True, b"1", False),
        ([False], b"[0]", False),
        ({"a": True}, b'{"a": 1}', False),
        (None, b"null", True),
        (None, b"0", False),
        ("1", b"1", False),
        ({}, b"", False),
        ({}, b"{", False),
        ({}, b"\xff", False),
        ([], b"[" * 100000, False),
    ],
)
def test_json(expected: Any, actual: bytes, equal: bool) -> None:
    assert fits(ExpectedPayload(payload_json=expected), actual) == equal


def test_a_report_shows_the_beginning() -> None:
    assert shown(b"a\n\xff") == "'a\\n\\\\xff'"
    assert len(shown(b"a" * 100000)) < 250
    assert shown(b"a" * 100000).endswith("... (100000 bytes)")
