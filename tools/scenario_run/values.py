# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers of single values of a scenario file.

Each takes a value as YAML has it, and its path, and returns what a step works
with, or raises ValueRefused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from tools.scenario_run.errors import ValueRefused, below

# What an event of the control API shows of a payload, in bytes.
LONGEST_SHOWN_PAYLOAD = 65536

_LONGEST_TOPIC = 65535  # Bytes, MQTT 3.1.1 section 1.5.3.
_LONGEST_PATTERN = 1000  # Characters.
_LONGEST_DURATION = 600.0  # Seconds.

_DURATION = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SIP_URI = re.compile(r"sips?:[^\s<>\"]{1,1000}")
# Those that the SIP client needs for itself, or that have keys of their own.
_OWN_HEADERS = frozenset(
    ("via", "v", "from", "f", "to", "t", "call-id", "i", "cseq")
    + ("content-length", "l", "max-forwards", "contact", "m")
)

Reader = Callable[[Any, str], Any]


def text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ValueRefused(path, value, "must be a string; put it in quotes")
    return value


def line(value: Any, path: str) -> str:
    content = text(value, path)
    if not content or not content.isprintable():
        raise ValueRefused(path, value, "must be one line of text")
    return content


def boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise ValueRefused(path, value, "must be true or false")
    return value


def integer(lowest: int, highest: int) -> Reader:
    def read(value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueRefused(path, value, "must be an integer")
        if not lowest <= value <= highest:
            raise ValueRefused(
                path, value, f"must be from {lowest} to {highest}"
            )
        return value

    return read


def qos(value: Any, path: str) -> int:
    if isinstance(value, bool) or value not in (0, 1, 2):
        raise ValueRefused(path, value, "must be 0, 1 or 2")
    return int(value)


def one_of(*names: str) -> Reader:
    def read(value: Any, path: str) -> str:
        if value not in names:
            raise ValueRefused(
                path, value, "must be one of: " + ", ".join(names)
            )
        return str(value)

    return read


def duration(value: Any, path: str) -> float:
    """Seconds."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueRefused(
            path, value, "must be a number with a unit: 500ms, 2s or 1m"
        )
    seconds = float(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= _LONGEST_DURATION:
        raise ValueRefused(path, value, "must be above 0 and up to 10m")
    return seconds


def topic_name(value: Any, path: str) -> str:
    """MQTT 3.1.1, section 4.7: no wildcards."""
    topic = _topic(value, path)
    if "+" in topic or "#" in topic:
        raise ValueRefused(path, value, "must not hold a wildcard")
    return topic


def topic_filter(value: Any, path: str) -> str:
    """MQTT 3.1.1, section 4.7.1."""
    levels = _topic(value, path).split("/")
    for number, level in enumerate(levels, start=1):
        if level != "+" and "+" in level or level != "#" and "#" in level:
            raise ValueRefused(path, value, "a wildcard must be a whole level")
        if level == "#" and number < len(levels):
            raise ValueRefused(path, value, "'#' must be the last level")
    return "/".join(levels)


def _topic(value: Any, path: str) -> str:
    topic = text(value, path)
    if not topic:
        raise ValueRefused(path, value, "must not be empty")
    if any(ord(character) < 0x20 or character == "\x7f" for character in topic):
        raise ValueRefused(path, value, "must not hold control characters")
    if len(topic.encode()) > _LONGEST_TOPIC:
        raise ValueRefused(
            path, value, f"must have at most {_LONGEST_TOPIC} bytes"
        )
    return topic


def payload(value: Any, path: str) -> bytes:
    return text(value, path).encode()


def base64_payload(value: Any, path: str) -> bytes:
    try:
        return base64.b64decode(text(value, path), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueRefused(path, value, "must be base64") from error


def anything(value: Any, _: str) -> Any:
    return value


def pattern(value: Any, path: str) -> re.Pattern[str]:
    """A regular expression of Python's `re`."""
    expression = text(value, path)
    if not 0 < len(expression) <= _LONGEST_PATTERN:
        raise ValueRefused(
            path, value, f"must have from 1 to {_LONGEST_PATTERN} characters"
        )
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueRefused(
            path, value, f"must be a regular expression: {error}"
        ) from error


def token(value: Any, path: str) -> str:
    """A SIP method or header name, RFC 3261 section 25.1."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ValueRefused(
            path, value, "must be a token: letters, digits, - and the like"
        )
    return value


def sip_uri(value: Any, path: str) -> str:
    if not isinstance(value, str) or not _SIP_URI.fullmatch(value):
        raise ValueRefused(path, value, "must be a SIP URI: sip:user@host")
    return value


def headers(value: Any, path: str) -> dict[str, str]:
    result = {}
    for name, content in _mapping(value, path).items():
        where = below(path, name)
        if token(name, where).lower() in _OWN_HEADERS:
            raise ValueRefused(where, None, "is set by the SIP client")
        result[name] = line(content, where)
    return result


def strings(value: Any, path: str) -> dict[str, str]:
    return {
        line(name, path): line(content, below(path, name))
        for name, content in _mapping(value, path).items()
    }


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueRefused(path, value, "must be a mapping")
    return value
