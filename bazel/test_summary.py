# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the test cases of a `bazel test` and lists those that failed.

Reads Bazel's build events, and the XML report of each test that they name. A
test that failed though no case of its report did (it crashed, timed out, leaked
memory), or that could not be built, counts as one failed case. So does a case
that was skipped: it has shown nothing.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

MESSAGE_LINES = 12


@dataclass
class Summary:
    """The outcome of a run: a number, and a text per failed case."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)

    def fail(self, name: str, message: str) -> None:
        lines = message.strip().splitlines()
        if len(lines) > MESSAGE_LINES:
            lines = lines[:MESSAGE_LINES] + ["..."]
        text = "".join(f"\n    {line}" for line in lines)
        self.failures.append(f"FAILED {name}{text}")


def _case_failure(case: ElementTree.Element) -> str | None:
    """Returns why a case has not passed, or None if it has."""
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            text = found.text or found.get("message") or ""
            return f"{kind}: {text.strip()}"
    if case.get("status") == "notrun":
        return "disabled"
    return None


def _add_report(summary: Summary, label: str, report: Path) -> None:
    for case in ElementTree.parse(report).iter("testcase"):
        failure = _case_failure(case)
        if failure is None:
            summary.passed += 1
        else:
            class_name = case.get("classname", "")
            name = f"{class_name}.{case.get('name', '')}".lstrip(".")
            summary.fail(f"{label} {name}", failure)


def _output_files(result: dict[str, Any]) -> dict[str, Path]:
    return {
        output["name"]: Path(unquote(urlparse(output["uri"]).path))
        for output in result.get("testActionOutput", [])
    }


def _add_test(summary: Summary, label: str, result: dict[str, Any]) -> None:
    """Adds the result of a test target, or of one of its shards."""
    files = _output_files(result)
    failures = len(summary.failures)
    problem = "" if result["status"] == "PASSED" else result["status"]
    try:
        _add_report(summary, label, files["test.xml"])
    except (KeyError, OSError, ElementTree.ParseError) as error:
        problem += f" no report: {error!r}"
    if problem and len(summary.failures) == failures:
        summary.fail(label, f"{problem}, see {files.get('test.log', 'no log')}")


def summarize(events: list[dict[str, Any]], bazel_status: int) -> Summary:
    """Sums up the events of a run that ended with this exit status."""
    summary = Summary()
    # The last attempt of each run and shard of a test counts.
    results: dict[tuple[str, int, int], dict[str, Any]] = {}
    for event in events:
        identity = event["id"]
        if "testResult" in identity and "testResult" in event:
            key = identity["testResult"]
            shard = (key["label"], key.get("run", 0), key.get("shard", 0))
            results[shard] = event["testResult"]
        elif "targetCompleted" in identity:
            if not event.get("completed", {}).get("success"):
                label = identity["targetCompleted"]["label"]
                summary.fail(label, "could not be built")
    for (label, _, _), result in sorted(results.items(), key=lambda x: x[0]):
        _add_test(summary, label, result)
    if bazel_status != 0 and not summary.failures:
        summary.fail("bazel test", f"ended with exit status {bazel_status}")
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bazel-status", type=int, required=True)
    parser.add_argument("events", type=Path)
    arguments = parser.parse_args()
    with arguments.events.open(encoding="utf-8") as lines:
        events = [json.loads(line) for line in lines]
    summary = summarize(events, arguments.bazel_status)
    for failure in summary.failures:
        print(failure)
    print(f"{summary.passed} passed, {len(summary.failures)} failed")
    return 0 if summary.passed and not summary.failures else 1


if __name__ == "__main__":
    sys.exit(main())
