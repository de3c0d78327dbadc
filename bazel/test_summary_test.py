# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of test_summary.py."""

from pathlib import Path
from typing import Any

from bazel.test_summary import Summary, summarize


def _result(
    label: str, status: str, attempt: int = 1, **files: Path
) -> dict[str, Any]:
    return {
        "id": {"testResult": {"label": label, "attempt": attempt}},
        "testResult": {
            "status": status,
            "testActionOutput": [
                {"name": name.replace("_", "."), "uri": path.as_uri()}
                for name, path in files.items()
            ],
        },
    }


def _built(label: str, success: bool) -> dict[str, Any]:
    return {
        "id": {"targetCompleted": {"label": label}},
        "completed": {"success": True} if success else {},
    }


def _report(folder: Path, cases: str) -> Path:
    path = folder / "a report.xml"
    path.write_text(
        f"<testsuites><testsuite>{cases}</testsuite></testsuites>",
        encoding="utf-8",
    )
    return path


def test_counts_passed_cases(tmp_path: Path) -> None:
    report = _report(
        tmp_path,
        '<testcase classname="Topic" name="Matches" status="run"/>'
        '<testcase classname="Topic" name="IsValid" status="run"/>',
    )
    events = [
        _built("//a:test", True),
        _result("//a:test", "PASSED", test_xml=report),
    ]
    assert summarize(events, bazel_status=0) == Summary(passed=2)


def test_names_failed_cases_with_their_message(tmp_path: Path) -> None:
    report = _report(
        tmp_path,
        '<testcase classname="Topic" name="Matches">'
        '<failure message="short">1 is not 2</failure></testcase>'
        '<testcase name="main"><error message="exit code 1"/></testcase>'
        '<testcase name="good"/>',
    )
    summary = summarize(
        [_result("//a:test", "FAILED", test_xml=report)], bazel_status=3
    )
    assert summary.passed == 1
    assert summary.failures == [
        "FAILED //a:test Topic.Matches\n    failure: 1 is not 2",
        "FAILED //a:test main\n    error: exit code 1",
    ]


def test_cases_that_did_not_run_count_as_failed(tmp_path: Path) -> None:
    report = _report(
        tmp_path,
        '<testcase name="a"><skipped message="no broker"/></testcase>'
        '<testcase name="b" status="notrun"/>',
    )
    summary = summarize(
        [_result("//a:test", "PASSED", test_xml=report)], bazel_status=0
    )
    assert summary.passed == 0
    assert summary.failures == [
        "FAILED //a:test a\n    skipped: no broker",
        "FAILED //a:test b\n    disabled",
    ]


def test_a_failure_that_no_case_reports_counts_once(tmp_path: Path) -> None:
    report = _report(tmp_path, '<testcase name="a"/>')
    log = tmp_path / "test.log"
    summary = summarize(
        [_result("//a:test", "FAILED", test_xml=report, test_log=log)],
        bazel_status=3,
    )
    assert summary.passed == 1
    assert summary.failures == [f"FAILED //a:test\n    FAILED, see {log}"]


def test_an_unreadable_report_counts_as_a_failure(tmp_path: Path) -> None:
    report = tmp_path / "test.xml"
    report.write_text("<testsuites><testsuite>", encoding="utf-8")
    summary = summarize(
        [_result("//a:test", "TIMEOUT", test_xml=report)], bazel_status=3
    )
    assert summary.passed == 0
    assert len(summary.failures) == 1
    assert "TIMEOUT" in summary.failures[0]
    assert "no report" in summary.failures[0]


def test_a_passed_test_without_a_report_counts_as_a_failure() -> None:
    summary = summarize([_result("//a:test", "PASSED")], bazel_status=0)
    assert len(summary.failures) == 1


def test_what_could_not_be_built_counts_as_failed() -> None:
    summary = summarize(
        [_built("//a:test", False), _built("//b:test", True)], bazel_status=1
    )
    assert summary.failures == ["FAILED //a:test\n    could not be built"]


def test_only_the_last_attempt_counts(tmp_path: Path) -> None:
    report = _report(tmp_path, '<testcase name="a"/>')
    summary = summarize(
        [
            _result("//a:test", "FAILED", attempt=1),
            _result("//a:test", "PASSED", attempt=2, test_xml=report),
        ],
        bazel_status=0,
    )
    assert summary == Summary(passed=1)


def test_bazel_failing_on_its_own_counts_as_failed() -> None:
    summary = summarize([], bazel_status=4)
    assert summary.failures == [
        "FAILED bazel test\n    ended with exit status 4"
    ]


def test_long_messages_are_cut(tmp_path: Path) -> None:
    message = "\n".join(str(line) for line in range(100))
    report = _report(
        tmp_path,
        f'<testcase name="a"><failure>{message}</failure></testcase>',
    )
    summary = summarize(
        [_result("//a:test", "FAILED", test_xml=report)], bazel_status=3
    )
    lines = summary.failures[0].splitlines()
    assert lines[1] == "    failure: 0"
    assert lines[-1] == "    ..."
    assert len(lines) < 20
