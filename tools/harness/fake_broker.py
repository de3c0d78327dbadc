# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted MQTT 3.1.1 broker, for what a real one does not do on demand."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import BinaryIO, cast

from tools.harness import mqtt_packets
from tools.harness.mqtt_packets import (
    Connect,
    ConnectCode,
    Packet,
    PacketType,
    Publish,
)
from tools.harness.tcp_server import TcpServer
from tools.harness.waiting import DEADLINE, wait_for

_ACKNOWLEDGEMENTS = {
    PacketType.PUBREL: PacketType.PUBCOMP,
    PacketType.PUBREC: PacketType.PUBREL,
    PacketType.UNSUBSCRIBE: PacketType.UNSUBACK,
}


class Session:
    """One connection of a client, as the broker's script sees it."""

    def __init__(self, broker: FakeBroker, connection: socket.socket) -> None:
        self._broker = broker
        self._connection = connection
        self._stream = cast(BinaryIO, connection.makefile("rb"))

    def send(self, data: bytes) -> None:
        """Sends bytes as they are, well-formed or not."""
        self._connection.sendall(data)

    def read(self) -> Packet | None:
        """The next packet, which is recorded; None at the end."""
        packet = mqtt_packets.read_packet(self._stream)
        if packet is not None:
            self._broker.record(packet)
        return packet

    def wait_end(self) -> None:
        """Stays silent, and takes what comes, until the client goes."""
        while self._connection.recv(65536):
            pass

    def wait_close(self) -> None:
        """Reads nothing until the broker closes."""
        self._broker.wait_close()

    def accept_connect(self, code: int = ConnectCode.ACCEPTED) -> None:
        """Reads the CONNECT and answers it."""
        self.read()
        self.send(mqtt_packets.connack(code))

    def answer(self, packet: Packet) -> None:
        """Answers a packet as a broker does that grants everything."""
        if packet.type == PacketType.SUBSCRIBE:
            granted = [qos for _, qos in mqtt_packets.subscriptions(packet)]
            self.send(mqtt_packets.suback(packet.packet_id, granted))
        elif packet.type == PacketType.PUBLISH:
            publish = Publish.decode(packet)
            if publish.qos:
                kind = (PacketType.PUBACK, PacketType.PUBREC)[publish.qos - 1]
                self.send(
                    mqtt_packets.acknowledgement(kind, publish.packet_id)
                )
        elif packet.type == PacketType.PINGREQ:
            self.send(mqtt_packets.encode(PacketType.PINGRESP))
        elif packet.type in _ACKNOWLEDGEMENTS:
            kind = _ACKNOWLEDGEMENTS[packet.type]
            self.send(mqtt_packets.acknowledgement(kind, packet.packet_id))

    def serve(self) -> None:
        """Answers everything until the client goes."""
        while (packet := self.read()) is not None:
            if packet.type == PacketType.DISCONNECT:
                return
            self.answer(packet)


Script = Callable[[Session], None]


def healthy(session: Session) -> None:
    """What a broker without faults does."""
    session.accept_connect()
    session.serve()


def silent(session: Session) -> None:
    """Accepts the TCP connection and never answers."""
    session.wait_end()


def refuse_connect(code: ConnectCode) -> Script:
    """Answers every CONNECT with a return code other than 0."""

    def script(session: Session) -> None:
        session.accept_connect(code)

    return script


def refuse_subscriptions(session: Session) -> None:
    """Answers every SUBSCRIBE with the failure code."""
    session.accept_connect()
    while (packet := session.read()) is not None:
        if packet.type == PacketType.SUBSCRIBE:
            count = len(mqtt_packets.subscriptions(packet))
            codes = [mqtt_packets.SUBACK_FAILURE] * count
            session.send(mqtt_packets.suback(packet.packet_id, codes))
        else:
            session.answer(packet)


def close_for(topic: str) -> Script:
    """Keeps the session of a client that asks for it, and closes the connection
    for every PUBLISH to a topic."""
    has_session = False

    def script(session: Session) -> None:
        nonlocal has_session
        packet = session.read()
        assert packet is not None
        keeps = not Connect.decode(packet).clean_session
        session.send(
            mqtt_packets.connack(session_present=keeps and has_session)
        )
        has_session = keeps
        while (packet := session.read()) is not None:
            if packet.type == PacketType.DISCONNECT:
                return
            if (
                packet.type == PacketType.PUBLISH
                and Publish.decode(packet).topic == topic
            ):
                return
            session.answer(packet)

    return script


def send_after_connect(data: bytes) -> Script:
    """Sends bytes after the CONNACK, then serves on."""

    def script(session: Session) -> None:
        session.accept_connect()
        session.send(data)
        session.serve()

    return script


def answer_only(count: int) -> Script:
    """Accepts the session and answers so many packets, then reads on and
    answers nothing."""

    def script(session: Session) -> None:
        session.accept_connect()
        for _ in range(count):
            packet = session.read()
            assert packet is not None
            session.answer(packet)
        while session.read() is not None:
            pass

    return script


def never_read(session: Session) -> None:
    """Accepts the session, and then reads nothing more."""
    session.accept_connect()
    session.wait_close()


class FakeBroker:
    """Runs a script for every connection; the script can be exchanged for the
    connections to come. What the clients send is recorded."""

    def __init__(self, script: Script = healthy, *, port: int = 0) -> None:
        self.script = script
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._packets: list[Packet] = []
        self._connection_times: list[float] = []
        self._server = TcpServer(self._run, port=port)
        self.host = "127.0.0.1"
        self.port = self._server.port

    def close(self) -> None:
        self._closing.set()
        self._server.close()

    def __enter__(self) -> FakeBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_close(self) -> None:
        self._closing.wait()

    def cut(self) -> None:
        """Ends the connections there are."""
        self._server.cut_connections()

    def record(self, packet: Packet) -> None:
        with self._lock:
            self._packets.append(packet)

    def received(self, kind: PacketType) -> list[Packet]:
        """The packets of one type, of all connections, in their order."""
        with self._lock:
            return [each for each in self._packets if each.type == kind]

    def connection_times(self) -> list[float]:
        """When each connection was accepted, by the monotonic clock."""
        with self._lock:
            return list(self._connection_times)

    def connects(self) -> list[Connect]:
        return [Connect.decode(p) for p in self.received(PacketType.CONNECT)]

    def publishes(self) -> list[Publish]:
        return [Publish.decode(p) for p in self.received(PacketType.PUBLISH)]

    def wait_received(
        self, kind: PacketType, count: int = 1, *, deadline: float = DEADLINE
    ) -> list[Packet]:
        """Waits until `count` packets of a type have come."""
        wait_for(
            lambda: len(self.received(kind)) >= count,
            f"{count} {kind.name} at the fake broker",
            deadline=deadline,
        )
        return self.received(kind)

    def _run(self, connection: socket.socket) -> None:
        with self._lock:
            self._connection_times.append(time.monotonic())
        self.script(Session(self, connection))
