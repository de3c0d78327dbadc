# SPDX-License-Identifier: GPL-3.0-or-later
"""Several Kamailios share the messages of a topic."""

from __future__ import annotations

import re
from collections import Counter

from tools.harness.broker import Broker
from tools.harness.environment import Environment
from tools.harness.handled import EVENT_ROUTE, handled
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.mqtt_client import MqttClient
from tools.harness.waiting import wait_for

NODES = 3
MESSAGES = 300

FILTER = "$share/sip/work/#"

SUBSCRIBE = """
event_route[mqtt:connected] {
    mqtt_subscribe("$$share/sip/work/#", 1);
}
"""


def start_nodes(environment: Environment, broker: Broker) -> list[Kamailio]:
    """They have no `id`, and so a clean session each: a broker may give a
    session that it keeps its share also while nobody is there to take it."""
    nodes = []
    for number in range(1, NODES + 1):
        node = environment.kamailio(
            KamailioConfiguration(
                parameters={"host": broker.host, "port": broker.port},
                routes=SUBSCRIBE + EVENT_ROUTE,
            )
        )
        node.start()
        nodes.append(node)
        wait_for(
            lambda: broker.log().count(f"\t{FILTER} (QoS 1)") == number,
            f"{number} subscriptions",
            details=broker.log,
        )
    return nodes


def wait_handled(nodes: list[Kamailio], numbers: range) -> Counter[int]:
    """Waits until all the numbers were handled by anyone of the nodes; how
    often each was."""

    def times() -> Counter[int]:
        return Counter(n for node in nodes for n in handled(node))

    wait_for(
        lambda: set(numbers) <= set(times()),
        "every message to be handled",
        details=lambda: f"{len(times())} were",
    )
    return times()


def publish(client: MqttClient, numbers: range) -> None:
    for number in numbers:
        client.publish("work/item", str(number))


def test_each_message_is_for_one_node(environment: Environment) -> None:
    broker = environment.broker()
    nodes = start_nodes(environment, broker)
    numbers = range(MESSAGES)
    publish(environment.mqtt_client(broker), numbers)
    times = wait_handled(nodes, numbers)
    assert set(times.values()) == {1}
    assert all(handled(node) for node in nodes)


def test_the_others_take_the_share_of_a_killed_node(
    environment: Environment,
) -> None:
    broker = environment.broker()
    nodes = start_nodes(environment, broker)
    publisher = environment.mqtt_client(broker)
    before, after = range(MESSAGES), range(MESSAGES, 2 * MESSAGES)
    publish(publisher, before)
    wait_handled(nodes, before)

    killed, *others = nodes
    killed.process.close()
    wait_for(
        lambda: re.search(
            "closed its connection|connection closed by client", broker.log()
        ),
        "the broker to notice",
        details=broker.log,
    )
    publish(publisher, after)
    times = wait_handled(nodes, after)
    assert set(times.values()) == {1}
    assert set(handled(killed)) < set(before)
    assert all(set(handled(node)) & set(after) for node in others)
