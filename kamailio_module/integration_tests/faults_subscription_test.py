# SPDX-License-Identifier: GPL-3.0-or-later
"""Subscriptions that the broker refuses or forgets."""

from __future__ import annotations

from kamailio_module.integration_tests.traffic import (
    Traffic,
    start_kamailio,
)
from tools.harness import fake_broker, mqtt_packets
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker, Session
from tools.harness.ledger import Ledger
from tools.harness.mqtt_packets import Packet, PacketType

# Subscribes once, at the start.
SUBSCRIBE_ONCE = """
    event_route[core:worker-one-init] {
        mqtt_subscribe("first/#", 1);
        mqtt_subscribe("second", 2);
    }"""


def test_refused_subscriptions_are_said_and_counted(
    environment: Environment,
) -> None:
    broker = environment.own(FakeBroker(fake_broker.refuse_subscriptions))
    kamailio = start_kamailio(environment, broker, routes=SUBSCRIBE_ONCE)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait("refusals", lambda: ledger["subscriptions_refused"] == 2)
    for topic_filter in ("first/#", "second"):
        kamailio.wait_for_log(f'cannot subscribe to "{topic_filter}": ')

    # And nothing else suffers.
    traffic.publish(100)
    ledger.wait_delivered()
    counters = ledger.check(traffic)
    assert (counters["connects"], counters["disconnects"]) == (1, 0)


def test_subscriptions_are_restored_before_the_next_message(
    environment: Environment,
) -> None:
    packets: list[Packet] = []

    def record(session: Session) -> None:
        session.accept_connect()
        packets.clear()
        while (packet := session.read()) is not None:
            packets.append(packet)
            session.answer(packet)

    def subscribed() -> list[tuple[str, int]]:
        return [
            subscription
            for packet in packets
            if packet.type == PacketType.SUBSCRIBE
            for subscription in mqtt_packets.subscriptions(packet)
        ]

    broker = environment.own(FakeBroker(record))
    kamailio = start_kamailio(environment, broker, routes=SUBSCRIBE_ONCE)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    broker.wait_received(PacketType.SUBSCRIBE, 2)
    wanted = [("first/#", 1), ("second", 2)]
    assert subscribed() == wanted

    broker.script = fake_broker.silent
    broker.cut()
    ledger.wait("the loss", lambda: ledger["disconnects"] == 1)
    traffic.publish(100)
    broker.script = record
    broker.cut()
    ledger.wait_delivered()

    ledger.check(traffic)
    assert sorted(subscribed()) == wanted
    kinds = [packet.type for packet in packets]
    assert kinds[:2] == [PacketType.SUBSCRIBE] * 2
    assert kinds[2:] == [PacketType.PUBLISH] * 100
