# SPDX-License-Identifier: GPL-3.0-or-later
import io
from pathlib import Path

from tools.scenario_run.document import Scenario
from tools.scenario_run.errors import StepFailed
from tools.scenario_run.report import Report
from tools.scenario_run.results import ScenarioResult, Status, StepResult

SCENARIO = Scenario(Path("one.yaml"), "one", True, ())


def test_a_run() -> None:
    output = io.StringIO()
    report = Report(output)
    failure = StepFailed("a", "b\nc")
    result = ScenarioResult(
        SCENARIO,
        [
            StepResult("first", Status.OK, 0.5),
            StepResult("second", Status.FAILED, 2, failure),
            StepResult("third", Status.NOT_RUN),
        ],
        log_tail="last line",
    )
    report.begin(SCENARIO)
    for step in result.steps:
        report.step(step)
    report.end(result)
    report.summary([result])
    assert output.getvalue() == (
        "== one.yaml: one (private broker)\n"
        "ok      first  0.50 s\n"
        "FAILED  second  2.00 s\n"
        "        expected: a\n"
        "        instead:  b\n"
        "                  c\n"
        "not run third\n"
        "        last line\n"
        "\n"
        "0 passed, 1 failed\n"
    )


def test_control_characters_do_not_reach_the_terminal() -> None:
    output = io.StringIO()
    result = ScenarioResult(SCENARIO, log_tail="a\x1b[2Jb\u202e")
    Report(output).end(result)
    assert output.getvalue() == "        a\\x1b[2Jb\\u202e\n\n"
