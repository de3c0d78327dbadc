# SPDX-License-Identifier: GPL-3.0-or-later
"""Brokers that die or hang, and connections that break, while messages
flow."""

from __future__ import annotations

import re

import pytest

from kamailio_module.integration_tests.scene import (
    CLIENT_ID,
    Listening,
    at,
)
from kamailio_module.integration_tests.traffic import (
    NUMBERS,
    Traffic,
    arrived_until_now,
    start_kamailio,
)
from tools.harness.delivered import Delivered, duplicates
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker, close_for
from tools.harness.kamailio import (
    Kamailio,
    KamailioConfiguration,
    Parameter,
)
from tools.harness.ledger import EVERY_QOS, Ledger, total
from tools.harness.process import resident_memory
from tools.harness.tcp_proxy import TcpProxy
from tools.harness.versions import libmosquitto_version

RATE = 600  # Messages a second.


@pytest.mark.parametrize("qos", EVERY_QOS)
def test_a_broker_that_is_killed_and_comes_back(
    environment: Environment, qos: int
) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    with traffic.flowing(RATE, qos=[qos]) as flow:
        flow.wait(RATE)
        # What comes between goes to a broker that will never see it.
        broker.pause()
        flow.wait(RATE // 10)
        broker.kill()
        flow.wait(3 * RATE)
        broker.start()
        broker.wait_for_client(CLIENT_ID)
        flow.wait(RATE)
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    assert counters["disconnects"] == 1
    assert len(traffic.accepted()) > 5 * RATE
    before, after = Delivered(broker).lives
    lost = set(traffic.accepted()) - set(before) - set(after)
    twice = duplicates(before + after)
    if qos == 0:
        assert 0 < len(lost) <= counters["possibly_lost_qos0"]
        assert not twice
    else:
        assert not lost
        assert not duplicates(before) and not duplicates(after)
    if qos == 2:
        # Nobody can know whether the last one was released.
        assert twice <= set(before[-1:])


def test_a_broker_that_keeps_sessions_over_a_restart(
    environment: Environment,
) -> None:
    broker = environment.broker(persistent=True)
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    with traffic.flowing(RATE, qos=[2]) as flow:
        for restart in (1, 2):
            flow.wait(RATE)
            broker.stop()
            broker.start()
            ledger.wait(
                "a reconnect", lambda: ledger["connects"] == restart + 1
            )
    ledger.wait_delivered()

    ledger.check(traffic)
    delivered = Delivered(broker, persistent=True).numbers
    assert not duplicates(delivered)
    assert set(delivered) == set(traffic.accepted())


def test_what_a_broker_has_kept_from_an_earlier_process_is_removed(
    environment: Environment,
) -> None:
    broker = environment.broker()
    first = start_kamailio(environment, broker)
    Ledger(first).wait_connected()
    # It ends without a word, with a session that knows its identifiers.
    Traffic(environment, first).publish(10, qos=2)
    Ledger(first).wait_delivered()
    first.close()
    kamailio = start_kamailio(
        environment,
        broker,
        routes='event_route[mqtt:connected] { mqtt_subscribe("in", 1); }',
    )
    ledger = Ledger(kamailio)
    ledger.wait_connected()
    assert ledger["connects"] == 1
    broker.wait_for_subscription("in")
    traffic = Traffic(environment, kamailio)
    traffic.publish(10, qos=2)
    ledger.wait_delivered()
    ledger.check(traffic)
    logins = re.findall(rf" as {CLIENT_ID} \(p[24], c(\d)", broker.log())
    assert logins == ["0", "0", "1", "0"]
    # And a clean stop leaves nothing that collects messages.
    assert kamailio.stop() == 0
    broker.process.wait_for_log(f"Received UNSUBSCRIBE from {CLIENT_ID}")


@pytest.mark.parametrize("qos", EVERY_QOS)
def test_a_connection_that_is_cut(environment: Environment, qos: int) -> None:
    broker = environment.broker()
    proxy = environment.own(TcpProxy(broker.port))
    kamailio = start_kamailio(environment, proxy)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe(NUMBERS)
    ledger.wait_connected()
    with traffic.flowing(RATE, qos=[qos]) as flow:
        for cut in (1, 2):
            flow.wait(RATE // 2)
            proxy.cut()
            ledger.wait("a reconnect", lambda: ledger["connects"] == cut + 1)
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    assert counters["disconnects"] == 2
    arrived = arrived_until_now(subscriber)
    lost = set(traffic.accepted()) - set(arrived)
    assert len(lost) <= counters["possibly_lost_qos0"]
    if qos != 1:
        assert not duplicates(arrived)


def test_a_connection_that_is_cut_between_pubrel_and_pubcomp(
    environment: Environment,
) -> None:
    connect = 14 + len(CLIENT_ID)
    connack = pubrec = pubrel = 4
    publish = 2 + 2 + len("numbers/1") + 2 + 1
    broker = environment.broker()
    proxy = environment.own(
        TcpProxy(
            broker.port, limit=connect + connack + publish + pubrec + pubrel
        )
    )
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe(NUMBERS)
    kamailio = start_kamailio(environment, proxy)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(1, qos=2)
    ledger.wait("the cut", lambda: ledger["disconnects"] == 1)
    proxy.limit = None
    ledger.wait_delivered()

    ledger.check(traffic)
    assert arrived_until_now(subscriber) == [1]


def test_a_broker_that_hangs(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment,
        broker,
        keepalive=5,
        connect_timeout=2,
        queue_max_messages=1000,
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(100, qos=0, size=8000)
    dispatcher = kamailio.dispatcher_pid()
    memory = resident_memory(dispatcher)

    broker.pause()
    # More than the buffers of the sockets and the queue take.
    traffic.publish(8000, qos=0, size=8000)
    assert traffic.refused()
    assert resident_memory(dispatcher) - memory < 30 << 20
    kamailio.wait_for_log("the broker did not answer PINGREQ")
    kamailio.wait_for_log("waiting for CONNACK")
    broker.resume()
    ledger.wait_connected()
    ledger.wait_delivered()
    traffic.publish(100, qos=1)
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    assert counters["disconnects"] == 1
    lost = set(traffic.accepted()) - set(Delivered(broker).numbers)
    assert len(lost) <= counters["possibly_lost_qos0"]


def test_a_broker_that_hangs_loses_and_doubles_nothing_of_qos_2(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment, broker, keepalive=5, connect_timeout=2
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    with traffic.flowing(RATE, qos=[2]) as flow:
        flow.wait(RATE)
        broker.pause()
        kamailio.wait_for_log("the broker did not answer PINGREQ")
        broker.resume()
        ledger.wait_connected()
        flow.wait(RATE)
    ledger.wait_delivered()

    counters = ledger.check(traffic)
    assert counters["disconnects"] == 1
    delivered = Delivered(broker).numbers
    assert not duplicates(delivered)
    assert set(delivered) == set(traffic.accepted())


def publish_also_what_is_refused(
    environment: Environment, broker: Listening, **parameters: Parameter
) -> Kamailio:
    """A Kamailio whose request route publishes to a topic that the broker
    refuses, and to others; once it has done so and delivered what it can."""
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, reconnect_delay=1, **parameters),
            request_route="""
                mqtt_publish("out/0", "x", 2);
                mqtt_publish("forbidden/1", "secret", 2);
                mqtt_publish("out/1", "y", 1);
                mqtt_publish("out/2", "z", 2);""",
        )
    )
    kamailio.start()
    ledger = Ledger(kamailio)
    ledger.wait_connected()
    environment.sip_client(kamailio).request()
    ledger.wait("the messages", lambda: ledger["accepted"] == 4)
    ledger.wait_delivered()
    ledger.wait_connected()
    return kamailio


def check_one_refused(kamailio: Kamailio) -> None:
    counters = Ledger(kamailio).read()
    assert counters["dropped_refused_qos2"] == 1
    assert total(counters, "acknowledged") == 3
    # The first time, two for the search to begin, three for it to end.
    assert counters["disconnects"] <= 6
    assert kamailio.log().count('dropped a publish to "forbidden/1"') == 1
    assert "secret" not in kamailio.log()


@pytest.mark.parametrize("resubscribe", [0, 1])
def test_a_publish_for_which_the_broker_closes_the_connection(
    environment: Environment, resubscribe: int
) -> None:
    broker = environment.own(FakeBroker(close_for("forbidden/1")))
    kamailio = publish_also_what_is_refused(
        environment, broker, resubscribe=resubscribe
    )
    check_one_refused(kamailio)
    sent = [
        publish.topic
        for publish in broker.publishes()
        # Libmosquitto 2.1 may leave unread what a broker answers right before
        # it closes the connection, and then sends the message once more.
        if publish.topic != "forbidden/1"
        and not (publish.dup and libmosquitto_version() >= (2, 1))
    ]
    assert set(sent) == {"out/0", "out/1", "out/2"}
    if resubscribe:
        assert not duplicates(sent)


def test_a_publish_that_mosquitto_denies(environment: Environment) -> None:
    broker = environment.broker(acl="topic readwrite out/#\n")
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe("out/#")
    kamailio = publish_also_what_is_refused(
        environment, broker, resubscribe=0
    )
    if libmosquitto_version() >= (2, 1):
        # mosquitto acknowledges what it drops.
        counters = Ledger(kamailio).read()
        assert total(counters, "acknowledged") == 4
        assert counters["disconnects"] == 0
    else:
        check_one_refused(kamailio)
    arrived = {subscriber.wait_message().topic for _ in range(3)}
    assert arrived == {"out/0", "out/1", "out/2"}


# Before 2.1, it acknowledges what it drops when the client asks a second time.
def test_a_publish_that_mosquitto_denies_in_a_kept_session(
    environment: Environment,
) -> None:
    broker = environment.broker(acl="topic readwrite out/#\n")
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe("out/#")
    kamailio = publish_also_what_is_refused(environment, broker)
    counters = Ledger(kamailio).read()
    assert (
        total(counters, "dropped_refused") + total(counters, "acknowledged")
        == 4
    )
    arrived = [subscriber.wait_message().topic for _ in range(3)]
    assert sorted(arrived) == ["out/0", "out/1", "out/2"]


@pytest.mark.parametrize("qos", [0, 1])
def test_a_publish_that_is_too_large_for_mosquitto(
    environment: Environment, qos: int
) -> None:
    broker = environment.broker(options=["max_packet_size 100000"])
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe("out/#")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, reconnect_delay=1),
            # 8 MiB, more than the sockets take.
            request_route=f"""
                $var(large) = "12345678";
                $var(i) = 0;
                while ($var(i) < 20) {{
                    $var(large) = $var(large) + $var(large);
                    $var(i) = $var(i) + 1;
                }}
                mqtt_publish("large", "$var(large)", {qos});
                mqtt_publish("out/0", "x", 0);
                mqtt_publish("out/1", "y", 1);""",
        ),
        memory=(64, 128),
    )
    kamailio.start()
    ledger = Ledger(kamailio)
    ledger.wait_connected()
    environment.sip_client(kamailio).request()
    ledger.wait("the messages", lambda: ledger["accepted"] == 3)
    ledger.wait_delivered()

    counters = ledger.read()
    assert counters[f"dropped_refused_qos{qos}"] == 1
    assert counters["acknowledged_qos1"] == 1
    assert counters["written_qos0"] + counters["possibly_lost_qos0"] == 1
    # Two for the search to begin, three for it to end, and the first time.
    assert counters["disconnects"] <= 6
    assert kamailio.log().count('dropped a publish to "large"') == 1
    arrived = {subscriber.wait_message().topic for _ in range(2)}
    assert arrived == {"out/0", "out/1"}
