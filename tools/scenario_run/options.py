# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of tools/scenario. As a program: explains them, which needs
nothing that has to be installed or built."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.scenario_run.broker_kinds import NONE, PRIVATE


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


def parse(arguments: Sequence[str]) -> argparse.Namespace:
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
        choices=(PRIVATE, NONE),
        default=NONE,
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


if __name__ == "__main__":
    parse(sys.argv[1:])
