# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows: what tools/bench can measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tools.bench_run.figures import Figure, Measurement
from tools.bench_run.node import OURS, STOCK, Module
from tools.harness.environment import Environment

LIMIT = "libmosquitto"


@dataclass(frozen=True)
class Load:
    """How much is measured."""

    messages: int  # In a series of messages.

    def of(self, share: float) -> int:
        """A share of them, in thousands, for what takes longer."""
        return max(1, round(self.messages * share / 1000)) * 1000


@dataclass(frozen=True)
class Row:
    """`measure` runs the module in an environment of its own; `limit`, where
    there is one, libmosquitto alone."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Environment, Module, Load], Measurement]
    limit: Callable[[Environment, Load], Measurement] | None = None
    modules: tuple[Module, ...] = (OURS, STOCK)

    @property
    def subjects(self) -> list[str]:
        names = [module.name for module in self.modules]
        return names + ([LIMIT] if self.limit is not None else [])

    def run(
        self, environment: Environment, subject: str, load: Load
    ) -> Measurement:
        if subject == LIMIT:
            assert self.limit is not None
            return self.limit(environment, load)
        for module in self.modules:
            if module.name == subject:
                return self.measure(environment, module, load)
        raise ValueError(f"{self.name} has no {subject}")
