# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a scenario."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from tools.scenario_run.document import Scenario
from tools.scenario_run.errors import StepFailed


class Status(enum.Enum):
    OK = "ok"
    FAILED = "FAILED"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class StepResult:
    title: str
    status: Status
    seconds: float = 0.0
    failure: StepFailed | None = None


@dataclass
class ScenarioResult:
    """`start_failure` says why Kamailio did not start; there are no steps
    then. `log_tail` is the end of Kamailio's log where a step failed."""

    scenario: Scenario
    steps: list[StepResult] = field(default_factory=list)
    start_failure: str | None = None
    log_tail: str = ""

    @property
    def passed(self) -> bool:
        return self.start_failure is None and all(
            step.status is Status.OK for step in self.steps
        )


def exit_status(results: Sequence[ScenarioResult]) -> int:
    if any(result.start_failure is not None for result in results):
        return 2
    return 0 if all(result.passed for result in results) else 1
