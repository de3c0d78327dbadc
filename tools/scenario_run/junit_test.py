# SPDX-License-Identifier: GPL-3.0-or-later
"""The XML is well-formed, whatever a scenario or a log holds."""

from pathlib import Path
from xml.etree import ElementTree

from tools.scenario_run import junit
from tools.scenario_run.document import Scenario
from tools.scenario_run.errors import StepFailed
from tools.scenario_run.results import (
    ScenarioResult,
    Status,
    StepResult,
    exit_status,
)

STRANGE = "a<&>\"'\0\x1b[31m\x7f\ud800\ufffe\U0001f600\n]]>"


def scenario(name: str = "one") -> Scenario:
    return Scenario(Path("one.yaml"), name, False, ())


def failed(text: str = "text") -> ScenarioResult:
    return ScenarioResult(
        scenario(text),
        [
            StepResult("first", Status.OK, 1.5),
            StepResult(text, Status.FAILED, 0.25, StepFailed(text, text)),
            StepResult("third", Status.NOT_RUN),
        ],
        log_tail=text,
    )


def suites(*results: ScenarioResult) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(junit.document(results))
    assert root.tag == "testsuites"
    return list(root)


def test_a_failed_scenario() -> None:
    (suite,) = suites(failed())
    assert suite.attrib == {
        "name": "text",
        "file": "one.yaml",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "1.750",
    }
    first, second, third, output = suite
    assert (first.attrib["name"], first.attrib["time"]) == ("first", "1.500")
    assert second.find("failure") is not None
    assert third.find("skipped") is not None
    assert output.text == "text"


def test_a_scenario_that_did_not_start() -> None:
    result = ScenarioResult(scenario(), start_failure="why")
    (suite,) = suites(result)
    assert (suite.attrib["tests"], suite.attrib["errors"]) == ("1", "1")
    error = suite.find("testcase/error")
    assert error is not None and error.text == "why"


def test_what_xml_does_not_allow_is_escaped() -> None:
    (suite,) = suites(failed(STRANGE))
    output = suite.find("system-out")
    assert output is not None
    assert output.text == (
        "a<&>\"'\\x00\\x1b[31m\x7f\\ud800\\ufffe\U0001f600\n]]>"
    )


def test_the_exit_status() -> None:
    passed = ScenarioResult(scenario(), [StepResult("a", Status.OK)])
    unstarted = ScenarioResult(scenario(), start_failure="why")
    assert exit_status([passed, passed]) == 0
    assert exit_status([passed, failed()]) == 1
    assert exit_status([unstarted, failed()]) == 2
