# SPDX-License-Identifier: GPL-3.0-or-later
import io

import pytest

from tools.harness import mqtt_packets
from tools.harness.mqtt_packets import Connect, Packet, PacketType, Publish


@pytest.mark.parametrize(
    ("length", "encoded"),
    [  # The limits of table 2.4.
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (268435455, b"\xff\xff\xff\x7f"),
    ],
)
def test_remaining_length(length: int, encoded: bytes) -> None:
    assert mqtt_packets.encode_length(length) == encoded


@pytest.mark.parametrize("size", [0, 127, 128, 20000])
def test_a_packet_comes_back(size: int) -> None:
    data = mqtt_packets.encode(PacketType.PUBLISH, b"x" * size, 5)
    packet = mqtt_packets.read_packet(io.BytesIO(data))
    assert packet == Packet(PacketType.PUBLISH, 5, b"x" * size)


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_the_end_of_the_stream(cut: int) -> None:
    data = mqtt_packets.acknowledgement(PacketType.PUBACK, 7)
    packet = mqtt_packets.read_packet(io.BytesIO(data[:cut]))
    assert (packet is not None) == (cut == len(data))


@pytest.mark.parametrize(
    "publish",
    [
        Publish("a/b", b"\x00\xff"),
        Publish("ü", b"", retain=True),
        Publish("t", b"p", qos=1, dup=True, packet_id=513),
        Publish("t", b"p", qos=2, packet_id=65535),
    ],
)
def test_a_publish_comes_back(publish: Publish) -> None:
    packet = mqtt_packets.read_packet(io.BytesIO(publish.encode()))
    assert packet is not None
    assert Publish.decode(packet) == publish


def test_the_bytes_of_a_publish() -> None:
    publish = Publish("a/b", b"pq", qos=1, retain=True, packet_id=10)
    assert publish.encode() == b"\x33\x09\x00\x03a/b\x00\x0apq"


def test_a_connect() -> None:
    body = b"\x00\x04MQTT\x04\x02\x00\x05\x00\x03abc"
    connect = Connect.decode(Packet(PacketType.CONNECT, 0, body))
    assert connect == Connect("abc", clean_session=True, keepalive=5)


def test_a_subscribe_and_its_suback() -> None:
    body = b"\x00\x09\x00\x01a\x01\x00\x01#\x02"
    packet = Packet(PacketType.SUBSCRIBE, 2, body)
    assert mqtt_packets.subscriptions(packet) == [("a", 1), ("#", 2)]
    assert packet.packet_id == 9
    assert mqtt_packets.suback(9, [1, 0x80]) == b"\x90\x04\x00\x09\x01\x80"


def test_acknowledgements() -> None:
    assert mqtt_packets.connack(5) == b"\x20\x02\x00\x05"
    pubrel = mqtt_packets.acknowledgement(PacketType.PUBREL, 2)
    assert pubrel == b"\x62\x02\x00\x02"
