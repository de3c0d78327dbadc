# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of tools/compat."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.compat_run.results import table
from tools.compat_run.suite import Options, try_suite
from tools.harness.ending import end_on_signals

_SUITES = ("trixie", "sid")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/compat",
        description="Builds and tests these sources on other Debian releases,"
        " each in a fresh system in a folder. The exit status is 0 if all of"
        " them built, and all tests passed.",
    )
    parser.add_argument(
        "--suite",
        choices=_SUITES,
        action="append",
        help="this one, and others that are given in the same way",
    )
    parser.add_argument(
        "--kamailio-source",
        type=Path,
        metavar="FOLDER",
        help="the source tree of the suite's Kamailio, where the mirror has"
        " it not",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="wait for Enter before a system is removed",
    )
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="ARGUMENT",
        help="for tools/test, after --; default: all tests",
    )
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    end_on_signals()
    options = Options(
        arguments=arguments.arguments,
        kamailio_source=arguments.kamailio_source
        and arguments.kamailio_source.resolve(),
        keep=arguments.keep,
    )
    results = [
        try_suite(Path.cwd(), suite, options)
        for suite in arguments.suite or _SUITES
    ]
    print(table(results), end="")
    if options.kamailio_source is not None:
        print(f"Built with Kamailio's headers of {options.kamailio_source}.")
    return 0 if all(result.is_good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
