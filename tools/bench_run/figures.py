# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured, and what can be said of several runs of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# One run's values, by the names of the figures. A figure that has none, such as
# the time of an answer that never came, is infinite.
Measurement = Mapping[str, float]

NEVER = math.inf


@dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    more_is_better: bool = False


@dataclass(frozen=True)
class Summary:
    """Of the runs of one subject."""

    median: float
    least: float
    most: float


def summary(values: Sequence[float]) -> Summary:
    return Summary(statistics.median(values), min(values), max(values))


def ratio(value: float, base: float) -> float | None:
    """None where it says nothing."""
    if base == 0 or math.isinf(value) or math.isinf(base):
        return None
    return value / base


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that this share of them does not exceed."""
    if not values:
        return NEVER
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


LATENCY_PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def latency_figures(prefix: str = "") -> tuple[Figure, ...]:
    return tuple(
        Figure(f"{prefix}{name}", "ms") for name in LATENCY_PERCENTILES
    )


def latencies(values: Sequence[float], prefix: str = "") -> dict[str, float]:
    """Values in seconds as latency_figures()."""
    return {
        f"{prefix}{name}": 1e3 * percentile(values, share)
        for name, share in LATENCY_PERCENTILES.items()
    }
