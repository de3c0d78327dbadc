# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs pytest on the files of the command line, as Bazel expects a test to run.

The report goes to the file that Bazel names, --test_filter selects tests as
pytest's -k does, and a skipped test is a failure.
"""

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest


class SkipsAreFailures:
    """Reports a skipped test, or a skipped file of tests, as failed."""

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, None]:
        self._fail_if_skipped((yield).get_result())

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_make_collect_report(self) -> Generator[None, Any, None]:
        self._fail_if_skipped((yield).get_result())

    @staticmethod
    def _fail_if_skipped(
        report: pytest.TestReport | pytest.CollectReport,
    ) -> None:
        if report.skipped:
            report.outcome = "failed"
            report.longrepr = f"skipped: {report.longrepr}"


def main() -> int:
    # Bazel 7 sets it for its own start; it is not for what the tests start.
    os.environ.pop("PYTHONSAFEPATH", None)
    options = ["-p", "no:cacheprovider", "--strict-markers", "-ra", "-v"]
    report = os.environ.get("XML_OUTPUT_FILE")
    if report:
        options.append(f"--junitxml={report}")
    selected = os.environ.get("TESTBRIDGE_TEST_ONLY")
    if selected:
        options += ["-k", selected]
    return pytest.main(options + sys.argv[1:], plugins=[SkipsAreFailures()])


if __name__ == "__main__":
    sys.exit(main())
