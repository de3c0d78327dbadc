# SPDX-License-Identifier: GPL-3.0-or-later
"""The control service of a Kamailio that does its work meanwhile."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import Any

from kamailio_module.integration_tests.scene import Scene, at
from kamailio_module.integration_tests.traffic import (
    NUMBERS,
    Traffic,
    arrived_until_now,
    closed_port,
    start_kamailio,
)
from tools.harness import fake_broker
from tools.harness.control_client import ControlClient
from tools.harness.control_stubs import messages
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.waiting import DEADLINE, wait_for

ABRUPT = messages.RECONNECT_MODE_ABRUPT
GRACEFUL = messages.RECONNECT_MODE_GRACEFUL


class Events:
    """The events of a stream, in order, by the name of their kind."""

    def __init__(
        self,
        environment: Environment,
        client: ControlClient,
        kinds: Sequence[int] = (),
    ) -> None:
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        stream = environment.own(client.watch(self._events.put, kinds))
        stream.wait_synced()

    def next(self, kind: str) -> Any:
        """The next event of a kind."""
        while True:
            event = self._events.get(timeout=DEADLINE)
            if event.WhichOneof("event") == kind:
                return getattr(event, kind)

    def kinds_until_active(self, topic_filter: str) -> list[str]:
        """Up to the event that a subscription is active."""
        kinds = []
        while True:
            event = self._events.get(timeout=DEADLINE)
            kinds.append(event.WhichOneof("event"))
            changed = event.subscription_changed.subscription
            if (
                changed.topic_filter == topic_filter
                and changed.state == messages.SUBSCRIPTION_STATE_ACTIVE
            ):
                return kinds

    def kinds_so_far(self) -> list[str]:
        kinds = []
        while not self._events.empty():
            kinds.append(self._events.get().WhichOneof("event"))
        return kinds


def test_reconnects_under_load_lose_nothing(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment,
        broker,
        routes="""
            event_route[mqtt:connected] { mqtt_subscribe("in/#", 1); }""",
    )
    ledger = Ledger(kamailio)
    ledger.wait_connected()
    traffic = Traffic(environment, kamailio)
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe(NUMBERS, qos=2)
    client = environment.control_client(kamailio)
    events = Events(
        environment,
        client,
        (messages.EVENT_KIND_CONNECTION, messages.EVENT_KIND_SUBSCRIPTION),
    )
    kinds = []
    with traffic.flowing(500, qos=[1]) as flow:
        for mode in (ABRUPT, GRACEFUL):
            flow.wait(250)
            client.stub.Reconnect(
                messages.ReconnectRequest(mode=mode, wait=True),
                timeout=DEADLINE,
            )
            kinds += events.kinds_until_active("in/#")
            flow.wait(250)
    ledger.wait_delivered()
    ledger.check(traffic)
    assert ledger["disconnects"] == 2
    kinds += events.kinds_so_far()
    assert [kind for kind in kinds if kind != "subscription_changed"] == [
        "disconnected",
        "connected",
    ] * 2
    accepted = traffic.accepted()
    assert set(arrived_until_now(subscriber)) == set(accepted)
    assert len(traffic.refused()) == 0


def test_a_reconnect_is_one_disconnected_and_one_connected(
    environment: Environment,
) -> None:
    scene = Scene(environment)
    client = environment.control_client(scene.kamailio)
    events = Events(environment, client)
    client.stub.Reconnect(
        messages.ReconnectRequest(mode=ABRUPT, wait=True), timeout=DEADLINE
    )
    client.stub.Publish(
        messages.PublishRequest(topic="end", qos=1, wait=True),
        timeout=DEADLINE,
    )
    seen = []
    while "publish" not in seen:
        wait_for(lambda: seen.extend(events.kinds_so_far()) or seen, "events")
    assert [kind for kind in seen if kind != "publish"] == [
        "disconnected",
        "connected",
    ]


def test_inject_without_a_broker(environment: Environment) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(closed_port(environment)),
            routes="""
                event_route[mqtt:message] {
                    xlog("origin $mqtt(origin), retain $mqtt(retain)\\n");
                    mqtt_publish("answers", "$mqtt(msg)", 1, "retain");
                }""",
        )
    )
    kamailio.start()
    client = environment.control_client(kamailio)
    events = Events(environment, client)
    result = client.stub.InjectMessage(
        messages.InjectMessageRequest(
            topic="in", payload=b"text", qos=2, retain=True
        ),
        timeout=DEADLINE,
    )
    assert result.result == messages.ROUTE_RESULT_DONE
    assert "origin injected, retain 1\n" in kamailio.log()
    received = events.next("message_received")
    assert received.origin == messages.MESSAGE_ORIGIN_INJECTED
    assert (received.topic, received.payload) == ("in", b"text")
    answer = events.next("publish")
    assert (answer.topic, answer.payload, answer.qos) == ("answers", b"text", 1)
    assert answer.retain
    assert answer.outcome == messages.PUBLISH_OUTCOME_ACCEPTED


def test_inject_without_a_route(environment: Environment) -> None:
    scene = Scene(environment)
    client = environment.control_client(scene.kamailio)
    result = client.stub.InjectMessage(
        messages.InjectMessageRequest(topic="in"), timeout=DEADLINE
    )
    assert result.result == messages.ROUTE_RESULT_NO_ROUTE


def test_refused_subscriptions_are_visible(environment: Environment) -> None:
    broker = environment.own(FakeBroker(fake_broker.refuse_subscriptions))
    kamailio = start_kamailio(environment, broker)
    Ledger(kamailio).wait_connected()
    client = environment.control_client(kamailio)
    subscription = client.stub.Subscribe(
        messages.SubscribeRequest(topic_filter="in/#", qos=1, wait=True),
        timeout=DEADLINE,
    ).subscription
    assert subscription.state == messages.SUBSCRIPTION_STATE_REFUSED
    assert "0x80" in subscription.refusal_reason
    (listed,) = client.subscriptions()
    assert listed == subscription


def test_a_broker_that_is_down_is_visible(environment: Environment) -> None:
    kamailio = start_kamailio(
        environment, closed_port(environment), reconnect_delay=60
    )
    client = environment.control_client(kamailio)
    Traffic(environment, kamailio).publish(3)

    def status() -> Any:
        return client.stub.GetStatus(
            messages.GetStatusRequest(), timeout=DEADLINE
        )

    wait_for(
        lambda: status().connection.state
        == messages.CONNECTION_STATE_WAITING,
        "the first attempt to fail",
    )
    connection = status().connection
    assert connection.failed_attempts == 1
    assert "refused" in connection.last_disconnect_reason.lower()
    delay = connection.next_attempt_time.ToSeconds() - (
        connection.last_disconnect_time.ToSeconds()
    )
    assert 59 <= delay <= 61
    wait_for(lambda: status().publish_queue.messages == 3, "three messages")


def test_pages_of_subscriptions(environment: Environment) -> None:
    scene = Scene(environment)
    client = environment.control_client(scene.kamailio)
    for number in range(5):
        client.stub.Subscribe(
            messages.SubscribeRequest(topic_filter=f"in/{number}"),
            timeout=DEADLINE,
        )
    names = []
    request = messages.ListSubscriptionsRequest(page_size=2)
    pages = 0
    while True:
        page = client.stub.ListSubscriptions(request, timeout=DEADLINE)
        names += [each.topic_filter for each in page.subscriptions]
        pages += 1
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == [f"in/{number}" for number in range(5)]
    assert pages == 3
