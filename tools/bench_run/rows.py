# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows: what tools/bench can measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tools.bench_run.figures import Figure, Measurement
from tools.bench_run.node import OURS, STOCK, Module
from tools.harness.environment import Environment

LIMIT = "libmosquitto"


# What is left of a run once all that wait together have begun.
Rest = Callable[[], Measurement]


@dataclass(frozen=True)
class Load:
    """How much is measured."""

    messages: int  # In a series of messages.
    outage: float = 60.0  # Seconds for which the broker is away.

    def of(self, share: float) -> int:
        """A share of them, in thousands, for what takes longer."""
        return max(1, round(self.messages * share / 1000)) * 1000


@dataclass(frozen=True)
class Row:
    """`measure` runs the module in an environment of its own; `limit`, where
    there is one, libmosquitto alone.

    Where runs have to wait and do nothing meanwhile, `begin` stands in the
    place of `measure`: all of the row's runs begin before the first one's rest
    is called, so that they wait together.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    measure: Callable[[Environment, Module, Load], Measurement] | None = None
    limit: Callable[[Environment, Load], Measurement] | None = None
    modules: tuple[Module, ...] = (OURS, STOCK)
    begin: Callable[[Environment, Module, Load], Rest] | None = None

    @property
    def subjects(self) -> list[str]:
        names = [module.name for module in self.modules]
        return names + ([LIMIT] if self.limit is not None else [])

    @property
    def waits_together(self) -> bool:
        return self.begin is not None

    def begin_run(
        self, environment: Environment, subject: str, load: Load
    ) -> Rest:
        if subject == LIMIT:
            assert self.limit is not None
            return partial(self.limit, environment, load)
        (module,) = (each for each in self.modules if each.name == subject)
        if self.begin is not None:
            return self.begin(environment, module, load)
        assert self.measure is not None
        return partial(self.measure, environment, module, load)
