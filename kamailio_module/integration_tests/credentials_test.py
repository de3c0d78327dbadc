# SPDX-License-Identifier: GPL-3.0-or-later
"""Who Kamailio is to the broker, and what the broker allows it: user name and
password, access control, client identifier."""

from __future__ import annotations

import re

import pytest

from kamailio_module.integration_tests.refusal import (
    DISCONNECTED_ROUTE,
    check_refused,
)
from kamailio_module.integration_tests.scene import CLIENT_ID, at
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.mqtt_packets import PacketType

USER = "kamailio-user"
PASSWORD = "supers3cre7-word"
WRONG_PASSWORD = "wr0ng-word"

# Of all processes that start, each with its lines, some would be torn.
DEBUG_MODULE_ONLY = """
modparam("debugger", "mod_hash_size", 4)
modparam("debugger", "mod_level_mode", 1)
modparam("debugger", "mod_level", "mqtt=3")
"""


def delays(kamailio: Kamailio) -> list[float]:
    """What the log says of the times until the next attempt, in seconds."""
    return [
        float(seconds)
        for seconds in re.findall(
            r"mqtt: .*; next attempt in (\S+) s", kamailio.log()
        )
    ]


# User name and password.


def test_right_credentials(environment: Environment) -> None:
    broker = environment.broker(users={USER: PASSWORD})
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, username=USER, password=PASSWORD),
            debug=4,
        )
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    login = rf" as {CLIENT_ID} \(p[24], c0, k5, u'{USER}'\)"
    assert re.search(login, broker.log())
    assert kamailio.stop() == 0
    assert PASSWORD not in kamailio.log()


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param({"username": USER, "password": WRONG_PASSWORD}, id="word"),
        pytest.param({"username": "x", "password": WRONG_PASSWORD}, id="user"),
        pytest.param({}, id="none"),
    ],
)
def test_wrong_credentials(
    environment: Environment, credentials: dict[str, str]
) -> None:
    broker = environment.broker(users={USER: PASSWORD})
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, reconnect_delay=1, **credentials),
            modules=["debugger"],
            routes=DISCONNECTED_ROUTE + DEBUG_MODULE_ONLY,
        )
    )
    kamailio.start()
    check_refused(kamailio, "not authorised (CONNACK return code 5)")
    Ledger(kamailio).wait_not_reached(3)
    assert delays(kamailio)[:3] == [1, 2, 4]
    assert WRONG_PASSWORD not in kamailio.log()


def test_credentials_that_become_right(environment: Environment) -> None:
    broker = environment.broker(users={USER: "another"})
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(
                broker, reconnect_delay=1, username=USER, password=PASSWORD
            )
        )
    )
    kamailio.start()
    Ledger(kamailio).wait_not_reached()
    broker.stop()
    environment.broker(port=broker.port, users={USER: PASSWORD})
    kamailio.wait_for_log("NOTICE: mqtt: connected to ")


# Access control.


def test_refused_subscriptions(environment: Environment) -> None:
    broker = environment.broker(subscribe_only="allowed/#")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            routes="""
            event_route[mqtt:connected] {
                mqtt_subscribe("forbidden/1", 0);
                mqtt_subscribe("allowed/in", 0);
                mqtt_subscribe("forbidden/2", 2);
            }
            event_route[mqtt:message] {
                xlog("received $mqtt(topic)\\n");
            }""",
        )
    )
    kamailio.start()
    for number in (1, 2):
        kamailio.wait_for_log(
            f'WARNING: mqtt: cannot subscribe to "forbidden/{number}": '
            "refused by the broker with return code 0x80"
        )
    assert Ledger(kamailio)["subscriptions_refused"] == 2
    assert Ledger(kamailio)["subscriptions_refused_now"] == 2
    client = environment.mqtt_client(broker)
    client.publish("forbidden/1")
    client.publish("allowed/in")
    kamailio.wait_for_log("received allowed/in")
    assert "received forbidden" not in kamailio.log()
    assert Ledger(kamailio)["disconnects"] == 0


# The client identifier.


def test_two_clients_with_one_identifier(environment: Environment) -> None:
    """They take the session from one another, ever more slowly."""
    broker = environment.broker()
    first, second = (
        environment.kamailio(
            KamailioConfiguration(parameters=at(broker, reconnect_delay=1))
        )
        for _ in range(2)
    )
    first.start()
    broker.wait_for_client(CLIENT_ID)
    second.start()
    first.process.wait_until(
        lambda: len(delays(first)) >= 3, "three sessions lost"
    )
    assert delays(first)[:3] == [1, 2, 4]
    assert delays(second) == [1, 2, 4][: len(delays(second))]


def test_the_identifier_on_the_wire(environment: Environment) -> None:
    broker = environment.own(FakeBroker())
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={
                "host": broker.host,
                "port": broker.port,
                "id": "sip-1.example/ü",
            }
        )
    )
    kamailio.start()
    broker.wait_received(PacketType.CONNECT)
    (connect,) = broker.connects()
    assert connect.client_id == "sip-1.example/ü"


def test_a_random_identifier_stays(environment: Environment) -> None:
    broker = environment.own(FakeBroker())
    parameters = {
        "host": broker.host,
        "port": broker.port,
        "reconnect_delay": 1,
    }
    kamailio = environment.kamailio(
        KamailioConfiguration(parameters=parameters)
    )
    kamailio.start()
    broker.wait_received(PacketType.CONNECT, 1)
    broker.cut()
    broker.wait_received(PacketType.CONNECT, 2)
    other = environment.kamailio(KamailioConfiguration(parameters=parameters))
    other.start()
    broker.wait_received(PacketType.CONNECT, 3)
    first, again, others = (each.client_id for each in broker.connects())
    assert first == again != others
