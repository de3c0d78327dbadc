# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of tools/soak, once the module is built."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tools.harness.arguments import positive
from tools.harness.ending import end_on_signals
from tools.harness.environment import Environment
from tools.soak_run import faults, report
from tools.soak_run.run import Run


def _arguments() -> argparse.Namespace:
    names = [fault.name for fault in faults.ALL]
    parser = argparse.ArgumentParser(
        prog="tools/soak",
        description="SIP traffic through Kamailio, the module and a broker"
        " while broker and network fail at random. The exit status is 0 if"
        " every promise was kept.",
    )
    parser.add_argument(
        "--minutes",
        type=positive,
        default=20,
        help="length (default: 20)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(10**6),
        help="of the faults: the same seed gives the same ones",
    )
    parser.add_argument(
        "--rate",
        type=positive,
        default=200,
        help="SIP requests a second (default: 200)",
    )
    parser.add_argument(
        "--only",
        choices=names,
        action="append",
        help="this kind of fault, and others that are given in the same way",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where to write the figures"
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    end_on_signals()
    chosen = [
        fault
        for fault in faults.ALL
        if arguments.only is None or fault.name in arguments.only
    ]
    print(f"seed {arguments.seed}", flush=True)
    with Environment() as environment:
        result = Run(
            environment,
            minutes=arguments.minutes,
            seed=arguments.seed,
            sip_rate=arguments.rate,
            faults=chosen,
        ).run()
    print("\n" + report.text(result), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(report.as_json(result))
    return 0 if report.passed(result) else 1


if __name__ == "__main__":
    sys.exit(main())
