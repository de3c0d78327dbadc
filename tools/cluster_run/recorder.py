# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy between a Kamailio and the cluster that notes which messages have
passed it. It outlives the Kamailio, and so knows what that one held."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

from tools.harness.mqtt_packets import (
    Packet,
    PacketType,
    Publish,
    read_packet,
)
from tools.harness.tcp_proxy import TcpProxy


class _Direction:
    """The messages that go one way, with QoS 1, and their acknowledgements,
    which come the other way, of one connection."""

    def __init__(self, passed: set[int], acknowledged: set[int]) -> None:
        self._passed = passed
        self._acknowledged = acknowledged
        self._numbers: dict[int, int] = {}  # By packet identifier.

    def take(self, packet: Packet) -> None:
        publish = Publish.decode(packet)
        number = int(publish.payload)
        self._numbers[publish.packet_id] = number
        self._passed.add(number)

    def acknowledge(self, packet: Packet) -> None:
        self._acknowledged.add(self._numbers[packet.packet_id])


class _Stream:
    """Cuts what a connection carries one way into packets."""

    def __init__(
        self, handlers: Mapping[PacketType, Callable[[Packet], None]]
    ) -> None:
        self._rest = b""
        self._handlers = handlers

    def take(self, data: bytes) -> None:
        stream = io.BytesIO(self._rest + data)
        end = 0
        while (packet := read_packet(stream)) is not None:
            end = stream.tell()
            if packet.type in self._handlers:
                self._handlers[packet.type](packet)
        self._rest = stream.getvalue()[end:]


class Recorder(TcpProxy):
    """The payloads of all messages are numbers."""

    def __init__(self, target_port: int) -> None:
        self.out: set[int] = set()
        self.out_acknowledged: set[int] = set()
        self.inbound: set[int] = set()
        self.inbound_acknowledged: set[int] = set()
        self.subscriptions = 0  # That a broker has answered.
        super().__init__(target_port, watch=self._watch)

    def _watch(
        self,
    ) -> tuple[Callable[[bytes], None], Callable[[bytes], None]]:
        out = _Direction(self.out, self.out_acknowledged)
        inbound = _Direction(self.inbound, self.inbound_acknowledged)
        from_client = _Stream(
            {
                PacketType.PUBLISH: out.take,
                PacketType.PUBACK: inbound.acknowledge,
            }
        )
        from_broker = _Stream(
            {
                PacketType.PUBLISH: inbound.take,
                PacketType.PUBACK: out.acknowledge,
                PacketType.SUBACK: self._count_subscription,
            }
        )
        return from_client.take, from_broker.take

    def _count_subscription(self, _: Packet) -> None:
        self.subscriptions += 1
