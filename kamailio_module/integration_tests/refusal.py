# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds wherever the broker refuses a connection: the reason is said once,
the dispatcher does not spin, and the next attempts follow."""

from __future__ import annotations

import time

from tools.harness.kamailio import Kamailio
from tools.harness.ledger import Ledger
from tools.harness.process import processor_time

# For the configuration; shows that there was no connection to lose.
DISCONNECTED_ROUTE = """
event_route[mqtt:disconnected] {
    xlog("the disconnected route ran\\n");
}
"""

# Of one processor. An attempt takes some milliseconds, each second.
_MOST_PROCESSOR_TIME = 0.25


def check_refused(kamailio: Kamailio, reason: str) -> None:
    """Follows a started Kamailio, with DISCONNECTED_ROUTE, through two attempts
    that fail for the same reason."""
    ledger = Ledger(kamailio)
    ledger.wait_not_reached(1)
    dispatcher = kamailio.dispatcher_pid()
    start, before = time.monotonic(), processor_time(dispatcher)
    ledger.wait_not_reached(2)
    elapsed = time.monotonic() - start
    used = processor_time(dispatcher) - before

    (error,) = (
        line for line in kamailio.log().splitlines() if "ERROR: mqtt" in line
    )
    assert "mqtt: cannot connect to " in error
    assert reason in error
    assert ledger["connects"] == 0
    assert "the disconnected route ran" not in kamailio.log()
    assert used < _MOST_PROCESSOR_TIME * elapsed
