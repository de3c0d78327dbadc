# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable

from tools.bench_run.figures import Figure, ratio, summary
from tools.bench_run.node import OURS, STOCK
from tools.bench_run.rows import LIMIT
from tools.bench_run.runner import Results, RowResult


def number(value: float) -> str:
    """With as many digits as mean something."""
    if math.isinf(value):
        return "never"
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(result: RowResult, subject: str, figure: Figure) -> str:
    """The median, and the spread where there is one."""
    values = result.values(subject, figure.name)
    if not values:
        return ""
    found = summary(values)
    text = number(found.median)
    if found.least != found.most:
        text += f" ({number(found.least)} to {number(found.most)})"
    return text


def _ratio(result: RowResult, base: str, figure: Figure) -> float | None:
    ours = result.values(OURS.name, figure.name)
    theirs = result.values(base, figure.name)
    if not ours or not theirs:
        return None
    return ratio(summary(ours).median, summary(theirs).median)


def _ratio_cell(result: RowResult, base: str, figure: Figure) -> str:
    found = _ratio(result, base, figure)
    return "" if found is None else f"{found:.2f}"


_HEADINGS = (
    "",
    "unit",
    "ours",
    "stock",
    "ours / stock",
    "libmosquitto",
    "ours / libmosquitto",
)


def _cells(result: RowResult, figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        figure.unit,
        _cell(result, OURS.name, figure),
        _cell(result, STOCK.name, figure),
        _ratio_cell(result, STOCK.name, figure),
        _cell(result, LIMIT, figure),
        _ratio_cell(result, LIMIT, figure),
    )


def _header(results: Results) -> str:
    return (
        f"{results.machine}; {results.runs} runs of each,"
        f" {results.load.messages:,} messages in a series;"
        f" {results.seconds / 60:.1f} minutes. Medians, and in parentheses the"
        " least and the most."
    )


def _table(results: Results) -> list[list[tuple[str, ...]]]:
    """The headings, and for each row the cells of its figures: columns in which
    there is nothing to say are left out."""
    rows = [[_HEADINGS]] + [
        [_cells(result, figure) for figure in result.row.figures]
        for result in results.rows
    ]
    filled = [
        any(cells[column] for row in rows[1:] for cells in row)
        for column in range(len(_HEADINGS))
    ]
    return [
        [tuple(itertools.compress(cells, filled)) for cells in row]
        for row in rows
    ]


def text(results: Results) -> str:
    (headings,), *rows = table = _table(results)
    widths = [
        max(len(cells[column]) for row in table for cells in row)
        for column in range(len(headings))
    ]

    def line(cells: tuple[str, ...]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths)]
        return ("  " + "  ".join(padded)).rstrip()

    lines = [_header(results), "", line(headings)]
    for result, row in zip(results.rows, rows):
        lines += ["", f"{result.row.name}: {result.row.title}"]
        lines += map(line, row)
    lines += [f"FAILED {failure}" for failure in results.failures]
    return "\n".join(lines)


def markdown(results: Results) -> str:
    (headings,), *rows = _table(results)
    lines = [
        _header(results),
        "",
        _markdown_row(("", *headings)),
        _markdown_row(("---",) * (len(headings) + 1)),
    ]
    for result, row in zip(results.rows, rows):
        titles = itertools.chain([result.row.title], itertools.repeat(""))
        lines += [
            _markdown_row((title, *cells)) for title, cells in zip(titles, row)
        ]
    lines += [f"FAILED {failure}" for failure in results.failures]
    return "\n".join(lines)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_json(results: Results) -> str:
    document = {
        "machine": results.machine,
        "runs": results.runs,
        "messages": results.load.messages,
        "seconds": results.seconds,
        "failures": results.failures,
        "rows": {
            result.row.name: {
                "title": result.row.title,
                "figures": {
                    figure.name: _figure_document(result, figure)
                    for figure in result.row.figures
                },
            }
            for result in results.rows
        },
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _figure_document(result: RowResult, figure: Figure) -> dict[str, object]:
    """What never was is null."""
    return {
        "unit": figure.unit,
        "more_is_better": figure.more_is_better,
        "values": {
            subject: [
                None if math.isinf(value) else value
                for value in result.values(subject, figure.name)
            ]
            for subject in result.row.subjects
        },
        "ratio_to_stock": _ratio(result, STOCK.name, figure),
        "ratio_to_libmosquitto": _ratio(result, LIMIT, figure),
    }
