# SPDX-License-Identifier: GPL-3.0-or-later
import socket
import ssl
from collections.abc import Callable

import pytest

from tools.harness.broker import Broker, BrokerTls
from tools.harness.environment import Environment
from tools.harness.mqtt_client import MqttClient


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_from_one_client_to_another(qos: int) -> None:
    with Environment() as environment:
        broker = environment.broker()
        subscriber = environment.mqtt_client(broker)
        assert subscriber.subscribe("a/#", qos) == qos
        broker.wait_for_subscription("a/#")
        publisher = environment.mqtt_client(broker, client_id="publisher")
        broker.wait_for_client("publisher")
        publisher.publish("a/b", b"\0\xff", qos=qos)
        message = subscriber.wait_message()
    assert (message.topic, message.payload) == ("a/b", b"\0\xff")
    assert (message.qos, message.retain) == (qos, False)


def test_users_and_access_control() -> None:
    with Environment() as environment:
        broker = environment.broker(
            users={"anna": "secret", "otto": "hidden"},
            acl="user anna\ntopic readwrite allowed/#\n",
        )
        anna = environment.mqtt_client(
            broker, username="anna", password="secret"
        )
        assert anna.subscribe("allowed/#") == 2
        otto = environment.mqtt_client(
            broker, username="otto", password="hidden"
        )
        # Acknowledged all the same, but not passed on.
        otto.publish("allowed/topic", "from otto")
        anna.publish("allowed/topic", "from anna")
        assert anna.wait_message().payload == b"from anna"
        with socket.create_connection((broker.host, broker.port)) as anonymous:
            anonymous.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x05\x00\x01x")
            # Not authorized, section 3.2.2.3.
            assert anonymous.recv(4) == b"\x20\x02\x00\x05"


def test_tls_with_a_client_certificate() -> None:
    with Environment() as environment:
        certificates = environment.certificates
        broker = environment.broker(
            tls=BrokerTls(
                certificates.certificate("server"),
                certificates.private_key("server"),
                ca_file=certificates.ca,
                require_certificate=True,
                tls_version="tlsv1.2",
            )
        )
        context = ssl.create_default_context(cafile=str(certificates.ca))
        context.load_cert_chain(
            certificates.certificate("client"),
            certificates.private_key("client"),
        )
        environment.mqtt_client(broker, tls=context).publish("t", "text")


def _answers_ping(client: socket.socket) -> bool:
    client.sendall(b"\xc0\x00")
    try:
        return client.recv(2) == b"\xd0\x00"
    except TimeoutError:
        return False


def test_pause_and_resume() -> None:
    with Environment() as environment:
        broker = environment.broker()
        with socket.create_connection((broker.host, broker.port)) as client:
            client.sendall(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x05\x00\x01x")
            assert client.recv(4) == b"\x20\x02\x00\x00"
            broker.pause()
            client.settimeout(0.2)
            assert not _answers_ping(client)
            broker.resume()
            client.settimeout(30)
            assert _answers_ping(client)


@pytest.mark.parametrize("end", [Broker.kill, Broker.stop])
def test_restart_on_the_same_port(end: Callable[[Broker], None]) -> None:
    with Environment() as environment:
        broker = environment.broker()
        for _ in range(2):
            end(broker)
            broker.start()
            with MqttClient(broker.port, client_id="again"):
                broker.wait_for_client("again")
