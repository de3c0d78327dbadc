# SPDX-License-Identifier: GPL-3.0-or-later
"""More messages from the broker than the event routes can deal with."""

from __future__ import annotations

import math
import threading
import time

from kamailio_module.integration_tests.scene import CLIENT_ID
from kamailio_module.integration_tests.traffic import (
    NUMBERS,
    Traffic,
    arrived_until_now,
    start_kamailio,
    stop_in_time,
)
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker, Session
from tools.harness.ledger import EVERY_QOS, Ledger
from tools.harness.mqtt_packets import Publish
from tools.harness.process import resident_memory

# The limit of the queue.
QUEUED = 10000

BUSY = "the event route is busy"
OVER = "the event route is over"


def slow_route(seconds: int) -> str:
    return f"""
    event_route[mqtt:message] {{
        xlog("{BUSY}\\n");
        exec_cmd("sleep {seconds}");
        xlog("{OVER}\\n");
    }}
    event_route[mqtt:connected] {{
        mqtt_subscribe("in", 2);
    }}"""


def test_requests_during_an_event_route(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment, broker, modules=("exec",), routes=slow_route(5)
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    client = environment.mqtt_client(broker)
    client.subscribe(NUMBERS)
    broker.wait_for_subscription("in")
    client.publish("in")
    kamailio.wait_for_log(BUSY)
    for qos, count in zip(EVERY_QOS, (700, 700, 600), strict=True):
        traffic.publish(count, qos=qos)
    ledger.wait_delivered()
    arrived = arrived_until_now(client)
    assert OVER not in kamailio.log()

    ledger.check(traffic)
    assert len(traffic.accepted()) == 2000
    assert sorted(arrived) == traffic.accepted()


def test_an_event_route_that_sleeps_for_a_minute(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment,
        broker,
        modules=("exec",),
        routes=slow_route(60),
        keepalive=5,
        drain_timeout=500,
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    client = environment.mqtt_client(broker)
    client.subscribe(NUMBERS)
    broker.wait_for_subscription("in")
    client.publish("in")
    kamailio.wait_for_log(BUSY)

    def pings() -> int:
        return broker.log().count(f"Received PINGREQ from {CLIENT_ID}")

    # The second shows that the broker has not given up after the first.
    kamailio.process.wait_until(lambda: pings() >= 2, "keep alive")
    traffic.publish(100)
    ledger.wait_delivered()
    ledger.check(traffic)
    assert sorted(arrived_until_now(client)) == traffic.accepted()
    assert ledger["disconnects"] == 0

    stop_in_time(kamailio, 0.5)
    assert "stopping while an event route still runs" in kamailio.log()
    assert OVER not in kamailio.log()
    broker.process.wait_for_log(f"Received DISCONNECT from {CLIENT_ID}")


def test_a_flood_from_the_broker(environment: Environment) -> None:
    payload = b"x" * 1000
    begin = threading.Event()

    def flood(session: Session) -> None:
        session.accept_connect()
        session.send(Publish("in", b"", qos=1, packet_id=1).encode())
        begin.wait()
        for _ in range(QUEUED + 2000):
            session.send(Publish("in", payload).encode())
        for number in range(QUEUED + 1000):
            session.send(
                Publish("in", payload, qos=1, packet_id=number + 2).encode()
            )
        session.serve()

    broker = environment.own(FakeBroker(flood))
    kamailio = start_kamailio(
        environment,
        broker,
        modules=("exec",),
        routes=slow_route(60),
        drain_timeout=500,
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    kamailio.wait_for_log(BUSY)
    dispatcher = kamailio.dispatcher_pid()
    memory = resident_memory(dispatcher)
    start = time.monotonic()
    with traffic.flowing(500, qos=EVERY_QOS):
        begin.set()
        ledger.wait(
            "the flood", lambda: ledger["received"] == 2 * QUEUED + 3001
        )
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    assert counters["inbound_queued"] == QUEUED
    # QoS 0 goes first.
    assert counters["inbound_dropped_qos0"] == QUEUED + 2000
    assert counters["inbound_dropped_qos1"] == 1000
    assert resident_memory(dispatcher) - memory < 30 << 20
    lines = kamailio.log().count("the event routes are too slow")
    assert 0 < lines <= math.ceil(time.monotonic() - start)

    stop_in_time(kamailio, 0.5)
    assert (
        f"stopped with {QUEUED} message(s) from the broker not handled"
        in kamailio.log()
    )
