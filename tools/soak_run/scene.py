# SPDX-License-Identifier: GPL-3.0-or-later
"""What a soak run runs: SIP load, Kamailio, a proxy for the network,
mosquitto, and a client that sends messages to Kamailio."""

from __future__ import annotations

import contextlib
import itertools

from tools.harness.delivered import Delivered
from tools.harness.environment import Environment
from tools.harness.kamailio import KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.mqtt_client import MqttClient
from tools.harness.process import Process
from tools.harness.tcp_proxy import TcpProxy
from tools.soak_run.inbound_flow import InboundFlow
from tools.soak_run.sip_load import Request, SipLoad

CLIENT_ID = "kamailio"

# More than what comes during any fault but the one that fills the queue.
QUEUE_MAX_MESSAGES = 10000
KEEPALIVE = 5  # Seconds.
CONNECT_TIMEOUT = 3  # Seconds.
DRAIN_TIMEOUT = 3  # Seconds.

# Results of mqtt_publish and mqtt_subscribe.
ACCEPTED = 1
QUEUE_FULL = -2

# The topics whose subscription comes and goes.
WATCHED = tuple(f"watched/{number}" for number in range(5))

_REQUEST_ROUTE = """
    if ($rU == "subscribe") {
        mqtt_subscribe("$rb", 1);
    } else if ($rU == "unsubscribe") {
        mqtt_unsubscribe("$rb");
    } else {
        $var(qos) = $(rU{s.int});
        mqtt_publish("numbers/$cs", "$rb", "$var(qos)");
    }
    sl_send_reply("200", "$rc");
    exit;"""

# Subscribed to with QoS 1: with QoS 2 the session would not be kept, and QoS 2
# not be exactly once. Messages are answered, but for those that are there to
# keep the event route busy: "in/flood", and "in/pause" with the seconds to
# sleep.
_EVENT_ROUTES = """
event_route[mqtt:connected] {
    mqtt_subscribe("in/#", 1);
}
event_route[mqtt:disconnected] {
    xlog("L_NOTICE", "$mqtt(reason)\\n");
}
event_route[mqtt:message] {
    switch ($mqtt(topic)) {
        case "in/flood":
            exit;
        case "in/pause":
            sleep("$(mqtt(msg){s.int})");
            exit;
        case "in/slow":
            usleep("20000");
    }
    mqtt_publish("answers/$mqtt(msg)", "$mqtt(topic)", 1);
    if ($rc == 1) {
        $shv(answers_accepted) = $shv(answers_accepted) + 1;
    } else {
        $shv(answers_refused) = $shv(answers_refused) + 1;
    }
}
"""


class Scene:
    """Everything, started and connected, nothing flowing yet.

    Messages from SIP requests are numbered; so are those to Kamailio, whose
    numbers come back in its answers.
    """

    def __init__(
        self, environment: Environment, *, seed: int, sip_rate: int
    ) -> None:
        self.sip_rate = sip_rate
        self._logs = environment.new_directory("publishers")
        # It and those who publish stand for other machines.
        self.broker = environment.broker(gives_way=True)
        self.proxy = environment.own(TcpProxy(self.broker.port))
        self.kamailio = environment.kamailio(
            KamailioConfiguration(
                parameters={
                    "host": self.proxy.host,
                    "port": self.proxy.port,
                    "id": CLIENT_ID,
                    "keepalive": KEEPALIVE,
                    "connect_timeout": CONNECT_TIMEOUT,
                    "reconnect_delay": 1,
                    "queue_max_messages": QUEUE_MAX_MESSAGES,
                    "drain_timeout": DRAIN_TIMEOUT * 1000,
                },
                modules=("cfgutils",),
                request_route=_REQUEST_ROUTE,
                routes=_EVENT_ROUTES,
            )
        )
        self.kamailio.start()
        self.ledger = Ledger(self.kamailio)
        self.ledger.wait_connected()
        self.broker.wait_for_subscription("in/#")

        self.delivered = Delivered(self.broker)
        self.answers = Delivered(self.broker, topic="answers")
        self.requests: list[Request] = []
        self.watched: set[str] = set()
        self._inbound_numbers = itertools.count(1)
        self._control = environment.sip_client(self.kamailio)
        self._load = environment.own(SipLoad(self.kamailio.sip_port, seed))
        self._inbound = environment.own(
            InboundFlow(self.broker, self._inbound_numbers)
        )

    def flow(self) -> None:
        """Requests and messages flow from now on."""
        self._load.flow(self.sip_rate)
        self._inbound.resume()

    def change_sip_rate(self, factor: int) -> None:
        """While they flow: requests come so many times as fast as usual."""
        self._load.flow(factor * self.sip_rate)

    def pause(self) -> None:
        """Nothing more comes in, and every request is answered, or never will
        be."""
        self._inbound.pause()
        self.requests += self._load.pause()

    def watch(self, topic: str, watched: bool) -> None:
        """Subscribes Kamailio to one of WATCHED, or ends that."""
        user = "subscribe" if watched else "unsubscribe"
        response = self._control.request(
            "MESSAGE", user=user, body=topic.encode()
        )
        assert int(response.reason) == ACCEPTED, (user, topic, response)
        if watched:
            self.watched.add(topic)
        else:
            self.watched.discard(topic)

    def send_in(self, client: MqttClient, topic: str) -> int:
        """Sends a numbered message to Kamailio; returns the number."""
        number = next(self._inbound_numbers)
        client.publish(topic, str(number))
        return number

    def publish_often(
        self, topic: str, payload: str, qos: str, count: int
    ) -> None:
        """As fast as the broker takes it."""
        publisher = Process(
            ["mosquitto_pub", "-p", str(self.broker.port)]
            + ["-t", topic, "-m", payload, "-q", qos]
            + ["--repeat", str(count)],
            self._logs / "mosquitto_pub.log",
            gives_way=True,
        )
        with contextlib.closing(publisher):
            assert publisher.wait() == 0, publisher.log_tail()

    def accepted_count(self, qos: int) -> int:
        accepted = sum(
            request.qos == qos and request.result == ACCEPTED
            for request in self.requests
        )
        return accepted + (self.answers_accepted() if qos == 1 else 0)

    def refused_count(self) -> int:
        refused = sum(
            request.result == QUEUE_FULL for request in self.requests
        )
        return refused + self._answers_refused()

    def answers_accepted(self) -> int:
        return self.kamailio.shared_variable("answers_accepted")

    def _answers_refused(self) -> int:
        return self.kamailio.shared_variable("answers_refused")
