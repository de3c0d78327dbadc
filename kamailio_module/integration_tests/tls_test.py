# SPDX-License-Identifier: GPL-3.0-or-later
"""MQTT over TLS: every parameter with a server that accepts and one that
refuses, large payloads, and Kamailio's own tls module beside."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from kamailio_module.integration_tests.refusal import (
    DISCONNECTED_ROUTE,
    check_refused,
)
from kamailio_module.integration_tests.scene import CLIENT_ID
from tools.harness import fake_broker, mqtt_packets
from tools.harness.broker import Broker, BrokerTls
from tools.harness.certificates import Certificates, make_certificates
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import (
    KamailioConfiguration,
    Parameter,
    modparam,
)
from tools.harness.ledger import Ledger
from tools.harness.mqtt_client import MqttClient
from tools.harness.ports import free_port
from tools.harness.process import Process
from tools.harness.tcp_server import TcpServer
from tools.harness.waiting import DEADLINE

Parameters = dict[str, Parameter]

# Their values in this file are names in the directory of the certificates.
FILE_PARAMETERS = {"ca_file", "ca_path", "certificate", "private_key"}

TRUSTING: Parameters = {"ca_file": "ca.pem"}
IDENTIFIED: Parameters = TRUSTING | {
    "certificate": "client.pem",
    "private_key": "client.key",
}
WRONGLY_IDENTIFIED: Parameters = TRUSTING | {
    "certificate": "unrelated_client.pem",
    "private_key": "unrelated_client.key",
}

# Of TLS 1.2, for the type of key that the server has.
CIPHER = "ECDHE-ECDSA-AES128-GCM-SHA256"
OTHER_CIPHER = "ECDHE-ECDSA-AES256-GCM-SHA384"

ECHO = """
event_route[mqtt:connected] {
    mqtt_subscribe("in", 2);
}
event_route[mqtt:message] {
    mqtt_publish("out", "$mqtt(msg)", "$mqtt(qos)");
}
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def module_parameters(
    certificates: Certificates, port: int, parameters: Parameters
) -> Parameters:
    files = {
        name: str(certificates.directory / str(value))
        for name, value in parameters.items()
        if name in FILE_PARAMETERS
    }
    broker: Parameters = {
        "host": "localhost",
        "port": port,
        "id": CLIENT_ID,
        "reconnect_delay": 1,
        "connect_timeout": 1,
    }
    return broker | parameters | files


def mqtt_client(
    environment: Environment, certificates: Certificates, broker: Broker
) -> MqttClient:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    return environment.mqtt_client(broker, tls=context)


# What may listen at the broker's port.


class Closeable(Protocol):
    def close(self) -> None: ...


Server = Callable[[Environment, Certificates, int], Closeable]


@dataclass(frozen=True)
class Mosquitto:
    """A broker with TLS. With a `client_ca` it demands a certificate."""

    certificate: str = "server"
    client_ca: str | None = None
    tls_version: str | None = None

    def __call__(
        self, environment: Environment, certificates: Certificates, port: int
    ) -> Broker:
        ca = self.client_ca
        tls = BrokerTls(
            certificates.certificate(self.certificate),
            certificates.private_key(self.certificate),
            ca_file=certificates.directory / ca if ca else None,
            require_certificate=ca is not None,
            tls_version=self.tls_version,
        )
        return environment.broker(port=port, tls=tls)


def mosquitto_without_tls(
    environment: Environment, certificates: Certificates, port: int
) -> Broker:
    return environment.broker(port=port)


def nobody(
    environment: Environment, certificates: Certificates, port: int
) -> Closeable:
    return contextlib.ExitStack()


def silent(
    environment: Environment, certificates: Certificates, port: int
) -> Closeable:
    return environment.own(FakeBroker(fake_broker.silent, port=port))


def http_only(
    environment: Environment, certificates: Certificates, port: int
) -> Closeable:
    """Insists on its ALPN protocol, as neither mosquitto nor Python can."""
    server = Process(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}"]
        + ["-cert", certificates.certificate("server")]
        + ["-key", certificates.private_key("server")]
        + ["-alpn", "http/1.1", "-www"],
        environment.directory / "s_server.log",
    )
    environment.own(server)
    server.wait_for_log("ACCEPT")
    return server


@dataclass(frozen=True)
class Handshake:
    """What was negotiated."""

    version: str | None
    cipher: str
    alpn: str | None
    server_name: str | None


class TlsServer:
    """Accepts MQTT sessions, and notes their handshakes."""

    def __init__(
        self,
        certificates: Certificates,
        *,
        port: int = 0,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        ciphers: str = "DEFAULT",
        alpn: Sequence[str] = (),
    ) -> None:
        self.handshakes: list[Handshake] = []
        self._server_names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(
            certificates.certificate("server"),
            certificates.private_key("server"),
        )
        self._context.maximum_version = newest
        self._context.set_ciphers(ciphers)
        self._context.set_alpn_protocols(list(alpn))
        self._context.sni_callback = self._note_server_name
        self._server = TcpServer(self._serve, port=port)
        self.port = self._server.port

    def close(self) -> None:
        self._server.close()

    def _note_server_name(
        self, connection: object, name: str | None, context: object
    ) -> None:
        self._server_names.append(name)

    def _serve(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as tls:
            cipher = tls.cipher()
            assert cipher is not None
            handshake = Handshake(
                version=tls.version(),
                cipher=cipher[0],
                alpn=tls.selected_alpn_protocol(),
                server_name=self._server_names[-1],
            )
            self.handshakes.append(handshake)
            tls.recv(1024)  # CONNECT
            tls.sendall(mqtt_packets.connack())
            while tls.recv(1024):
                pass


def tls_1_2(
    environment: Environment, certificates: Certificates, port: int
) -> Closeable:
    return environment.own(
        TlsServer(
            certificates,
            port=port,
            newest=ssl.TLSVersion.TLSv1_2,
            ciphers=OTHER_CIPHER,
        )
    )


# Accepted.


@pytest.mark.parametrize(
    ("parameters", "broker"),
    [
        pytest.param(TRUSTING, Mosquitto(), id="ca_file"),
        pytest.param({"ca_path": "ca_path"}, Mosquitto(), id="ca_path"),
        pytest.param(
            TRUSTING | {"host": "127.0.0.1"}, Mosquitto(), id="address"
        ),
        pytest.param(
            IDENTIFIED, Mosquitto(client_ca="ca.pem"), id="certificate"
        ),
        pytest.param(
            TRUSTING | {"tls_method": "tlsv1.2"},
            Mosquitto(tls_version="tlsv1.2"),
            id="tls_method_1.2",
        ),
        pytest.param(
            TRUSTING | {"tls_method": "tlsv1.3"},
            Mosquitto(tls_version="tlsv1.3"),
            id="tls_method_1.3",
        ),
        pytest.param(
            TRUSTING | {"tls_alpn": "mqtt"}, Mosquitto(), id="tls_alpn"
        ),
        pytest.param(
            TRUSTING | {"cipher_list": CIPHER}, Mosquitto(), id="cipher_list"
        ),
        pytest.param(
            TRUSTING | {"verify_certificate": 1}, Mosquitto(), id="verify_1"
        ),
        pytest.param(
            TRUSTING | {"verify_certificate": "1"},
            Mosquitto(),
            id="verify_string_1",
        ),
        pytest.param(
            {"ca_file": "unrelated_ca.pem", "verify_certificate": 0},
            Mosquitto(),
            id="verify_0_unrelated_ca_file",
        ),
        pytest.param(
            {"ca_path": "unrelated_ca_path", "verify_certificate": "0"},
            Mosquitto(),
            id="verify_string_0_unrelated_ca_path",
        ),
        pytest.param(
            TRUSTING | {"verify_certificate": "0"},
            Mosquitto("wrong_name"),
            id="verify_string_0_wrong_name",
        ),
        pytest.param(
            TRUSTING | {"verify_certificate": 0},
            Mosquitto("expired"),
            id="verify_0_expired",
        ),
    ],
)
def test_accepted(
    environment: Environment,
    certificates: Certificates,
    parameters: Parameters,
    broker: Mosquitto,
) -> None:
    port = free_port()
    running = broker(environment, certificates, port)
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=module_parameters(certificates, port, parameters)
        )
    )
    kamailio.start()
    running.wait_for_client(CLIENT_ID)
    kamailio.wait_for_log("NOTICE: mqtt: connected to ")
    assert "ERROR: mqtt" not in kamailio.log()


@pytest.mark.parametrize(
    ("parameters", "server", "expected"),
    [
        pytest.param(
            {},
            {"alpn": ["http/1.1", "mqtt"]},
            {"alpn": None, "server_name": "localhost", "version": "TLSv1.3"},
            id="defaults",
        ),
        pytest.param(
            {"tls_alpn": "mqtt"},
            {"alpn": ["http/1.1", "mqtt"]},
            {"alpn": "mqtt"},
            id="tls_alpn",
        ),
        pytest.param(
            {"tls_method": "tlsv1.2"},
            {"newest": ssl.TLSVersion.TLSv1_2},
            {"version": "TLSv1.2"},
            id="tls_method",
        ),
        pytest.param(
            {"cipher_list": CIPHER},
            {"newest": ssl.TLSVersion.TLSv1_2},
            {"cipher": CIPHER},
            id="cipher_list",
        ),
        pytest.param(
            {"cipher_list": OTHER_CIPHER},
            {"newest": ssl.TLSVersion.TLSv1_2},
            {"cipher": OTHER_CIPHER},
            id="other_cipher_list",
        ),
    ],
)
def test_what_is_negotiated(
    environment: Environment,
    certificates: Certificates,
    parameters: Parameters,
    server: dict[str, object],
    expected: dict[str, str | None],
) -> None:
    running = environment.own(TlsServer(certificates, **server))
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=module_parameters(
                certificates, running.port, TRUSTING | parameters
            )
        )
    )
    kamailio.start()
    kamailio.wait_for_log("NOTICE: mqtt: connected to ")
    (handshake,) = running.handshakes
    assert {name: getattr(handshake, name) for name in expected} == expected


# Refused; and accepted once the right server is there.


@pytest.mark.parametrize(
    ("parameters", "wrong", "right", "reason"),
    [
        pytest.param(
            TRUSTING,
            Mosquitto("unrelated_client"),
            Mosquitto(),
            "the broker's certificate is refused: unable to get local issuer",
            id="ca_file",
        ),
        pytest.param(
            {"ca_path": "ca_path", "verify_certificate": "1"},
            Mosquitto("unrelated_client"),
            Mosquitto(),
            "the broker's certificate is refused: unable to get local issuer",
            id="ca_path",
        ),
        pytest.param(
            TRUSTING,
            Mosquitto("wrong_name"),
            Mosquitto(),
            'the broker\'s certificate is not for host "localhost"',
            id="wrong_name",
        ),
        pytest.param(
            TRUSTING | {"verify_certificate": 1},
            Mosquitto("expired"),
            Mosquitto(),
            "the broker's certificate is refused: certificate has expired",
            id="expired",
        ),
        pytest.param(
            TRUSTING,
            Mosquitto(client_ca="ca.pem"),
            Mosquitto(),
            "the broker refused: tlsv13 alert certificate required",
            id="no_certificate",
        ),
        pytest.param(
            WRONGLY_IDENTIFIED,
            Mosquitto(client_ca="ca.pem"),
            Mosquitto(client_ca="unrelated_ca.pem"),
            "the broker refused: tlsv1 alert unknown ca",
            id="unknown_certificate",
        ),
        pytest.param(
            TRUSTING | {"tls_method": "tlsv1.3"},
            tls_1_2,
            Mosquitto(),
            "the broker refused: tlsv1 alert protocol version",
            id="tls_method",
        ),
        pytest.param(
            TRUSTING | {"cipher_list": CIPHER},
            tls_1_2,
            Mosquitto(),
            # After "sslv3" or "ssl/tls", as OpenSSL's release has it.
            " alert handshake failure",
            id="cipher_list",
        ),
        pytest.param(
            TRUSTING | {"tls_alpn": "mqtt"},
            http_only,
            Mosquitto(),
            "the broker refused: tlsv1 alert no application protocol",
            id="tls_alpn",
        ),
        pytest.param(
            TRUSTING,
            mosquitto_without_tls,
            Mosquitto(),
            "TLS: the broker closed the connection",
            id="broker_without_tls",
        ),
        pytest.param(
            {},
            Mosquitto(),
            mosquitto_without_tls,
            "Connection reset by peer",
            id="client_without_tls",
        ),
        pytest.param(
            TRUSTING, nobody, Mosquitto(), "Connection refused", id="nobody"
        ),
        pytest.param(
            TRUSTING,
            silent,
            Mosquitto(),
            "connect_timeout of 1 s has passed, waiting for the TLS handshake",
            id="silent",
        ),
    ],
)
def test_refused(
    environment: Environment,
    certificates: Certificates,
    parameters: Parameters,
    wrong: Server,
    right: Server,
    reason: str,
) -> None:
    port = free_port()
    running = wrong(environment, certificates, port)
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=module_parameters(certificates, port, parameters),
            routes=DISCONNECTED_ROUTE,
        )
    )
    kamailio.start()
    check_refused(kamailio, reason)
    running.close()
    right(environment, certificates, port)
    kamailio.wait_for_log("NOTICE: mqtt: connected to ")


# Messages.


def test_large_payloads(
    environment: Environment, certificates: Certificates
) -> None:
    broker = Mosquitto()(environment, certificates, free_port())
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=module_parameters(certificates, broker.port, TRUSTING),
            routes=ECHO,
        )
    )
    kamailio.start()
    broker.wait_for_subscription("in")
    client = mqtt_client(environment, certificates, broker)
    client.subscribe("out")
    payload = bytes(range(256)) * 4096
    for qos in (0, 1, 2):
        client.publish("in", payload, qos=qos)
        message = client.wait_message()
        assert message.payload == payload
        assert message.qos == qos


# Beside Kamailio's tls module, which has OpenSSL allocate in shared memory.


def options_over_tls(certificates: Certificates, port: int) -> str:
    """The status line of the response to a SIP request."""
    context = ssl.create_default_context(cafile=str(certificates.ca))
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as tls,
    ):
        tls.sendall(
            b"OPTIONS sips:test@localhost SIP/2.0\r\n"
            b"Via: SIP/2.0/TLS localhost;branch=z9hG4bK1;rport\r\n"
            b"From: <sips:a@localhost>;tag=1\r\n"
            b"To: <sips:test@localhost>\r\n"
            b"Call-ID: 1\r\n"
            b"CSeq: 1 OPTIONS\r\n"
            b"Max-Forwards: 70\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        return tls.makefile().readline().strip()


def beside_the_tls_module(
    certificates: Certificates, port: int, *, tls_first: bool = True
) -> dict[str, Any]:
    """For KamailioConfiguration; `port` is for SIP over TLS."""
    lines = [
        modparam("tls_method", "TLSv1.2+", "tls"),
        modparam("certificate", str(certificates.certificate("server")), "tls"),
        modparam("private_key", str(certificates.private_key("server")), "tls"),
    ]
    if not tls_first:
        lines.insert(0, 'loadmodule "tls.so"')
    return {
        "tcp": True,
        "global_parameters": f"""
            enable_tls=yes
            listen=tls:127.0.0.1:{port}""",
        "modules": ["tls"] if tls_first else [],
        "routes": "\n".join([*lines, ECHO]),
    }


@pytest.mark.parametrize("tls_first", [True, False])
def test_sip_and_mqtt_over_tls(
    environment: Environment, certificates: Certificates, tls_first: bool
) -> None:
    broker = Mosquitto()(environment, certificates, free_port())
    sip_port = free_port()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=module_parameters(certificates, broker.port, TRUSTING),
            request_route='mqtt_publish("out", "$proto", 1);',
            **beside_the_tls_module(
                certificates, sip_port, tls_first=tls_first
            ),
        )
    )
    kamailio.start()
    for _ in range(3):
        broker.wait_for_subscription("in")
        client = mqtt_client(environment, certificates, broker)
        client.subscribe("out")
        response = options_over_tls(certificates, sip_port)
        assert response == "SIP/2.0 200 OK"
        assert client.wait_message().payload == b"tls"
        client.publish("in", "echo")
        assert client.wait_message().payload == b"echo"
        client.close()
        broker.stop()
        broker.start()
    assert kamailio.stop() == 0


def test_attempts_use_up_no_shared_memory(
    environment: Environment, certificates: Certificates
) -> None:
    broker = Mosquitto("expired")(environment, certificates, free_port())
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=module_parameters(certificates, broker.port, TRUSTING),
            **beside_the_tls_module(certificates, free_port()),
        )
    )
    kamailio.start()
    ledger = Ledger(kamailio)
    ledger.wait_not_reached(2)
    before = kamailio.shared_memory_used()
    ledger.wait_not_reached(5)
    assert kamailio.shared_memory_used() - before < 2000
