# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a condition, with a deadline and a failure that says what was
missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds. Only a failing test ever waits this long.
DEADLINE = 30.0

_POLL_INTERVAL = 0.01


class Timeout(AssertionError):
    """A condition did not come true before its deadline."""


def wait_for(
    condition: Callable[[], T],
    what: str,
    *,
    deadline: float = DEADLINE,
    details: Callable[[], str] | None = None,
) -> T:
    """Polls `condition` until it returns something true, and returns that.

    `what` completes the sentence "waited 30 s for ..."; `details` is called
    for more to say, such as the end of a log.
    """
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            message = f"waited {deadline:g} s for {what}"
            if details is not None:
                message += "\n" + details()
            raise Timeout(message)
        time.sleep(_POLL_INTERVAL)
