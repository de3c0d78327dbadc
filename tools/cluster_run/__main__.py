# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of tools/cluster, once the module is built."""

from __future__ import annotations

import argparse
import sys

from tools.cluster_run import report
from tools.cluster_run.run import Run
from tools.harness.arguments import positive
from tools.harness.ending import FAILURES, end_on_signals
from tools.harness.environment import Environment


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/cluster",
        description="Three Kamailios on a cluster of three brokers, one of"
        " each killed while messages flow both ways. The exit status is 0 if"
        " nothing was lost but what died with the killed Kamailio.",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=200,
        help="messages a second, half of them each way (default: 200)",
    )
    parser.add_argument(
        "--phase",
        type=positive,
        default=20,
        metavar="SECONDS",
        help="length of each of the three phases: all nodes, a Kamailio"
        " killed, a broker killed too (default: 20)",
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    end_on_signals()
    print("Starting three brokers and three Kamailios.", flush=True)
    with Environment() as environment:
        try:
            result = Run(
                environment,
                rate=arguments.rate,
                phase_seconds=arguments.phase,
            ).run()
            text, passed = report.text(result), report.passed(result)
        except FAILURES as error:
            text, passed = f"BROKEN {error}", False
        if not passed:
            logs = environment.keep_logs("mqtt_cluster_")
            text += f"\nThe logs are in {logs}."
    print(f"\n{text}", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
