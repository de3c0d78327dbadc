# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong before anything has run, and while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_LONGEST_VALUE = 100


class ValueRefused(Exception):
    """A value of a document breaks a rule. `path` is where it stands, such as
    steps[3].inject.qos; None as value is not shown."""

    def __init__(self, path: str, value: Any, rule: str) -> None:
        shown = [] if value is None else [_shown(value)]
        where = [path] if path else []
        super().__init__(": ".join([*where, *shown, rule]))


class DocumentRefused(Exception):
    """A scenario file is wrong. There is one line for each fault."""

    def __init__(self, file: object, faults: Sequence[object]) -> None:
        super().__init__("\n".join(f"{file}: {fault}" for fault in faults))


class StartFailed(Exception):
    """Kamailio did not start with the given configuration."""


class StepFailed(Exception):
    """A step did not do what the scenario says."""

    def __init__(self, expected: str, instead: str) -> None:
        super().__init__(f"expected {expected}; instead: {instead}")
        self.expected = expected
        self.instead = instead


def below(path: str, key: str) -> str:
    """The path of a member."""
    name = key if key.isprintable() else repr(key)
    if len(name) > _LONGEST_VALUE:
        name = name[:_LONGEST_VALUE] + "..."
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    text = repr(value)
    if len(text) > _LONGEST_VALUE:
        return text[:_LONGEST_VALUE] + "..."
    return text
