# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: the statistics of the module, and what must hold among them
(mqtt_core/statistics.h)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from tools.harness.kamailio import Kamailio
from tools.harness.waiting import DEADLINE, wait_for

EVERY_QOS = (0, 1, 2)

_DROPPED = (
    "dropped_ttl",
    "dropped_oldest",
    "dropped_invalid",
    "dropped_refused",
    "dropped_shutdown",
    "withdrawn",
)


class Publisher(Protocol):
    """Who has published, and counted what the calls returned."""

    def accepted_count(self, qos: int) -> int: ...

    def refused_count(self) -> int: ...


class Ledger:
    """The statistics of a Kamailio's module."""

    def __init__(self, kamailio: Kamailio) -> None:
        self._kamailio = kamailio

    def read(self) -> dict[str, int]:
        answer = self._kamailio.rpc("stats.get_statistics", "mqtt:")
        return {
            name: int(value)
            for name, value in re.findall(r"mqtt:(\w+) = (-?\d+)", answer)
        }

    def __getitem__(self, name: str) -> int:
        """A counter, or the sum of those by QoS."""
        return total(self.read(), name)

    def wait(
        self,
        what: str,
        condition: Callable[[], bool],
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """Waits for a condition, which compares counters."""
        self._kamailio.process.wait_until(condition, what, deadline=deadline)

    def wait_connected(self, *, deadline: float = DEADLINE) -> None:
        self.wait(
            "a connection", lambda: self["connected"] == 1, deadline=deadline
        )

    def wait_not_reached(self, attempts: int = 1) -> None:
        self.wait(
            f"{attempts} failed attempts to connect",
            lambda: self["connect_failures"] >= attempts,
        )

    def wait_delivered(self, *, deadline: float = DEADLINE) -> None:
        self.wait(
            "an empty queue", lambda: self["queued"] == 0, deadline=deadline
        )

    def check(
        self, publisher: Publisher, *, torn: int = 0
    ) -> dict[str, int]:
        """Asserts that every message is accounted for, once the counters are
        at rest; returns them."""
        expected = {
            f"accepted_qos{qos}": publisher.accepted_count(qos)
            for qos in EVERY_QOS
        }
        # The last requests may still be on their way to the dispatcher.
        self.wait(
            "every accepted message to be taken over",
            lambda: expected.items() <= self.read().items(),
        )
        counters = self._at_rest()
        for qos in EVERY_QOS:
            of_qos = {
                name.removesuffix(f"_qos{qos}"): value
                for name, value in counters.items()
                if name.endswith(f"_qos{qos}")
            }
            confirmed, other = "acknowledged", "written"
            if qos == 0:
                confirmed, other = other, confirmed
            assert expected[f"accepted_qos{qos}"] == (
                of_qos[confirmed]
                + of_qos["queued"]
                + sum(of_qos[name] for name in _DROPPED)
                + of_qos["possibly_lost"]
            ), of_qos
            assert of_qos[other] == 0, of_qos
        refused = publisher.refused_count()
        assert counters["refused_queue_full"] == refused, (refused, counters)
        assert counters["torn"] == torn, counters
        return counters

    def _at_rest(self) -> dict[str, int]:
        """The counters, once two looks in a row see the same."""
        looks = [self.read()]

        def same() -> bool:
            looks.append(self.read())
            return looks[-1] == looks[-2]

        wait_for(same, "the counters to rest")
        return looks[-1]


def total(counters: dict[str, int], name: str) -> int:
    """A counter, or the sum of those by QoS."""
    if name in counters:
        return counters[name]
    return sum(counters[f"{name}_qos{qos}"] for qos in EVERY_QOS)
