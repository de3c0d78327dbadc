# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has found, in figures: answer times of SIP requests during each
kind of fault, and the growth of memory and descriptors."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tools.soak_run.monitor import Sample
from tools.soak_run.sip_load import Request

HEALTHY = "healthy"

_FACTOR = 2.0
_MARGIN = 0.001  # Seconds.


@dataclass(frozen=True)
class Period:
    """A time with a fault of some kind, up to the end of the recovery, or a
    healthy one; by time.monotonic()."""

    kind: str
    begin: float
    end: float


@dataclass(frozen=True)
class AnswerTimes:
    """Of the requests sent during periods of a kind, in seconds."""

    kind: str
    periods: int
    requests: int
    median: float
    percentile_99: float
    percentile_99_9: float
    longest: float

    def is_within(self, healthy: AnswerTimes) -> bool:
        """Whether the 99.9th percentile is at most twice the healthy one plus
        a millisecond."""
        limit = _FACTOR * healthy.percentile_99_9 + _MARGIN
        return self.percentile_99_9 <= limit


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def answer_times(
    requests: Iterable[Request], periods: Sequence[Period]
) -> list[AnswerTimes]:
    """For each kind of period; the healthy ones first. Periods are in order
    and don't overlap."""
    begins = [period.begin for period in periods]
    latencies: dict[str, list[float]] = {HEALTHY: []}
    for period in periods:
        latencies.setdefault(period.kind, [])
    for request in requests:
        index = bisect.bisect(begins, request.sent_at) - 1
        if index >= 0 and request.sent_at <= periods[index].end:
            latencies[periods[index].kind].append(request.latency)
    return [
        _answer_times(
            kind,
            sum(period.kind == kind for period in periods),
            sorted(of_kind),
        )
        for kind, of_kind in latencies.items()
        if of_kind
    ]


def _answer_times(
    kind: str, periods: int, ordered: Sequence[float]
) -> AnswerTimes:
    return AnswerTimes(
        kind,
        periods,
        len(ordered),
        percentile(ordered, 0.5),
        percentile(ordered, 0.99),
        percentile(ordered, 0.999),
        ordered[-1],
    )


@dataclass(frozen=True)
class Resource:
    """Something that must not grow by more than `tolerance`."""

    name: str
    tolerance: int
    value: Callable[[Sample], int]


_RESIDENT = 4 << 20
_PRIVATE = 64 << 10

# Private memory and descriptors are exact. Resident memory depends on how the
# allocator has cut it up; a leak of 20 bytes a message would show.
RESOURCES = (
    Resource(
        "dispatcher, resident", _RESIDENT, lambda s: s.dispatcher.resident
    ),
    Resource("dispatcher, private", _PRIVATE, lambda s: s.dispatcher.private),
    Resource("dispatcher, descriptors", 0, lambda s: s.dispatcher.descriptors),
    Resource("worker, resident", _RESIDENT, lambda s: s.worker.resident),
    Resource("worker, private", _PRIVATE, lambda s: s.worker.private),
    Resource("worker, descriptors", 0, lambda s: s.worker.descriptors),
    Resource("shared memory", 64 << 10, lambda s: s.shared),
)


@dataclass(frozen=True)
class Growth:
    """Of a resource: the highest values after warm-up and at the end, both
    while nothing flowed, and the highest of all."""

    name: str
    warm: int
    end: int
    peak: int
    tolerance: int

    @property
    def is_flat(self) -> bool:
        return self.end - self.warm <= self.tolerance


def growths(
    warm: Sequence[Sample], end: Sequence[Sample], all_along: Sequence[Sample]
) -> list[Growth]:
    return [
        Growth(
            resource.name,
            max(map(resource.value, warm)),
            max(map(resource.value, end)),
            max(map(resource.value, (*warm, *end, *all_along))),
            resource.tolerance,
        )
        for resource in RESOURCES
    ]
