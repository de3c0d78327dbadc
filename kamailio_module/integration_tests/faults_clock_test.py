# SPDX-License-Identifier: GPL-3.0-or-later
"""A wall clock that jumps."""

from __future__ import annotations

import datetime
import struct
from pathlib import Path

from kamailio_module.integration_tests.preload import preload
from kamailio_module.integration_tests.scene import CLIENT_ID
from kamailio_module.integration_tests.traffic import Traffic, start_kamailio
from tools.harness.delivered import Delivered
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio
from tools.harness.ledger import Ledger

DAY = datetime.timedelta(days=1)


class ShiftedClock:
    """The wall clock of the programs with these environment variables."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "shift"
        self._path.write_bytes(struct.pack("=q", 0))
        self.variables = {"SHIFTED_CLOCK": str(self._path)} | preload(
            "shifted_clock.c", directory
        )

    def shift(self, by: datetime.timedelta) -> None:
        with self._path.open("r+b") as file:
            file.write(struct.pack("=q", int(by.total_seconds())))


def clock_of(kamailio: Kamailio) -> datetime.datetime:
    for line in kamailio.rpc("core.uptime").splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "now":
            return datetime.datetime.strptime(value, "%a %b %d %H:%M:%S %Y")
    raise AssertionError("core.uptime says no time")


def test_jumps_of_the_wall_clock(environment: Environment) -> None:
    clock = ShiftedClock(environment.new_directory("clock"))
    broker = environment.broker()
    kamailio = start_kamailio(
        environment,
        broker,
        variables=clock.variables,
        keepalive=5,
        queue_ttl=3600,
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    before = clock_of(kamailio)
    clock.shift(DAY)
    assert clock_of(kamailio) - before >= DAY

    # While connected.
    traffic.publish(100)
    ledger.wait_delivered()
    broker.process.wait_for_log(f"Received PINGREQ from {CLIENT_ID}")
    assert ledger["disconnects"] == 0

    # While messages wait, forward and back.
    broker.kill()
    ledger.wait("the loss", lambda: ledger["disconnects"] == 1)
    traffic.publish(100)
    clock.shift(2 * DAY)
    attempts = ledger["connect_failures"]
    ledger.wait_not_reached(attempts + 1)
    clock.shift(-DAY)
    assert clock_of(kamailio) < before
    ledger.wait_not_reached(attempts + 2)
    broker.start()
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    assert counters["acknowledged_qos1"] == 200
    assert counters["disconnects"] == 1
    assert set(Delivered(broker).numbers) == set(traffic.accepted())
