# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the steps of a scenario, one after the other, until one fails."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from tools.harness.environment import Environment
from tools.scenario_run.actions import Actions
from tools.scenario_run.document import Scenario
from tools.scenario_run.errors import StartFailed, StepFailed
from tools.scenario_run.instance import Instance, Settings
from tools.scenario_run.results import ScenarioResult, Status, StepResult

START = "start: Kamailio"
STOP = "stop: Kamailio"


def run(
    scenario: Scenario,
    settings: Settings,
    on_step: Callable[[StepResult], None] = lambda result: None,
) -> ScenarioResult:
    """`on_step` learns of each step when it is over."""
    result = ScenarioResult(scenario)

    def add(step: StepResult) -> None:
        result.steps.append(step)
        on_step(step)

    with Environment() as environment:
        begin = time.monotonic()
        try:
            instance = Instance(environment, settings, scenario.has_broker)
        # The harness fails by assertions, and where a program is missing.
        except (StartFailed, AssertionError, OSError) as error:
            result.start_failure = str(error)
            return result
        add(StepResult(START, Status.OK, time.monotonic() - begin))
        actions = Actions(instance, scenario.file.parent)
        todo: list[tuple[str, Callable[[], None]]] = [
            (each.title, functools.partial(actions.perform, each.step))
            for each in scenario.steps
        ]
        todo.append((STOP, instance.stop))
        for number, (title, action) in enumerate(todo):
            step = _timed(title, action)
            add(step)
            if step.failure is not None:
                for later, _ in todo[number + 1 :]:
                    add(StepResult(later, Status.NOT_RUN))
                result.log_tail = instance.log_tail()
                break
    return result


def _timed(title: str, action: Callable[[], None]) -> StepResult:
    begin = time.monotonic()
    try:
        action()
        failure = None
    except StepFailed as error:
        failure = error
    except (AssertionError, OSError) as error:
        failure = StepFailed("the step to be possible", str(error))
    return StepResult(
        title,
        Status.OK if failure is None else Status.FAILED,
        time.monotonic() - begin,
        failure,
    )
