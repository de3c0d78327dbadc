# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of tools/scenario."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tools.harness.module_under_test import module_under_test
from tools.scenario_run import document, junit, runner
from tools.scenario_run.errors import DocumentRefused
from tools.scenario_run.instance import Settings
from tools.scenario_run.report import Report
from tools.scenario_run.results import ScenarioResult, exit_status

_WRONG_USE = 2


def _existing_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return path.absolute()


def _output_file(text: str) -> Path:
    path = Path(text)
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is not a place for a file")
    return path


def _define(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*=.*", text, re.ASCII | re.DOTALL):
        raise argparse.ArgumentTypeError(f"{text}: must be NAME=VALUE")
    return text


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/scenario",
        description="Tests a kamailio.cfg: runs it, with a private MQTT broker"
        " or with none, and does the steps of each scenario file with it. See"
        " docs/scenarios.md. The exit status is 0 if all steps did what they"
        " should, 1 if one failed, 2 if a scenario or the configuration is"
        " wrong.",
    )
    parser.add_argument("--config", type=_existing_file, required=True)
    parser.add_argument(
        "--broker",
        choices=(document.PRIVATE, document.NONE),
        default=document.NONE,
        help="for scenarios that do not say (default: none)",
    )
    parser.add_argument(
        "--module",
        type=_existing_file,
        metavar="FILE",
        help="the mqtt.so to load (default: the one that was built here)",
    )
    parser.add_argument(
        "--define",
        type=_define,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="passed to Kamailio as -A",
    )
    parser.add_argument(
        "--junit",
        type=_output_file,
        metavar="FILE",
        help="where to write the report as JUnit XML",
    )
    parser.add_argument("scenarios", type=Path, nargs="+", metavar="SCENARIO")
    return parser.parse_args(arguments)


def _end(number: int, _: FrameType | None) -> NoReturn:
    """Ends the run, and what it has started; a second signal changes
    nothing."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def main(arguments: Sequence[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    options = _arguments(arguments)
    scenarios: list[document.Scenario] = []
    faults = []
    for file in options.scenarios:
        try:
            scenarios.append(
                document.load(file, default_broker=options.broker)
            )
        except DocumentRefused as error:
            faults.append(str(error))
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return _WRONG_USE
    module = options.module or module_under_test()
    settings = Settings(options.config, module, options.define)
    report = Report(sys.stdout)
    results: list[ScenarioResult] = []
    for scenario in scenarios:
        report.begin(scenario)
        result = runner.run(scenario, settings, report.step)
        report.end(result)
        results.append(result)
    report.summary(results)
    if options.junit is not None:
        options.junit.write_bytes(junit.document(results))
    return exit_status(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
