# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers of the control service that behave badly."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from kamailio_module.integration_tests.scene import Scene, at
from kamailio_module.integration_tests.traffic import (
    Traffic,
    closed_port,
    start_kamailio,
    stop_in_time,
)
from tools.harness.control_stubs import messages
from tools.harness.environment import Environment
from tools.harness.grpcurl import SERVICE, Grpcurl
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.process import program_environment, resident_memory
from tools.harness.waiting import DEADLINE, wait_for

MEBIBYTE = 1 << 20


def start_at(
    environment: Environment, **parameters: str | int
) -> Kamailio:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(closed_port(environment), **parameters)
        )
    )
    kamailio.start()
    return kamailio


def test_calls_are_logged_with_the_caller(environment: Environment) -> None:
    kamailio = start_at(environment)
    Grpcurl(kamailio.mqtt_control_socket).call(
        "Publish", {"topic": "a/b", "payload": "c2VjcmV0"}
    )
    Grpcurl(kamailio.mqtt_control_socket).call("Reconnect")
    kamailio.process.wait_for_log(f"uid {os.geteuid()}")
    assert "Reconnect" in kamailio.log()
    assert "secret" not in kamailio.log()


def test_a_socket_left_behind_is_replaced(environment: Environment) -> None:
    kamailio = start_at(environment)
    path = kamailio.mqtt_control_socket
    kamailio.process.close()  # Kills all its processes.
    assert path.is_socket()
    kamailio.start()
    assert Grpcurl(path).run("list").exit_code == 0
    assert kamailio.stop() == 0
    assert not path.exists()


def test_the_socket_of_another_instance_is_left_alone(
    environment: Environment,
) -> None:
    kamailio = start_at(environment)
    path = kamailio.mqtt_control_socket
    second = environment.kamailio(
        KamailioConfiguration(
            parameters=at(
                closed_port(environment), control_address=f"unix:{path}"
            )
        )
    )
    with pytest.raises(AssertionError, match="ended"):
        second.start()
    assert second.process.exit_code not in (0, None)
    assert 'parameter "control_address"' in second.log()
    assert Grpcurl(path).run("list").exit_code == 0


def test_no_address_is_no_service(environment: Environment) -> None:
    kamailio = start_at(environment, control_address="")
    assert not kamailio.mqtt_control_socket.exists()


def test_a_reader_that_stops_reading(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    ledger.wait_connected()
    client = environment.control_client(kamailio)
    streams = [
        client.stub.WatchEvents(
            messages.WatchEventsRequest(max_payload_bytes=65536)
        )
        for _ in range(5)
    ]
    for stream in streams:
        assert next(stream).WhichOneof("event") == "synced"
    dispatcher = kamailio.dispatcher_pid()
    before = resident_memory(dispatcher)
    traffic = Traffic(environment, kamailio)
    traffic.publish(5000, size=4000)  # 40 MB for each reader.
    ledger.wait_delivered()
    ledger.check(traffic)
    # A stream holds at most 4 MiB, and what gRPC has taken of it.
    assert resident_memory(dispatcher) - before < 100 * MEBIBYTE
    lost = next(
        event.lost.count
        for event in streams[0]
        if event.WhichOneof("event") == "lost"
    )
    assert lost > 0
    for stream in streams:
        stream.cancel()


@contextlib.contextmanager
def connections(path: Path, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            peer = stack.enter_context(
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            )
            peer.settimeout(DEADLINE)
            peer.connect(str(path))
            opened.append(peer)
        yield opened


def test_a_thousand_connections(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    ledger.wait_connected()
    traffic = Traffic(environment, kamailio)
    with connections(kamailio.mqtt_control_socket, 1000) as peers:
        # Those beyond the limit are closed at once.
        assert peers[-1].recv(1) == b""
        traffic.publish(500)
        ledger.wait_delivered()
        ledger.check(traffic)
    assert Grpcurl(kamailio.mqtt_control_socket).run("list").exit_code == 0


def test_an_oversized_message_is_refused(environment: Environment) -> None:
    scene = Scene(environment)
    client = environment.control_client(scene.kamailio)
    request = messages.PublishRequest(topic="a", payload=bytes(17 * MEBIBYTE))
    with pytest.raises(grpc.RpcError) as failure:
        client.stub.Publish(request, timeout=DEADLINE)
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    client.stub.GetStatus(messages.GetStatusRequest(), timeout=DEADLINE)


def test_garbage_is_survived(environment: Environment) -> None:
    scene = Scene(environment)
    path = scene.kamailio.mqtt_control_socket
    with connections(path, 3) as peers:
        for peer, junk in zip(
            peers, (b"GET / HTTP/1.1\r\n\r\n", bytes(5000), b"\xff" * 5000)
        ):
            peer.sendall(junk)
            with contextlib.suppress(ConnectionResetError):
                while peer.recv(4096):
                    pass
    assert Grpcurl(path).run("list").exit_code == 0


def test_open_streams_and_calls_delay_no_stop(
    environment: Environment,
) -> None:
    kamailio = start_kamailio(
        environment,
        closed_port(environment),
        reconnect_delay=60,
        drain_timeout=500,
        routes='event_route[mqtt:message] { exec_cmd("sleep 60"); }',
        modules=("exec",),
    )
    client = environment.control_client(kamailio)
    stream = client.stub.WatchEvents(messages.WatchEventsRequest())
    assert next(stream).WhichOneof("event") == "synced"
    waiting = client.stub.Reconnect.future(
        messages.ReconnectRequest(wait=True)
    )
    injected = client.stub.InjectMessage.future(
        messages.InjectMessageRequest(topic="a")
    )
    wait_for(
        lambda: next(stream).WhichOneof("event") == "message_received",
        "the message",
    )
    stop_in_time(kamailio, 0.5 + 1)
    for call in (waiting, injected):
        assert call.code() == grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.RpcError) as ended:
        for _ in stream:
            pass
    assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
    assert not kamailio.mqtt_control_socket.exists()


def test_a_stopped_caller_delays_nothing(environment: Environment) -> None:
    kamailio = start_kamailio(environment, environment.broker())
    Ledger(kamailio).wait_connected()
    grpcurl = Grpcurl(kamailio.mqtt_control_socket)
    with subprocess.Popen(
        grpcurl.command(f"{SERVICE}/WatchEvents"),
        stdout=subprocess.DEVNULL,
        env=program_environment(),
    ) as caller:
        caller.send_signal(signal.SIGSTOP)
        Traffic(environment, kamailio).publish(500)
        stop_in_time(kamailio, 3 + 1)
        caller.kill()


def test_only_the_dispatcher_holds_the_socket(
    environment: Environment,
) -> None:
    # Another process would take connections once the dispatcher is gone.
    kamailio = start_at(environment)
    kamailio.wait_for_log("mqtt: control service listens on ")
    (inode,) = (
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith(f" {kamailio.mqtt_control_socket}")
    )

    def holders() -> list[int]:
        return [
            pid
            for pid in kamailio.process_ids()
            if f"socket:[{inode}]" in kamailio.descriptors(pid).values()
        ]

    # The others close it when they have been started.
    wait_for(
        lambda: holders() == [kamailio.dispatcher_pid()],
        "the dispatcher to be alone",
    )
