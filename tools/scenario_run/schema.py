# SPDX-License-Identifier: GPL-3.0-or-later
"""Mappings of a scenario file as dataclasses.

The fields of the dataclass are the keys of the mapping: `key` says how a value
is read, and what stands for a key that is absent.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Protocol, TypeVar

from tools.scenario_run.errors import ValueRefused, below
from tools.scenario_run.values import Reader

_READER = "reader"
_NAME = "name"


class Mapping(Protocol):
    """A dataclass made of keys. `check` has rules that concern several of
    them, and raises ValueRefused. Where there is a `MAIN_KEY`, its value may
    stand in place of the whole mapping."""

    MAIN_KEY: ClassVar[str | None]

    def check(self, path: str) -> None: ...


T = TypeVar("T", bound=Mapping)


def key(
    reader: Reader,
    default: Any = dataclasses.MISSING,
    *,
    name: str | None = None,
) -> Any:
    """A key, which is required where there is no default. `name` is its name
    in the file, where Python has that name for itself."""
    metadata = {_READER: reader, _NAME: name}
    return dataclasses.field(default=default, metadata=metadata)


def keys(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of such a class, by their names in the file."""
    return {
        field.metadata[_NAME] or field.name: field
        for field in dataclasses.fields(kind)
    }


def read(kind: type[T], value: Any, path: str) -> T:
    if not isinstance(value, dict):
        if kind.MAIN_KEY is None:
            raise ValueRefused(path, value, "must be a mapping")
        value = {kind.MAIN_KEY: value}
    known = keys(kind)
    for name in value:
        if name not in known:
            raise ValueRefused(
                below(path, name),
                None,
                "unknown key; the keys are: " + ", ".join(known),
            )
    arguments = {}
    for name, field in known.items():
        if name in value:
            reader = field.metadata[_READER]
            arguments[field.name] = reader(value[name], below(path, name))
        elif field.default is dataclasses.MISSING:
            raise ValueRefused(below(path, name), None, "is required")
    result = kind(**arguments)
    result.check(path)
    return result
