# SPDX-License-Identifier: GPL-3.0-or-later
"""A scenario file, read and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tools.scenario_run import schema, values, yaml_values
from tools.scenario_run.broker_kinds import NONE, PRIVATE
from tools.scenario_run.errors import DocumentRefused, ValueRefused
from tools.scenario_run.schema import key
from tools.scenario_run.steps import KINDS, BrokerChange, Sipp, Step

LARGEST_FILE = 1024 * 1024  # Bytes.
MOST_STEPS = 1000

# What each change makes of a broker, by what it was.
_BROKER_STATES = {
    ("running", "stop"): "stopped",
    ("stopped", "start"): "running",
    ("running", "freeze"): "frozen",
    ("frozen", "resume"): "running",
}


@dataclass(frozen=True)
class NumberedStep:
    """A step, and where it stands in its file."""

    path: str
    step: Step

    @property
    def title(self) -> str:
        """Where it stands, what it does, and to what, on one line."""
        text = " ".join(self.step.summary().split())
        return f"{self.path} {self.step.KEY}: {text}"


@dataclass(frozen=True)
class Scenario:
    file: Path
    name: str
    has_broker: bool
    steps: tuple[NumberedStep, ...]


@dataclass(frozen=True, kw_only=True)
class _Head:
    """A document, its steps not read yet."""

    MAIN_KEY: ClassVar[str | None] = None

    steps: Any = key(values.anything)
    name: str | None = key(values.line, None)
    broker: str | None = key(values.one_of(PRIVATE, NONE), None)

    def check(self, path: str) -> None:
        steps = self.steps
        if not isinstance(steps, list) or not 0 < len(steps) <= MOST_STEPS:
            raise ValueRefused(
                "steps", None, f"must be a list of 1 to {MOST_STEPS} steps"
            )


def load(file: Path, *, default_broker: str) -> Scenario:
    """Raises DocumentRefused. `default_broker` is for a file that does not
    say."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise DocumentRefused(
                file, [f"must have at most {LARGEST_FILE} bytes"]
            )
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentRefused(file, [error]) from error
    return parse(text, file, default_broker=default_broker)


def parse(text: str, file: Path, *, default_broker: str) -> Scenario:
    """As `load`, of the text of a file. Files that steps name are relative to
    `file`."""
    try:
        head = schema.read(_Head, yaml_values.parse(text), "")
    except ValueRefused as fault:
        raise DocumentRefused(file, [fault]) from fault
    faults: list[ValueRefused] = []
    steps: list[NumberedStep] = []
    for number, value in enumerate(head.steps):
        path = f"steps[{number}]"
        try:
            steps.append(NumberedStep(path, _step(value, path)))
        except ValueRefused as fault:
            faults.append(fault)
    has_broker = (head.broker or default_broker) == PRIVATE
    if has_broker:
        faults += _wrong_broker_changes(steps)
    else:
        faults += _missing_broker(steps)
    faults += _missing_files(steps, file.parent)
    if faults:
        raise DocumentRefused(file, faults)
    return Scenario(file, head.name or file.stem, has_broker, tuple(steps))


def _step(value: Any, path: str) -> Step:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueRefused(path, value, "must be a mapping with one key")
    ((name, content),) = value.items()
    if name not in KINDS:
        raise ValueRefused(
            path, name, "unknown step; the steps are: " + ", ".join(KINDS)
        )
    return schema.read(KINDS[name], content, f"{path}.{name}")


def _missing_broker(steps: list[NumberedStep]) -> Iterator[ValueRefused]:
    for each in steps:
        if each.step.NEEDS_BROKER:
            yield ValueRefused(
                f"{each.path}.{each.step.KEY}",
                None,
                "needs a broker: say `broker: private` at the top of the "
                "file, or --broker private",
            )


def _wrong_broker_changes(steps: list[NumberedStep]) -> Iterator[ValueRefused]:
    state = "running"
    for each in steps:
        if isinstance(each.step, BrokerChange):
            change = each.step.change
            after = _BROKER_STATES.get((state, change))
            if after is None:
                yield ValueRefused(
                    f"{each.path}.broker", change, f"the broker is {state}"
                )
            else:
                state = after


def _missing_files(
    steps: list[NumberedStep], directory: Path
) -> Iterator[ValueRefused]:
    for each in steps:
        if isinstance(each.step, Sipp):
            if not (directory / each.step.scenario).is_file():
                yield ValueRefused(
                    f"{each.path}.sipp.scenario",
                    each.step.scenario,
                    f"there is no such file in {directory}",
                )
