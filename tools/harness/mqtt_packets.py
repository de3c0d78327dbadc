# SPDX-License-Identifier: GPL-3.0-or-later
"""Control packets of MQTT 3.1.1, as a broker reads and writes them."""

from __future__ import annotations

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO


class PacketType(enum.IntEnum):
    """Section 2.2.1."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class ConnectCode(enum.IntEnum):
    """The return codes of CONNACK, section 3.2.2.3."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


SUBACK_FAILURE = 0x80  # Section 3.9.3.


@dataclass(frozen=True)
class Packet:
    """A packet as it is on the wire, but for the length."""

    type: PacketType
    flags: int
    body: bytes

    @property
    def packet_id(self) -> int:
        """The packet identifier, of the types that begin with it."""
        return struct.unpack_from("!H", self.body)[0]


@dataclass(frozen=True)
class Publish:
    """A PUBLISH, section 3.3."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0

    def encode(self) -> bytes:
        flags = self.dup << 3 | self.qos << 1 | self.retain
        identifier = struct.pack("!H", self.packet_id) if self.qos else b""
        body = encode_string(self.topic) + identifier + self.payload
        return encode(PacketType.PUBLISH, body, flags)

    @staticmethod
    def decode(packet: Packet) -> Publish:
        qos = packet.flags >> 1 & 3
        topic, rest = decode_string(packet.body)
        packet_id = 0
        if qos:
            packet_id, rest = struct.unpack_from("!H", rest)[0], rest[2:]
        return Publish(
            topic=topic.decode(),
            payload=rest,
            qos=qos,
            retain=bool(packet.flags & 1),
            dup=bool(packet.flags & 8),
            packet_id=packet_id,
        )


@dataclass(frozen=True)
class Connect:
    """What a broker wants to know of a CONNECT, section 3.1."""

    client_id: str
    clean_session: bool
    keepalive: int  # Seconds.

    @staticmethod
    def decode(packet: Packet) -> Connect:
        _, rest = decode_string(packet.body)
        _, flags, keepalive = struct.unpack_from("!BBH", rest)
        client_id, _ = decode_string(rest[4:])
        return Connect(client_id.decode(), bool(flags & 2), keepalive)


def encode_string(text: str) -> bytes:
    """Section 1.5.3."""
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def decode_string(data: bytes) -> tuple[bytes, bytes]:
    """The string that `data` begins with, and the rest."""
    size = struct.unpack_from("!H", data)[0]
    return data[2 : 2 + size], data[2 + size :]


def encode_length(length: int) -> bytes:
    """The remaining length, section 2.2.3."""
    encoded = bytearray()
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(encoded)


def encode(kind: PacketType, body: bytes = b"", flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + encode_length(len(body)) + body


def acknowledgement(kind: PacketType, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""
    flags = 2 if kind == PacketType.PUBREL else 0  # Section 3.6.1.
    return encode(kind, struct.pack("!H", packet_id), flags)


def connack(
    code: int = ConnectCode.ACCEPTED, *, session_present: bool = False
) -> bytes:
    return encode(PacketType.CONNACK, bytes([session_present, code]))


def suback(packet_id: int, codes: Sequence[int]) -> bytes:
    body = struct.pack("!H", packet_id) + bytes(codes)
    return encode(PacketType.SUBACK, body)


def subscriptions(packet: Packet) -> list[tuple[str, int]]:
    """The topic filters of a SUBSCRIBE, each with the requested QoS."""
    filters = []
    rest = packet.body[2:]
    while rest:
        topic_filter, rest = decode_string(rest)
        filters.append((topic_filter.decode(), rest[0]))
        rest = rest[1:]
    return filters


def read_packet(stream: BinaryIO) -> Packet | None:
    """Reads a packet; None where the stream ends."""
    head = stream.read(1)
    length, shift = 0, 0
    while head:
        digit = stream.read(1)
        if not digit:
            return None
        length |= (digit[0] & 0x7F) << shift
        shift += 7
        if not digit[0] & 0x80:
            body = stream.read(length)
            if len(body) < length:
                return None
            return Packet(PacketType(head[0] >> 4), head[0] & 0xF, body)
    return None
