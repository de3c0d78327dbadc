# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for people: each step when it is over, and a summary."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TextIO

from tools.scenario_run.document import Scenario
from tools.scenario_run.results import ScenarioResult, Status, StepResult


class Report:
    def __init__(self, output: TextIO) -> None:
        self._output = output

    def begin(self, scenario: Scenario) -> None:
        broker = "private broker" if scenario.has_broker else "no broker"
        self._print(f"== {scenario.file}: {scenario.name} ({broker})")

    def step(self, step: StepResult) -> None:
        seconds = (
            "" if step.status is Status.NOT_RUN else f"  {step.seconds:.2f} s"
        )
        self._print(f"{step.status.value:<7} {step.title}{seconds}")
        if step.failure is not None:
            self._block("expected: ", step.failure.expected)
            self._block("instead:  ", step.failure.instead)

    def end(self, result: ScenarioResult) -> None:
        if result.start_failure is not None:
            self._print("Kamailio did not start:")
            self._block("", result.start_failure)
        if result.log_tail:
            self._block("", result.log_tail)
        self._print("")

    def summary(self, results: Sequence[ScenarioResult]) -> None:
        passed = sum(result.passed for result in results)
        self._print(f"{passed} passed, {len(results) - passed} failed")

    def _block(self, head: str, text: str) -> None:
        """Further lines stand below the first."""
        lines = textwrap.indent(text, " " * (8 + len(head)))
        self._print(" " * 8 + head + lines.lstrip(" "))

    def _print(self, line: str) -> None:
        # A control character in a log must not reach the terminal.
        clean = "".join(
            character
            if character.isprintable() or character == "\n"
            else repr(character)[1:-1]
            for character in line
        )
        print(clean, file=self._output, flush=True)
