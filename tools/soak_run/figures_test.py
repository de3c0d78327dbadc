# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from tools.soak_run.figures import (
    HEALTHY,
    Period,
    answer_times,
    growths,
    percentile,
)
from tools.soak_run.monitor import Sample, Usage
from tools.soak_run.sip_load import Request


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 500), (0.99, 990), (0.999, 999), (1, 1000)]
)
def test_percentile(share: float, expected: int) -> None:
    assert percentile(range(1, 1001), share) == expected


def _request(sent_at: float, latency: float) -> Request:
    return Request(1, 0, 1, sent_at, latency)


def test_requests_count_for_the_period_in_which_they_were_sent() -> None:
    periods = [
        Period(HEALTHY, 10, 20),
        Period("broker killed", 20.5, 30),
        Period(HEALTHY, 31, 40),
    ]
    outside = [_request(at, 9) for at in (9.9, 20.2, 30.5, 40.1)]
    healthy, killed = answer_times(
        [
            *outside,
            _request(10, 0.002),
            _request(35, 0.001),
            _request(29.9, 0.006),
        ],
        periods,
    )
    assert (healthy.kind, healthy.periods, healthy.requests) == (HEALTHY, 2, 2)
    assert (healthy.median, healthy.longest) == (0.001, 0.002)
    assert (killed.kind, killed.requests) == ("broker killed", 1)
    assert killed.longest == 0.006


@pytest.mark.parametrize(
    ("slow", "within"), [(0.0049, True), (0.0051, False)]
)
def test_the_limit_of_answer_times(slow: float, within: bool) -> None:
    healthy, stalled = answer_times(
        [_request(0.5, 0.002), _request(1.5, slow)],
        [Period(HEALTHY, 0, 1), Period("short stall", 1, 2)],
    )
    assert stalled.is_within(healthy) == within


def _sample(*, resident: int = 0, descriptors: int = 0) -> Sample:
    usage = Usage(resident, 0, descriptors)
    return Sample(0, usage, usage, 0)


def test_growth_from_the_highest_to_the_highest() -> None:
    small, large = 10 << 20, 15 << 20
    found = {
        growth.name: growth
        for growth in growths(
            warm=[_sample(resident=small), _sample(descriptors=5)],
            end=[_sample(resident=large), _sample(descriptors=5)],
            all_along=[_sample(descriptors=7)],
        )
    }
    resident = found["dispatcher, resident"]
    assert (resident.warm, resident.end, resident.peak) == (
        small,
        large,
        large,
    )
    assert not resident.is_flat
    descriptors = found["worker, descriptors"]
    assert (descriptors.warm, descriptors.end, descriptors.peak) == (5, 5, 7)
    assert descriptors.is_flat
