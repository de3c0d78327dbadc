# SPDX-License-Identifier: GPL-3.0-or-later
"""Brokers that send what MQTT does not allow, or more than anybody wants."""

from __future__ import annotations

import math

import pytest

from kamailio_module.integration_tests.traffic import (
    Traffic,
    start_kamailio,
)
from tools.harness import fake_broker, mqtt_packets
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker, Script, Session
from tools.harness.ledger import Ledger
from tools.harness.mqtt_packets import PacketType, Publish
from tools.harness.process import peak_memory, resident_memory
from tools.harness.versions import libmosquitto_version

MIB = 1 << 20

# What libmosquitto takes for the end of the connection ...
VIOLATIONS = {
    "reserved type 0": b"\x00\x00",
    "reserved type 15": b"\xf0\x00",
    "CONNECT": b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x05\x00\x01x",
    "second CONNACK": mqtt_packets.connack(),
    "SUBSCRIBE": b"\x82\x06\x00\x01\x00\x01a\x00",
    "UNSUBSCRIBE": b"\xa2\x05\x00\x01\x00\x01a",
    "DISCONNECT": b"\xe0\x00",
    "length of five bytes": b"\x30\xff\xff\xff\xff\x7f",
    "PUBLISH of QoS 3": b"\x36\x06\x00\x01a\x00\x01x",
    "PUBLISH without a topic": b"\x30\x00",
    "PUBLISH with an empty topic": b"\x30\x02\x00\x00",
    "PUBLISH with half a topic": b"\x30\x04\x00\x0aab",
    "PUBLISH with a NUL in the topic": b"\x30\x03\x00\x01\x00",
    "PUBLISH whose topic is not UTF-8": b"\x30\x03\x00\x01\xff",
    "PUBLISH without an identifier": b"\x32\x03\x00\x01a",
    "PUBLISH with identifier 0": b"\x32\x05\x00\x01a\x00\x00",
    "PUBACK of one byte": b"\x40\x01\x00",
    "PUBREL with wrong flags": b"\x60\x02\x00\x01",
    "PUBCOMP of no bytes": b"\x70\x00",
    "SUBACK of no bytes": b"\x90\x00",
    "SUBACK without codes": b"\x90\x02\x00\x01",
    "UNSUBACK of one byte": b"\xb0\x01\x00",
    "noise": bytes(range(200, 256)),
}

# ... and what it forgives. Of other packets, its releases differ.
FORGIVEN = {
    "unknown PUBACK": b"\x40\x02\x12\x34",
    "unknown PUBREC": b"\x50\x02\x12\x34",
    "unknown PUBREL": b"\x62\x02\x12\x34",
    "unknown PUBCOMP": b"\x70\x02\x12\x34",
    "unknown SUBACK": b"\x90\x03\x12\x34\x00",
    "SUBACK with a wrong code": b"\x90\x03\x12\x34\x55",
    "SUBACK with many codes": b"\x90\x08\x12\x34\x00\x01\x02\x80\x55\xff",
    "unknown UNSUBACK": b"\xb0\x02\x12\x34",
    "PINGRESP unasked": b"\xd0\x00",
}

# What it has forgiven until 2.1.
(VIOLATIONS if libmosquitto_version() >= (2, 1) else FORGIVEN).update(
    {
        "PINGRESP with a body": b"\xd0\x01\x00",
        "PUBLISH with a wildcard": b"\x30\x03\x00\x01#",
    }
)

INSTEAD_OF_CONNACK = {
    "PUBLISH": Publish("in", b"x").encode(),
    "CONNACK of one byte": b"\x20\x01\x00",
    "CONNACK of no bytes": b"\x20\x00",
    "CONNACK with an unknown code": mqtt_packets.connack(77),
    "SUBACK": mqtt_packets.suback(1, [0]),
    "PINGRESP": mqtt_packets.encode(PacketType.PINGRESP),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "zeros": bytes(1000),
    "noise": bytes(range(200, 256)),
}


def answer_connect_with(data: bytes) -> Script:
    def script(session: Session) -> None:
        session.read()
        session.send(data)
        session.wait_end()

    return script


@pytest.mark.parametrize("name", list(VIOLATIONS))
def test_a_violation_ends_the_connection(
    environment: Environment, name: str
) -> None:
    broker = environment.own(
        FakeBroker(fake_broker.send_after_connect(VIOLATIONS[name]))
    )
    kamailio = start_kamailio(environment, broker, reconnect_delay=60)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    kamailio.wait_for_log(" lost: the broker sent what MQTT does not allow: ")
    traffic.publish(10)
    counters = ledger.check(traffic)
    assert (counters["connects"], counters["disconnects"]) == (1, 1)
    assert counters["queued_qos1"] == 10


def test_what_is_forgiven(environment: Environment) -> None:
    broker = environment.own(
        FakeBroker(
            fake_broker.send_after_connect(b"".join(FORGIVEN.values()))
        )
    )
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(100)
    ledger.wait_delivered()
    counters = ledger.check(traffic)
    assert (counters["connects"], counters["disconnects"]) == (1, 0)


@pytest.mark.parametrize("name", list(INSTEAD_OF_CONNACK))
def test_anything_but_connack_ends_the_attempt(
    environment: Environment, name: str
) -> None:
    broker = environment.own(
        FakeBroker(answer_connect_with(INSTEAD_OF_CONNACK[name]))
    )
    kamailio = start_kamailio(environment, broker, connect_timeout=1)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(10)
    ledger.wait_not_reached()
    kamailio.wait_for_log("cannot connect to ")
    assert ledger.check(traffic)["queued_qos1"] == 10

    broker.script = fake_broker.healthy
    ledger.wait_delivered()
    ledger.check(traffic)


def test_a_huge_packet_that_does_not_end(environment: Environment) -> None:
    def huge(session: Session) -> None:
        session.accept_connect()
        session.send(b"\x30" + mqtt_packets.encode_length(256 * MIB - 1))
        for _ in range(100):
            session.send(bytes(MIB))
        session.serve()

    broker = environment.own(FakeBroker(huge))
    kamailio = start_kamailio(environment, broker, keepalive=5)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    dispatcher = kamailio.dispatcher_pid()
    kamailio.process.wait_until(
        lambda: resident_memory(dispatcher) > 90 * MIB, "the packet arrives"
    )
    traffic.publish(100)
    broker.script = fake_broker.healthy
    kamailio.wait_for_log(" lost: ")
    ledger.wait_delivered()
    ledger.check(traffic)
    assert resident_memory(dispatcher) < 20 * MIB


@pytest.mark.parametrize("size", [0, MIB])
def test_messages_that_are_never_released(
    environment: Environment, size: int
) -> None:
    message = Publish("in", bytes(size), qos=2, packet_id=1).encode()
    flood = message * math.ceil(65536 / len(message))

    def never_release(session: Session) -> None:
        broker.script = fake_broker.healthy
        session.accept_connect()
        while True:
            session.send(flood)

    broker = environment.own(FakeBroker(never_release))
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    kamailio.wait_for_log(
        " lost: the broker sent more than 320 MiB in messages that it did "
        "not complete"
    )
    traffic.publish(100)
    ledger.wait_delivered()
    counters = ledger.check(traffic)
    assert counters["received_qos2"] == 0
    assert counters["disconnects"] == 1
    dispatcher = kamailio.dispatcher_pid()
    assert peak_memory(dispatcher) < 400 * MIB
    assert resident_memory(dispatcher) < 20 * MIB


def test_a_message_larger_than_the_queue(environment: Environment) -> None:
    message = Publish("in", bytes(70 * MIB), qos=1, packet_id=1)
    broker = environment.own(
        FakeBroker(fake_broker.send_after_connect(message.encode()))
    )
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait("the message", lambda: ledger["received"] == 1)
    kamailio.wait_for_log("1 message(s) from the broker dropped")
    traffic.publish(100)
    ledger.wait_delivered()
    counters = ledger.check(traffic)
    assert counters["inbound_dropped_qos1"] == 1
    assert counters["disconnects"] == 0
    assert resident_memory(kamailio.dispatcher_pid()) < 20 * MIB
