# SPDX-License-Identifier: GPL-3.0-or-later
"""Outages that last longer than the queue takes messages."""

from __future__ import annotations

import math
import time

import pytest

from kamailio_module.integration_tests.traffic import (
    Traffic,
    start_kamailio,
)
from tools.harness.broker import Broker
from tools.harness.delivered import Delivered
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio
from tools.harness.ledger import Ledger
from tools.harness.process import resident_memory


@pytest.fixture(name="broker")
def _broker(environment: Environment) -> Broker:
    """One that is down, and may be started."""
    broker = environment.broker()
    broker.kill()
    return broker


def assert_at_most_one_line_a_second(
    kamailio: Kamailio, text: str, since: float
) -> None:
    lines = kamailio.log().count(text)
    assert 0 < lines <= math.ceil(time.monotonic() - since)


@pytest.mark.parametrize(
    ("parameter", "limit", "gauge", "at_least"),
    [
        ("queue_max_messages", 500, "queued_qos1", 500),
        ("queue_max_bytes", 100000, "queued_bytes", 98000),
    ],
)
def test_a_full_queue_refuses(
    environment: Environment,
    broker: Broker,
    parameter: str,
    limit: int,
    gauge: str,
    at_least: int,
) -> None:
    kamailio = start_kamailio(
        environment, broker, children=1, **{parameter: limit}
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    start = time.monotonic()
    traffic.publish(8000, size=1000)
    assert len(traffic.accepted() + traffic.refused()) == 8000
    assert_at_most_one_line_a_second(kamailio, "queue is full", start)
    assert at_least <= ledger.check(traffic)[gauge] <= limit

    broker.start()
    ledger.wait_delivered()
    traffic.publish(1)
    ledger.wait_delivered()
    ledger.check(traffic)
    assert Delivered(broker).numbers == traffic.accepted()


def test_a_full_queue_drops_the_oldest(
    environment: Environment, broker: Broker
) -> None:
    kamailio = start_kamailio(
        environment,
        broker,
        children=1,
        queue_max_messages=500,
        queue_policy="drop_oldest",
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    start = time.monotonic()
    traffic.publish(8000)
    assert len(traffic.accepted()) == 8000
    counters = ledger.check(traffic)
    assert counters["queued_qos1"] == 500
    assert counters["dropped_oldest_qos1"] == 7500
    assert_at_most_one_line_a_second(
        kamailio, "dropped: the oldest made room", start
    )

    broker.start()
    ledger.wait_delivered()
    ledger.check(traffic)
    assert Delivered(broker).numbers == list(range(7501, 8001))


def test_messages_older_than_their_time_to_live_are_dropped(
    environment: Environment, broker: Broker
) -> None:
    kamailio = start_kamailio(environment, broker, queue_ttl=1)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(500)
    ledger.wait("the drops", lambda: ledger["dropped_ttl"] == 500)
    kamailio.wait_for_log("dropped: older than queue_ttl")
    broker.start()
    ledger.wait_connected()
    traffic.publish(1)
    ledger.wait_delivered()
    ledger.check(traffic)
    assert Delivered(broker).numbers == [501]


def test_an_outage_at_a_high_rate(
    environment: Environment, broker: Broker
) -> None:
    kamailio = start_kamailio(
        environment, broker, children=1, queue_max_messages=10000
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_not_reached()
    dispatcher = kamailio.dispatcher_pid()
    memory = resident_memory(dispatcher)
    traffic.publish(12000, size=500)
    assert len(traffic.accepted()) == 10000
    assert len(traffic.refused()) == 2000
    assert resident_memory(dispatcher) - memory < 20 << 20

    broker.start()
    ledger.wait_connected()
    start = time.monotonic()
    ledger.wait_delivered()
    assert time.monotonic() - start < 10
    ledger.check(traffic)
    assert Delivered(broker).numbers == traffic.accepted()


def test_a_backlog_of_every_qos_does_not_ask_too_much_of_the_broker(
    environment: Environment, broker: Broker
) -> None:
    """A mosquitto with as many unreleased messages of QoS 2 as it allows takes
    none of QoS 1 either."""
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    for qos in (2, 1, 0):
        traffic.publish(100, qos=qos)
    broker.start()
    ledger.wait_delivered()
    counters = ledger.check(traffic)
    assert (counters["connects"], counters["disconnects"]) == (1, 0)
    assert sorted(Delivered(broker).numbers) == traffic.accepted()
