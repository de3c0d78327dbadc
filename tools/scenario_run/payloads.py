# SPDX-License-Identifier: GPL-3.0-or-later
"""Payloads in a scenario file: what is sent, and what is expected."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tools.scenario_run import values
from tools.scenario_run.errors import ValueRefused
from tools.scenario_run.schema import key

_ABSENT = object()
_LONGEST_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The payload of a message to send: one of these keys, or none for an
    empty one."""

    payload: bytes | None = key(values.payload, None)
    payload_base64: bytes | None = key(values.base64_payload, None)
    payload_json: Any = key(values.anything, _ABSENT)

    def check(self, path: str) -> None:
        if sum(self._given()) > 1:
            raise ValueRefused(path, None, "more than one payload is given")

    @property
    def data(self) -> bytes:
        if self.payload_json is not _ABSENT:
            return json.dumps(self.payload_json, ensure_ascii=False).encode()
        return self.payload or self.payload_base64 or b""

    def _given(self) -> list[bool]:
        return [
            self.payload is not None,
            self.payload_base64 is not None,
            self.payload_json is not _ABSENT,
        ]


@dataclass(frozen=True, kw_only=True)
class ExpectedPayload(Payload):
    """What a payload must be: one of these keys, or none for any."""

    payload_matches: re.Pattern[str] | None = key(values.pattern, None)

    def check(self, path: str) -> None:
        super().check(path)
        if len(self.data) > values.LONGEST_SHOWN_PAYLOAD:
            raise ValueRefused(
                path,
                None,
                "the expected payload must have at most "
                f"{values.LONGEST_SHOWN_PAYLOAD} bytes",
            )

    def fits_payload(self, actual: bytes, size: int) -> bool:
        """`actual` may be but the beginning of a payload of `size` bytes."""
        if self.payload_matches is not None:
            text = actual.decode(errors="replace")
            return self.payload_matches.search(text) is not None
        if not any(self._given()):
            return True
        if size != len(actual):
            return False
        if self.payload_json is not _ABSENT:
            return _holds_json(actual, self.payload_json)
        return actual == self.data

    def payload_text(self) -> list[str]:
        """The expectation in words; empty where there is none."""
        if self.payload_matches is not None:
            return [f"payload that matches {self.payload_matches.pattern}"]
        if not any(self._given()):
            return []
        return [f"payload {shown(self.data)}"]

    def _given(self) -> list[bool]:
        return [*super()._given(), self.payload_matches is not None]


def shown(payload: bytes) -> str:
    """A payload in a report."""
    text = repr(payload.decode(errors="backslashreplace"))
    if len(text) > _LONGEST_SHOWN:
        return f"{text[:_LONGEST_SHOWN]}... ({len(payload)} bytes)"
    return text


def _holds_json(actual: bytes, expected: Any) -> bool:
    try:
        return _equal(json.loads(actual), expected)
    except (ValueError, RecursionError):
        return False


def _equal(left: Any, right: Any) -> bool:
    """Equality in JSON: unlike in Python, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _equal(value, right[name]) for name, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)
