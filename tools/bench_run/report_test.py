# SPDX-License-Identifier: GPL-3.0-or-later

import json

import pytest

from tools.bench_run.figures import NEVER, Figure
from tools.bench_run.report import as_json, markdown, number, text
from tools.bench_run.rows import Load, Row
from tools.bench_run.runner import Results, RowResult

_ROW = Row(
    "one",
    "a row",
    (Figure("rate", "msg/s", more_is_better=True), Figure("p99", "ms")),
    measure=lambda *_: {},
    limit=lambda *_: {},
)


def _results() -> Results:
    measurements = {
        "ours": [
            {"rate": 3000, "p99": 1.5},
            {"rate": 2000, "p99": 1.5},
            {"rate": 4000, "p99": 1.5},
        ],
        "stock": [
            {"rate": 1000, "p99": NEVER},
            {"rate": 1000, "p99": 40.25},
            {"rate": 1000, "p99": NEVER},
        ],
        "libmosquitto": [{"rate": 6000}],
    }
    return Results(
        "a machine", 3, Load(9000), 90, [RowResult(_ROW, measurements)]
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (123456.7, "123,457"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0, "0"),
        (-3, "-3"),
        (NEVER, "never"),
    ],
)
def test_number(value: float, expected: str) -> None:
    assert number(value) == expected


def test_markdown_has_medians_spreads_and_ratios() -> None:
    lines = markdown(_results()).splitlines()
    assert lines[-2:] == [
        "| a row | rate | msg/s | 3,000 (2,000 to 4,000) | 1,000 | 3.00"
        " | 6,000 | 0.50 |",
        "|  | p99 | ms | 1.50 | never (40.2 to never) |  |  |  |",
    ]


def test_text_has_the_same() -> None:
    lines = [line.split() for line in text(_results()).splitlines()]
    rate = "rate msg/s 3,000 (2,000 to 4,000) 1,000 3.00 6,000 0.50"
    assert rate.split() in lines
    assert "p99 ms 1.50 never (40.2 to never)".split() in lines


def test_columns_without_a_value_are_left_out() -> None:
    results = _results()
    del results.rows[0].measurements["libmosquitto"]
    del results.rows[0].measurements["stock"]
    lines = markdown(results).splitlines()
    assert lines[-4:-1] == [
        "|  |  | unit | ours |",
        "| --- | --- | --- | --- |",
        "| a row | rate | msg/s | 3,000 (2,000 to 4,000) |",
    ]


def test_json_has_every_value() -> None:
    document = json.loads(as_json(_results()))
    assert document["messages"] == 9000
    figures = document["rows"]["one"]["figures"]
    assert figures["rate"]["values"]["ours"] == [3000, 2000, 4000]
    assert figures["rate"]["ratio_to_stock"] == 3
    assert figures["rate"]["ratio_to_libmosquitto"] == 0.5
    assert figures["p99"]["values"]["stock"] == [None, 40.25, None]
    assert figures["p99"]["ratio_to_stock"] is None


def test_what_failed_is_told() -> None:
    results = _results()
    results.rows[0].failures.append("one, stock: it ended")
    assert "FAILED one, stock: it ended" in text(results)
    assert "FAILED one, stock: it ended" in markdown(results)
    assert json.loads(as_json(results))["failures"] == ["one, stock: it ended"]
