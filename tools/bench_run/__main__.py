# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of tools/bench, once everything is built."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.bench_run import (
    control_rows,
    flow_rows,
    latency_rows,
    picture,
    report,
    runner,
    scaling_rows,
)
from tools.bench_run.rows import Load, Row
from tools.harness.arguments import positive
from tools.harness.ending import end_on_signals

ROWS = (
    *flow_rows.ROWS,
    *latency_rows.ROWS,
    *control_rows.ROWS,
    *scaling_rows.ROWS,
)
_SCALING = "scaling"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures this module and Kamailio's stock one, in turn,"
        " and libmosquitto alone as the limit. The exit status is 1 if a"
        " measurement failed; no figure does that.",
        epilog="Rows: "
        + "; ".join(f"{row.name} ({row.title})" for row in ROWS)
        + ".",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        choices=[*(row.name for row in ROWS), _SCALING],
        help=f"what to measure, by name; {_SCALING}: all whose name begins so"
        " (default: all others)",
    )
    parser.add_argument(
        "--runs",
        type=positive,
        default=5,
        help="of each subject in each row (default: 5)",
    )
    parser.add_argument(
        "--messages",
        type=positive,
        default=300000,
        help="in a series of messages; slower rows take a share of them"
        " (default: 300000)",
    )
    parser.add_argument(
        "--outage",
        type=positive,
        default=60,
        metavar="SECONDS",
        help="for which the broker is away before the row drain (default: 60)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where to write all values"
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="where to draw throughput and latency, as SVG",
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="print the table as Markdown",
    )
    return parser.parse_args()


def _chosen(names: list[str] | None) -> list[Row]:
    if names is None:
        return [row for row in ROWS if row not in scaling_rows.ROWS]
    return [
        row
        for row in ROWS
        if row.name in names
        or (_SCALING in names and row in scaling_rows.ROWS)
    ]


def main() -> int:
    arguments = _arguments()
    end_on_signals()
    results = runner.run(
        _chosen(arguments.rows),
        runs=arguments.runs,
        load=Load(arguments.messages, arguments.outage),
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if arguments.json is not None:
        arguments.json.write_text(report.as_json(results))
    if arguments.picture is not None:
        arguments.picture.write_text(picture.svg(results))
    if arguments.markdown:
        print(report.markdown(results))
    else:
        print("\n" + report.text(results))
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
