# SPDX-License-Identifier: GPL-3.0-or-later

import re

import pytest

from tools.cluster_run import page
from tools.cluster_run.broker_node import MQTT_PORT, address
from tools.cluster_run.page import Addresses, configuration


def test_a_configuration_begins_after_its_name() -> None:
    assert configuration("rmqtt.toml").startswith("node.id = 1\n")


def test_a_configuration_that_is_not_there() -> None:
    with pytest.raises(AssertionError, match="has no nothing.toml"):
        configuration("nothing.toml")


def test_parameters() -> None:
    parameters = page.parameters()
    assert parameters["host"] == "127.0.0.1"
    assert parameters["reconnect_delay"] == 1


def test_the_same_address_is_the_same_here() -> None:
    addresses = Addresses()
    first, second, again = addresses.replace(
        "10.0.0.11:1883 10.0.0.12:1883 10.0.0.11:1883"
    ).split()
    assert first == again == addresses.here("10.0.0.11:1883")
    assert first != second
    assert re.fullmatch(r"127\.0\.0\.1:\d+", first)


def test_other_addresses_stay() -> None:
    text = "127.0.0.1:1883 10.0.0.11"
    assert Addresses().replace(text) == text


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_balancer_has_every_broker(number: int) -> None:
    server = f"server mqtt-{number} {address(number)}:{MQTT_PORT}"
    assert server in configuration("haproxy.cfg")
