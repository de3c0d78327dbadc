# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for programs: JUnit XML, a test suite for each scenario and a
test case for each step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from tools.scenario_run.results import ScenarioResult, Status, StepResult
from tools.scenario_run.runner import START

# All that XML 1.0, section 2.2, does not allow.
_NOT_IN_XML = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def document(results: Sequence[ScenarioResult]) -> bytes:
    root = ElementTree.Element("testsuites")
    for result in results:
        root.append(_suite(result))
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _suite(result: ScenarioResult) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=_text(result.scenario.name))
    counts = {status: 0 for status in Status}
    for step in result.steps:
        counts[step.status] += 1
        suite.append(_case(result, step))
    if result.start_failure is not None:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_text(result.scenario.name),
            name=START,
            time="0",
        )
        error = ElementTree.SubElement(
            case, "error", message="Kamailio did not start"
        )
        error.text = _text(result.start_failure)
    if result.log_tail:
        output = ElementTree.SubElement(suite, "system-out")
        output.text = _text(result.log_tail)
    seconds = sum(step.seconds for step in result.steps)
    suite.attrib |= {
        "file": _text(str(result.scenario.file)),
        "tests": str(len(suite.findall("testcase"))),
        "failures": str(counts[Status.FAILED]),
        "errors": str(len(suite.findall("testcase/error"))),
        "skipped": str(counts[Status.NOT_RUN]),
        "time": f"{seconds:.3f}",
    }
    return suite


def _case(result: ScenarioResult, step: StepResult) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=_text(result.scenario.name),
        name=_text(step.title),
        time=f"{step.seconds:.3f}",
    )
    if step.failure is not None:
        failure = ElementTree.SubElement(
            case, "failure", message=_text(f"expected {step.failure.expected}")
        )
        failure.text = _text(str(step.failure))
    elif step.status is Status.NOT_RUN:
        ElementTree.SubElement(case, "skipped")
    return case


def _text(text: str) -> str:
    """Shows what XML cannot hold as an escape sequence."""
    return _NOT_IN_XML.sub(lambda found: repr(found[0])[1:-1], text)
