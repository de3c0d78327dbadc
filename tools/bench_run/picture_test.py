# SPDX-License-Identifier: GPL-3.0-or-later

from xml.etree import ElementTree

from tools.bench_run.figures import NEVER, Figure, latency_figures
from tools.bench_run.picture import svg
from tools.bench_run.rows import Load, Row
from tools.bench_run.runner import Results, RowResult

_SVG = "{http://www.w3.org/2000/svg}"


def _row(name: str, *figures: Figure) -> Row:
    return Row(name, name, figures, measure=lambda *_: {})


def _widths(*rows: RowResult) -> dict[str, float]:
    """Of the bars, by what they are."""
    results = Results("A & B", 1, Load(1), rows=list(rows))
    picture = ElementTree.fromstring(svg(results))
    return {
        title.text or "": float(bar.attrib["width"])
        for bar in picture.iter(f"{_SVG}rect")
        for title in bar.iter(f"{_SVG}title")
    }


def test_throughput_is_linear() -> None:
    widths = _widths(
        RowResult(
            _row("publish", Figure("rate", "msg/s")),
            {"ours": [{"rate": 300}], "stock": [{"rate": 100}]},
        )
    )
    assert widths.keys() == {"publish, ours", "publish, stock"}
    assert round(widths["publish, ours"] / widths["publish, stock"], 2) == 3


def test_latency_is_logarithmic() -> None:
    times = {"p50": 1, "p99": 10, "p99.9": 100, "max": NEVER}
    widths = _widths(
        RowResult(_row("echo", *latency_figures()), {"ours": [times]})
    )
    assert widths["echo p50, ours"] == 0
    assert round(widths["echo p99.9, ours"] / widths["echo p99, ours"], 2) == 2
    assert widths["echo max, ours"] == widths["echo p99.9, ours"]


def test_a_rate_of_zero_and_rows_without_either_are_no_matter() -> None:
    widths = _widths(
        RowResult(
            _row("drain", Figure("rate", "msg/s")), {"stock": [{"rate": 0}]}
        ),
        RowResult(
            _row("idle", Figure("wake-ups", "1/s")),
            {"ours": [{"wake-ups": 1}]},
        ),
    )
    assert not any(widths.values())
