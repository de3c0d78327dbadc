# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the stock module's admin guide loads and works.

The examples stand in testdata/guide_examples as the guide has them. Here they
become configurations; only where the broker and the certificates are is
another.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tools.harness.broker import Broker, BrokerTls
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration

EXAMPLES = Path(__file__).absolute().parents[2] / "testdata/guide_examples"

# What the guide has in its place: a broker's address, and files.
GUIDE_HOST = "1.2.3.4"
GUIDE_PORT = 1883
GUIDE_TLS_DIRECTORY = "/etc/ssl"


class Guide:
    """Runs examples against brokers of its environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.directory = environment.new_directory("ssl")
        certificates = environment.certificates
        for name in ("certs", "private"):
            (self.directory / name).mkdir()
        # What the guide says of ca_path: named .pem, and rehashed.
        for entry in certificates.ca_path.iterdir():
            shutil.copy(
                entry, self.directory / "certs", follow_symlinks=False
            )
        shutil.copy(certificates.ca, self.directory / "certs/myca.pem")
        shutil.copy(
            certificates.certificate("client"),
            self.directory / "certs/myclient.pem",
        )
        shutil.copy(
            certificates.private_key("client"),
            self.directory / "private/myclient.key",
        )

    def tls(self, *, require_certificate: bool = False) -> BrokerTls:
        certificates = self.environment.certificates
        return BrokerTls(
            certificates.certificate("server"),
            certificates.private_key("server"),
            ca_file=certificates.ca if require_certificate else None,
            require_certificate=require_certificate,
        )

    def example(self, name: str, broker: Broker) -> str:
        text = (EXAMPLES / f"{name}.cfg").read_text()
        for old, new in (
            (GUIDE_HOST, broker.host),
            (str(GUIDE_PORT), str(broker.port)),
            (GUIDE_TLS_DIRECTORY, str(self.directory)),
        ):
            text = text.replace(old, new)
        return text

    def run(
        self,
        broker: Broker,
        *names: str,
        request: str | None = None,
        modules: tuple[str, ...] = (),
        more: str = "",
        kemi: str | None = None,
    ) -> Kamailio:
        """A Kamailio that runs, whose configuration consists of examples;
        `request` is the example that its request route consists of."""
        names = ("host", "port", *names)
        kamailio = self.environment.kamailio(
            KamailioConfiguration(
                parameters={},
                modules=modules,
                request_route=self.example(request, broker)
                if request
                else "return;",
                routes="".join(self.example(name, broker) for name in names)
                + more,
                kemi=kemi,
            )
        )
        result = kamailio.check()
        assert result.exit_code == 0, result.output
        kamailio.start()
        return kamailio


@pytest.fixture(name="guide")
def _guide(environment: Environment) -> Guide:
    return Guide(environment)


def wait_for_any_client(broker: Broker) -> None:
    broker.process.wait_for_log("New client connected")


def test_1_host_and_2_port(guide: Guide) -> None:
    broker = guide.environment.broker()
    guide.run(broker)
    wait_for_any_client(broker)


def test_3_keepalive_and_4_id(guide: Guide) -> None:
    broker = guide.environment.broker()
    guide.run(broker, "keepalive", "id")
    broker.wait_for_client("kamailio123")
    # MQTT 3.1.1, as p2 before mosquitto 2.1; no clean session, keep alive.
    assert re.search(r"as kamailio123 \(p[24], c0, k5\)", broker.log())


def test_5_username_and_6_password(guide: Guide) -> None:
    broker = guide.environment.broker(users={"kamailio-user": "supers3cre7"})
    guide.run(broker, "username", "password")
    wait_for_any_client(broker)
    assert "u'kamailio-user'" in broker.log()


def test_7_will_topic_and_8_will(guide: Guide) -> None:
    broker = guide.environment.broker()
    kamailio = guide.run(broker, "will_topic", "will")
    wait_for_any_client(broker)
    client = guide.environment.mqtt_client(broker)
    client.subscribe("#")
    kamailio.close()
    message = client.wait_message()
    assert (message.topic, message.payload) == ("kamailio123", b"gone")


@pytest.mark.parametrize(
    ("module", "engine", "script"),
    [
        ("app_lua", "lua", "event_callback.lua"),
        ("app_python3", "python", "event_callback.py"),
    ],
)
def test_9_event_callback(
    guide: Guide, module: str, engine: str, script: str
) -> None:
    broker = guide.environment.broker()
    kamailio = guide.run(
        broker,
        "event_callback",
        modules=(module,),
        more=f'modparam("{module}", "load", "{EXAMPLES / script}")\n',
        kemi=f'cfgengine "{engine}"',
    )
    triggered = "===== mqtt module triggered event: "
    kamailio.wait_for_log(f"{triggered}mqtt:connected")
    broker.kill()
    kamailio.wait_for_log(f"{triggered}mqtt:disconnected")


@pytest.mark.parametrize(
    "names",
    [
        ("ca_file",),
        ("ca_path",),
        ("ca_file", "tls_method"),
        ("ca_file", "tls_alpn"),
        ("ca_file", "cipher_list"),
    ],
    ids=lambda names: names[-1],
)
def test_10_to_13_and_16_tls(guide: Guide, names: tuple[str, ...]) -> None:
    broker = guide.environment.broker(tls=guide.tls())
    guide.run(broker, *names)
    wait_for_any_client(broker)


def test_14_certificate_and_15_private_key(guide: Guide) -> None:
    broker = guide.environment.broker(tls=guide.tls(require_certificate=True))
    guide.run(broker, "ca_file", "certificate", "private_key")
    wait_for_any_client(broker)


def test_17_verify_certificate(guide: Guide) -> None:
    broker = guide.environment.broker(tls=guide.tls())
    shutil.copy(
        guide.environment.certificates.unrelated_ca,
        guide.directory / "certs/myca.pem",
    )
    guide.run(broker, "ca_file", "verify_certificate")
    wait_for_any_client(broker)


def test_18_mqtt_subscribe(guide: Guide) -> None:
    broker = guide.environment.broker()
    kamailio = guide.run(broker, "mqtt_message", request="mqtt_subscribe")
    wait_for_any_client(broker)
    guide.environment.sip_client(kamailio).request()
    broker.wait_for_subscription("kamailio/script")
    guide.environment.mqtt_client(broker).publish("kamailio/script", "text")
    kamailio.wait_for_log(
        "mqtt message received: kamailio/script -> text !"
    )


def test_19_mqtt_unsubscribe(guide: Guide) -> None:
    broker = guide.environment.broker()
    kamailio = guide.run(broker, "mqtt_connected", request="mqtt_unsubscribe")
    broker.wait_for_subscription("kamailio/script")
    guide.environment.sip_client(kamailio).request()
    broker.process.wait_for_log("Received UNSUBSCRIBE")


def test_20_mqtt_publish(guide: Guide) -> None:
    broker = guide.environment.broker()
    kamailio = guide.run(broker, request="mqtt_publish")
    wait_for_any_client(broker)
    client = guide.environment.mqtt_client(broker)
    client.subscribe("#")
    guide.environment.sip_client(kamailio).request()
    message = client.wait_message()
    assert message.topic == "kamailio/event"
    assert message.payload == b"some message"
    assert message.qos == 0


def test_event_routes(guide: Guide) -> None:
    broker = guide.environment.broker()
    kamailio = guide.run(
        broker, "mqtt_connected", "mqtt_disconnected", "mqtt_message"
    )
    kamailio.wait_for_log("mqtt connected !")
    broker.wait_for_subscription("kamailio/script")
    guide.environment.mqtt_client(broker).publish("kamailio/script", "text")
    kamailio.wait_for_log(
        "mqtt message received: kamailio/script -> text !"
    )
    broker.kill()
    kamailio.wait_for_log("Lost mqtt connection !")
    broker.start()
    # The example subscribes again at each connection.
    broker.wait_for_subscription("kamailio/script")
