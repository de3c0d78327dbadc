# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake broker against clients that others wrote."""

import socket
import subprocess

import pytest

from tools.harness import fake_broker, mqtt_packets
from tools.harness.fake_broker import FakeBroker
from tools.harness.mqtt_client import MqttClient
from tools.harness.mqtt_packets import ConnectCode, PacketType, Publish
from tools.harness.waiting import DEADLINE


def _mosquitto(program: str, broker: FakeBroker, *arguments: str) -> str:
    return subprocess.run(
        [program, "-h", broker.host, "-p", str(broker.port), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    ).stdout.decode()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_takes_what_mosquitto_pub_sends(qos: int) -> None:
    with FakeBroker() as broker:
        arguments = ["-i", "me", "-t", "a/b", "-m", "hello", "-q", str(qos)]
        output = _mosquitto("mosquitto_pub", broker, *arguments)
        assert output == ""
        broker.wait_received(PacketType.PUBLISH)
        (publish,) = broker.publishes()
        (connect,) = broker.connects()
    assert (publish.topic, publish.payload, publish.qos) == (
        "a/b",
        b"hello",
        qos,
    )
    assert connect.client_id == "me"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_takes_what_paho_sends(qos: int) -> None:
    with FakeBroker() as broker, MqttClient(broker.port) as client:
        client.publish("t", b"\x00" * 100000, qos=qos)
        broker.wait_received(PacketType.PUBLISH)
        assert broker.publishes()[0].payload == b"\x00" * 100000


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mosquitto_sub_gets_what_a_script_sends(qos: int) -> None:
    publish = Publish("t", b"news", qos=qos, packet_id=1)
    script = fake_broker.send_after_connect(publish.encode())
    with FakeBroker(script) as broker:
        output = _mosquitto(
            "mosquitto_sub", broker, "-t", "t", "-q", str(qos), "-C", "1"
        )
    assert output == "news\n"


def test_refused_subscriptions() -> None:
    with FakeBroker(fake_broker.refuse_subscriptions) as broker:
        with MqttClient(broker.port) as client:
            assert client.subscribe("t") == mqtt_packets.SUBACK_FAILURE
            client.publish("t", b"still served")


def test_granted_subscriptions() -> None:
    with FakeBroker() as broker, MqttClient(broker.port) as client:
        assert client.subscribe("t", 1) == 1
        client.unsubscribe("t")


@pytest.mark.parametrize("code", list(ConnectCode)[1:])
def test_refused_connects(code: ConnectCode) -> None:
    with FakeBroker(fake_broker.refuse_connect(code)) as broker:
        output = _mosquitto("mosquitto_pub", broker, "-t", "t", "-m", "m")
    assert output.startswith("Connection error: Connection Refused")


def test_silence() -> None:
    with FakeBroker(fake_broker.silent) as broker:
        with socket.create_connection((broker.host, broker.port)) as client:
            client.sendall(b"\x10\x00")
            client.settimeout(0.1)
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_a_broker_that_does_not_read_stops_the_sender() -> None:
    connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
    with FakeBroker(fake_broker.never_read) as broker:
        with socket.create_connection((broker.host, broker.port)) as client:
            client.sendall(connect)
            assert client.recv(4) == mqtt_packets.connack()
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.sendall(bytes(64 << 20))


def test_cut_connections_and_another_script() -> None:
    with FakeBroker() as broker, MqttClient(broker.port) as client:
        broker.script = fake_broker.refuse_connect(ConnectCode.NOT_AUTHORIZED)
        broker.cut()
        broker.wait_received(PacketType.CONNECT, 2)
        client.wait_disconnected()
        assert len(broker.connection_times()) == 2
