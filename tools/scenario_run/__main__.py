# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/scenario, once the module is built."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tools.harness.ending import end_on_signals
from tools.harness.module_under_test import module_under_test
from tools.scenario_run import document, junit, options, runner
from tools.scenario_run.errors import DocumentRefused
from tools.scenario_run.instance import Settings
from tools.scenario_run.report import Report
from tools.scenario_run.results import ScenarioResult, exit_status

_WRONG_USE = 2


def main(arguments: Sequence[str]) -> int:
    end_on_signals()
    chosen = options.parse(arguments)
    scenarios: list[document.Scenario] = []
    faults = []
    for file in chosen.scenarios:
        try:
            scenarios.append(
                document.load(file, default_broker=chosen.broker)
            )
        except DocumentRefused as error:
            faults.append(str(error))
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return _WRONG_USE
    module = chosen.module or module_under_test()
    settings = Settings(chosen.config, module, chosen.define)
    report = Report(sys.stdout)
    results: list[ScenarioResult] = []
    for scenario in scenarios:
        report.begin(scenario)
        result = runner.run(scenario, settings, report.step)
        report.end(result)
        results.append(result)
    report.summary(results)
    if chosen.junit is not None:
        chosen.junit.write_bytes(junit.document(results))
    return exit_status(results)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
