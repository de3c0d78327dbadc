# SPDX-License-Identifier: GPL-3.0-or-later
"""The example aws_iot, at a server that asks for what AWS IoT Core does on port
443: the protocol name in ALPN, and the certificate or the password."""

from __future__ import annotations

import json
import select
import socket
import ssl

from kamailio_module.integration_tests.examples import example
from tools.harness.broker import Broker
from tools.harness.certificates import Certificates
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, Parameter
from tools.harness.mqtt_client import MqttClient
from tools.harness.tcp_server import TcpServer

USER = "sip-1?x-amz-customauthorizer-name=sip"
PASSWORD = "supers3cre7"


class Front:
    """TLS in front of a broker. Whoever does not name the protocol, or lacks
    the certificate where one is asked for, does not get through."""

    def __init__(
        self,
        certificates: Certificates,
        broker: Broker,
        protocol: str,
        *,
        certificate_required: bool = False,
    ) -> None:
        self._broker = broker
        self._protocol = protocol
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(
            certificates.certificate("server"),
            certificates.private_key("server"),
        )
        self._context.set_alpn_protocols([protocol])
        if certificate_required:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(certificates.ca)
        self._server = TcpServer(self._serve)
        self.port = self._server.port

    def close(self) -> None:
        self._server.close()

    def _serve(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as tls:
            if tls.selected_alpn_protocol() != self._protocol:
                return
            address = (self._broker.host, self._broker.port)
            with socket.create_connection(address) as upstream:
                _forward(tls, upstream)


def _forward(tls: ssl.SSLSocket, upstream: socket.socket) -> None:
    peers: dict[socket.socket, socket.socket] = {tls: upstream, upstream: tls}
    while True:
        readable, _, _ = select.select(list(peers), [], [])
        for source in readable:
            # More than a TLS record: nothing stays behind in the library.
            data = source.recv(65536)
            if not data:
                return
            peers[source].sendall(data)


def start(
    environment: Environment, front: Front, **definitions: Parameter
) -> Kamailio:
    certificates = environment.certificates
    kamailio = environment.kamailio(
        example(
            "aws_iot",
            MQTT_HOST="localhost",
            MQTT_PORT=front.port,
            CA_FILE=str(certificates.ca),
            CERTIFICATE=str(certificates.certificate("client")),
            PRIVATE_KEY=str(certificates.private_key("client")),
            **definitions,
        ),
        environment={"AWS_IOT_PASSWORD": PASSWORD},
    )
    kamailio.start()
    return kamailio


def request_told(observer: MqttClient) -> str:
    """The method of the next request that the example tells of."""
    told = json.loads(observer.wait_message("sip/sip-1/requests").payload)
    assert told.pop("source") == "127.0.0.1"
    return told["method"]


def check(
    environment: Environment,
    kamailio: Kamailio,
    broker: Broker,
    observer: MqttClient,
) -> None:
    """All that the example does."""
    broker.wait_for_client("sip-1")
    state = observer.wait_message("sip/sip-1/state")
    assert json.loads(state.payload) == {"up": True}
    phone = environment.sip_phone(kamailio, "bob")
    assert phone.request("MESSAGE", "sip:alice@example.org").status == 404
    # Those before it have asked whether Kamailio has started.
    while request_told(observer) != "MESSAGE":
        pass
    broker.wait_for_subscription("sip/sip-1/commands/#")
    observer.publish("sip/sip-1/commands/a", "12345")
    kamailio.wait_for_log("command sip/sip-1/commands/a, 5 bytes")
    kamailio.close()
    gone = observer.wait_message("sip/sip-1/state")
    assert json.loads(gone.payload) == {"up": False}


def test_with_a_client_certificate(environment: Environment) -> None:
    broker = environment.broker()
    observer = environment.mqtt_client(broker)
    observer.subscribe("sip/#")
    front = environment.own(
        Front(
            environment.certificates,
            broker,
            "x-amzn-mqtt-ca",
            certificate_required=True,
        )
    )
    check(environment, start(environment, front), broker, observer)


def test_with_a_custom_authorizer(environment: Environment) -> None:
    broker = environment.broker(users={USER: PASSWORD})
    observer = environment.mqtt_client(
        broker, username=USER, password=PASSWORD
    )
    observer.subscribe("sip/#")
    front = environment.own(Front(environment.certificates, broker, "mqtt"))
    kamailio = start(environment, front, CUSTOM_AUTHORIZER=1)
    check(environment, kamailio, broker, observer)


def test_the_wrong_one_of_both(environment: Environment) -> None:
    broker = environment.broker()
    front = environment.own(Front(environment.certificates, broker, "mqtt"))
    start(environment, front).wait_for_log("cannot connect to localhost")
    demanding = environment.own(
        Front(
            environment.certificates,
            broker,
            "mqtt",
            certificate_required=True,
        )
    )
    kamailio = start(environment, demanding, CUSTOM_AUTHORIZER=1)
    kamailio.wait_for_log("alert certificate required")
    assert " as sip-1 (" not in broker.log()
