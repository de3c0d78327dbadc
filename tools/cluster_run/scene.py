# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run runs: brokers, and for each Kamailio a balancer in front of them,
with a recorder between the two; publishers, and an observer."""

from __future__ import annotations

import itertools

from tools.cluster_run import page
from tools.cluster_run.balancer import Balancer
from tools.cluster_run.broker_node import BrokerNode
from tools.cluster_run.load import PublisherLoad, SipLoad
from tools.cluster_run.page import Addresses
from tools.cluster_run.recorder import Recorder
from tools.harness import handled
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.mqtt_client import MqttClient

NODES = 3

FILTER = "$share/sip/sip/commands/#"
_COMMANDS = "sip/commands/numbered"
_EVENTS = "sip/events"

_REQUEST_ROUTE = f"""
    mqtt_publish("{_EVENTS}", "$rb", 1);
    sl_send_reply("200", "$rc");
    exit;"""

_SUBSCRIBE = f"""
event_route[mqtt:connected] {{
    mqtt_subscribe("${FILTER}", 1);
}}
"""

# Seconds. Brokers elect a leader before they serve.
_START_DEADLINE = 60.0


class Node:
    """A Kamailio, and what stands between it and the brokers."""

    def __init__(
        self, environment: Environment, number: int, addresses: Addresses
    ) -> None:
        self.client_id = f"sip-{number}"
        self.balancer = environment.own(
            Balancer(
                environment.new_directory("balancer"), number, addresses
            )
        )
        self.recorder = environment.own(Recorder(self.balancer.port))
        self.kamailio: Kamailio = environment.kamailio(
            KamailioConfiguration(
                parameters=page.parameters()
                | {
                    "host": self.recorder.host,
                    "port": self.recorder.port,
                    "id": self.client_id,
                },
                request_route=_REQUEST_ROUTE,
                routes=_SUBSCRIBE + handled.EVENT_ROUTE,
            )
        )
        self.ledger = Ledger(self.kamailio)
        self.alive = True

    def handled(self) -> list[int]:
        return handled.handled(self.kamailio)

    def kill(self) -> None:
        """SIGKILL for all its processes."""
        self.kamailio.process.close()
        self.alive = False


class Scene:
    """Everything, started and connected, nothing flowing yet. Node N prefers
    broker N."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        addresses = Addresses()
        numbers = range(1, NODES + 1)
        self.brokers = [
            environment.own(
                BrokerNode(
                    environment.new_directory(f"broker{number}_"),
                    number,
                    addresses,
                )
            )
            for number in numbers
        ]
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_ready(deadline=_START_DEADLINE)
        self.nodes = [
            Node(environment, number, addresses) for number in numbers
        ]
        for node in self.nodes:
            node.kamailio.start()
            node.kamailio.process.wait_until(
                lambda: node.recorder.subscriptions > 0, "it has subscribed"
            )
        # At a broker that is not killed: the observer is not what is tested.
        self._observer = MqttClient(
            self.nodes[1].balancer.port, client_id="observer"
        )
        environment.own(self._observer)
        self._observer.subscribe(_EVENTS, 1)
        self.sip_loads: list[SipLoad] = []
        self.publisher_loads: list[PublisherLoad] = []

    def flow(self, rate: float) -> None:
        """From now on, `rate` messages a second flow, half of them each way.
        Each Kamailio has as many requests as the others, and each publisher,
        of which each prefers another broker, publishes as much."""
        of_each = rate / 2 / NODES
        sip_numbers, publisher_numbers = itertools.count(1), itertools.count(1)
        for node in self.nodes:
            self.sip_loads.append(
                self._environment.own(
                    SipLoad(node.kamailio, sip_numbers, of_each)
                )
            )
            self.publisher_loads.append(
                self._environment.own(
                    PublisherLoad(
                        node.balancer.port,
                        _COMMANDS,
                        publisher_numbers,
                        of_each,
                    )
                )
            )

    def pause(self) -> None:
        """Nothing more is sent, and what was sent is answered."""
        for load in [*self.sip_loads, *self.publisher_loads]:
            load.close()

    def sent(self) -> list[int]:
        """To Kamailio."""
        return [n for load in self.publisher_loads for n in load.sent]

    def accepted(self) -> list[int]:
        """Of what SIP requests published."""
        return [n for load in self.sip_loads for n in load.sent]

    def handled(self) -> list[int]:
        return [n for node in self.nodes for n in node.handled()]

    def observed(self) -> list[int]:
        return [
            int(message.payload) for message in self._observer.messages()
        ]

    def collect(self, node: Node) -> MqttClient:
        """A client that has the session of a killed node, and so all that the
        cluster keeps for it."""
        return self._environment.own(
            MqttClient(
                self.nodes[1].balancer.port,
                client_id=node.client_id,
                clean_session=False,
            )
        )
