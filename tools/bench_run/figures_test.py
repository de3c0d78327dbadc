# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tools.bench_run.figures import (
    NEVER,
    Summary,
    latencies,
    latency_figures,
    percentile,
    ratio,
    summary,
)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 500), (0.99, 990), (0.999, 999), (1, 1000)]
)
def test_percentile(share: float, expected: int) -> None:
    assert percentile(list(range(1000, 0, -1)), share) == expected


def test_nothing_that_came_has_no_percentile() -> None:
    assert percentile([], 0.5) == NEVER


def test_summary() -> None:
    assert summary([3, 1, 8]) == Summary(3, 1, 8)


def test_summary_of_runs_most_of_which_never_ended() -> None:
    assert summary([NEVER, 1, NEVER]) == Summary(NEVER, 1, NEVER)


def test_ratio() -> None:
    assert ratio(3, 2) == 1.5


@pytest.mark.parametrize(("value", "base"), [(1, 0), (NEVER, 1), (1, NEVER)])
def test_no_ratio(value: float, base: float) -> None:
    assert ratio(value, base) is None


def test_every_latency_figure_has_its_value_in_milliseconds() -> None:
    values = latencies([0.25, 0.75], "answer ")
    assert values == {
        "answer p50": 250,
        "answer p99": 750,
        "answer p99.9": 750,
        "answer max": 750,
    }
    assert list(values) == [
        figure.name for figure in latency_figures("answer ")
    ]
