# SPDX-License-Identifier: GPL-3.0-or-later
"""Another broker, RabbitMQ, that dies and comes back while messages flow."""

from __future__ import annotations

from kamailio_module.integration_tests.traffic import (
    NUMBERS,
    Traffic,
    arrived_until_now,
    start_kamailio,
)
from tools.harness.delivered import duplicates
from tools.harness.environment import Environment
from tools.harness.ledger import Ledger
from tools.harness.mqtt_client import MqttClient

RATE = 200  # Messages a second.


def test_a_restart_of_rabbitmq(environment: Environment) -> None:
    broker = environment.rabbitmq()
    subscriber = environment.own(
        MqttClient(broker.port, client_id="subscriber", clean_session=False)
    )
    subscriber.subscribe(NUMBERS, 1)
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    with traffic.flowing(RATE, qos=[0, 1]) as flow:
        flow.wait(RATE)
        broker.kill()
        ledger.wait("the loss", lambda: ledger["disconnects"] == 1)
        published_before = len(flow.calls)
        flow.wait(RATE)
        broker.start()
        ledger.wait_connected()
        flow.wait(RATE)
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    # Also where the broker has not resumed its session.
    subscriber.wait_connected()
    subscriber.subscribe(NUMBERS, 1)
    arrived = arrived_until_now(subscriber, qos=1)
    assert not set(traffic.accepted(qos=1)) - set(arrived)
    # Of QoS 0 the broker forgets what it has not delivered yet; what came
    # later has waited in our queue.
    lost = set(traffic.accepted(qos=0)) - set(arrived)
    assert all(number <= published_before for number in lost)
    assert counters["possibly_lost_qos0"] <= published_before
    assert duplicates(arrived) <= set(traffic.accepted(qos=1))
    assert set(arrived) <= set(traffic.accepted())
