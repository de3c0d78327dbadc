# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of the results, as SVG: bars of throughput, and of the percentiles
of latency on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tools.bench_run.figures import LATENCY_PERCENTILES, summary
from tools.bench_run.node import OURS, STOCK
from tools.bench_run.report import number
from tools.bench_run.rows import LIMIT
from tools.bench_run.runner import Results, RowResult

_COLOURS = {OURS.name: "#2a6fbb", STOCK.name: "#d98b2b", LIMIT: "#9a9a9a"}
_WIDTH = 760
_LABEL_WIDTH = 190
_VALUE_WIDTH = 90
_BAR_HEIGHT = 14
_GAP = 10
_HEADING = 34


@dataclass(frozen=True)
class _Bar:
    subject: str
    value: float
    least: float
    most: float


@dataclass(frozen=True)
class _Group:
    label: str
    bars: Sequence[_Bar]


def svg(results: Results) -> str:
    throughput = list(_groups(results, ["rate"]))
    latency = list(_groups(results, list(LATENCY_PERCENTILES)))
    parts: list[str] = []
    top = 10.0
    for title, groups, scale in (
        ("Messages a second (longer is better)", throughput, _linear),
        (
            "Latency in milliseconds, logarithmic (shorter is better)",
            latency,
            _logarithmic,
        ),
    ):
        if groups:
            drawn, top = _panel(title, groups, scale, top)
            parts += drawn
    drawn, top = _legend(results, top)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}"'
            f' height="{top:.0f}" font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            *drawn,
            "</svg>\n",
        ]
    )


def _groups(results: Results, figures: Sequence[str]) -> Iterator[_Group]:
    """Of the rows that have all of these figures."""
    for result in results.rows:
        names = [figure.name for figure in result.row.figures]
        if not set(figures) <= set(names):
            continue
        for figure in figures:
            label = result.row.name
            if len(figures) > 1:
                label += f" {figure}"
            yield _Group(label, list(_bars(result, figure)))


def _bars(result: RowResult, figure: str) -> Iterator[_Bar]:
    for subject in result.row.subjects:
        if values := result.values(subject, figure):
            found = summary(values)
            yield _Bar(subject, found.median, found.least, found.most)


_Scale = Callable[[float], float]


def _linear(values: Sequence[float]) -> _Scale:
    most = max(values)
    return lambda value: value / most


def _logarithmic(values: Sequence[float]) -> _Scale:
    least = 10.0 ** math.floor(math.log10(min(values)))
    most = max(*values, 10 * least)
    return lambda value: (
        math.log(max(value, least) / least) / math.log(most / least)
    )


def _panel(
    title: str,
    groups: Sequence[_Group],
    scale_of: Callable[[Sequence[float]], _Scale],
    top: float,
) -> tuple[list[str], float]:
    values = [
        value
        for group in groups
        for bar in group.bars
        for value in (bar.value, bar.least, bar.most)
        if value > 0 and not math.isinf(value)
    ]
    parts = [_text(10, top + 18, title, bold=True)]
    top += _HEADING
    if not values:
        return parts, top
    scale = scale_of(values)
    room = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH

    def x(value: float) -> float:
        return _LABEL_WIDTH + room * min(1.0, max(0.0, scale(value)))

    for group in groups:
        middle = top + _BAR_HEIGHT * len(group.bars) / 2 + 4
        parts.append(_text(10, middle, group.label))
        for bar in group.bars:
            end = x(bar.value)
            parts.append(
                f'<rect x="{_LABEL_WIDTH}" y="{top:.0f}"'
                f' width="{end - _LABEL_WIDTH:.1f}"'
                f' height="{_BAR_HEIGHT - 2}" fill="{_COLOURS[bar.subject]}">'
                f"<title>{escape(group.label)}, {bar.subject}</title></rect>"
            )
            centre = top + _BAR_HEIGHT / 2 - 1
            parts.append(
                f'<line x1="{x(bar.least):.1f}" x2="{x(bar.most):.1f}"'
                f' y1="{centre:.1f}" y2="{centre:.1f}" stroke="black"/>'
            )
            value_at = max(end, x(bar.most)) + 5
            parts.append(_text(value_at, top + 10, number(bar.value)))
            top += _BAR_HEIGHT
        top += _GAP
    return parts, top + _GAP


def _legend(results: Results, top: float) -> tuple[list[str], float]:
    parts = []
    left = 10.0
    for subject, colour in _COLOURS.items():
        parts.append(
            f'<rect x="{left}" y="{top}" width="12" height="12"'
            f' fill="{colour}"/>'
        )
        parts.append(_text(left + 17, top + 10, subject))
        left += 110
    note = f"Medians of {results.runs} runs; lines: from the least to the most."
    parts.append(_text(left, top + 10, note))
    parts.append(_text(10, top + 30, results.machine))
    return parts, top + 40


def _text(x: float, y: float, content: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{weight}>{escape(content)}</text>'
