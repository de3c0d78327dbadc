# SPDX-License-Identifier: GPL-3.0-or-later
"""Where each message of a run has come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """`sent` by one side, who were told that they are taken over, and
    `received` by the other.

    Of what is missing there, `held` had been entrusted to the killed Kamailio
    alone, and died with it: for messages from it, no broker has acknowledged
    them; of messages to it, it has acknowledged them and run no event route.
    `recovered` the cluster had kept for the killed Kamailio, and given to the
    one who came for it. What is left is `lost`.
    """

    sent: int
    received: int
    held: frozenset[int]
    recovered: frozenset[int]
    lost: frozenset[int]
    twice: frozenset[int]


def account(
    sent: Iterable[int],
    received: Iterable[int],
    *,
    held: Iterable[int] = (),
    recovered: Iterable[int] = (),
) -> Account:
    times = Counter(received)
    missing = set(sent) - set(times)
    kept = missing & set(recovered)
    died = (missing - kept) & set(held)
    return Account(
        sent=len(set(sent)),
        received=len(times),
        held=frozenset(died),
        recovered=frozenset(kept),
        lost=frozenset(missing - kept - died),
        twice=frozenset(n for n, count in times.items() if count > 1),
    )


@dataclass(frozen=True)
class Phase:
    """A part of a run. `handled` has how many messages each node has handled
    in it."""

    name: str
    handled: Sequence[int]

    def share(self, node: int) -> float:
        """Of all that was handled, in per cent."""
        return 100 * self.handled[node] / max(1, sum(self.handled))
