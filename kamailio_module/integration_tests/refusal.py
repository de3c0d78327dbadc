# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds wherever the broker refuses a connection: the reason is said once,
the dispatcher does not spin, and the next attempts follow."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tools.harness.kamailio import Kamailio

_RAN = "the disconnected route ran"

# For the configuration; shows that there was no connection to lose.
DISCONNECTED_ROUTE = f"""
event_route[mqtt:disconnected] {{
    xlog("{_RAN}\\n");
}}
"""

# Of one processor. An attempt takes a few milliseconds each second.
_MOST_CPU = 0.25


def statistic(kamailio: Kamailio, name: str) -> int:
    """One of the module's counters."""
    answer = kamailio.rpc("stats.fetchn", f"mqtt:{name}")
    return int(answer.partition(f"mqtt.{name}:")[2].split()[0])


def wait_for_failures(kamailio: Kamailio, count: int) -> None:
    """Waits until so many attempts to connect have failed."""
    kamailio.process.wait_until(
        lambda: statistic(kamailio, "connect_failures") >= count,
        f"{count} attempts that fail",
    )


def check_refused(kamailio: Kamailio, reason: str) -> None:
    """Follows a started Kamailio, with DISCONNECTED_ROUTE, through two attempts
    that fail for the same reason."""
    wait_for_failures(kamailio, 1)
    dispatcher = kamailio.dispatcher_pid()
    start, cpu_before = time.monotonic(), _cpu_seconds(dispatcher)
    wait_for_failures(kamailio, 2)
    elapsed = time.monotonic() - start
    cpu = _cpu_seconds(dispatcher) - cpu_before

    errors = [
        line
        for line in kamailio.log().splitlines()
        if "ERROR: mqtt: cannot connect to" in line
    ]
    assert len(errors) == 1, errors
    assert reason in errors[0]
    assert statistic(kamailio, "connects") == 0
    assert _RAN not in kamailio.log()
    assert cpu < _MOST_CPU * elapsed


def _cpu_seconds(pid: int) -> float:
    """What a process has used, its threads included."""
    stat = Path("/proc", str(pid), "stat").read_text()
    # The command name is in parentheses and may contain anything.
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
