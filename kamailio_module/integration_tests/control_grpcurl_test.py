# SPDX-License-Identifier: GPL-3.0-or-later
"""The control service through grpcurl, over a unix socket and over TCP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from kamailio_module.integration_tests.scene import CLIENT_ID, Scene, at
from kamailio_module.integration_tests.traffic import closed_port
from tools.harness import fake_broker
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.grpcurl import SERVICE, Grpcurl
from tools.harness.kamailio import KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.mqtt_packets import PacketType, Publish
from tools.harness.ports import free_port
from tools.harness.waiting import wait_for

METHODS = {
    "GetStatus",
    "ListSubscriptions",
    "Subscribe",
    "Unsubscribe",
    "Publish",
    "InjectMessage",
    "Reconnect",
    "WatchEvents",
}

ROUTES = """
    event_route[mqtt:message] {
        mqtt_publish("out/$mqtt(origin)", "$mqtt(msg)", 1);
    }"""


@pytest.fixture(params=["unix", "tcp"])
def grpcurl(
    request: pytest.FixtureRequest, environment: Environment
) -> Iterator[Grpcurl]:
    """Of a Kamailio that is connected, at either kind of address."""
    parameters = {}
    if request.param == "tcp":
        address = f"127.0.0.1:{free_port()}"
        parameters = {"control_address": address}
    scene = Scene(environment, parameters=parameters, routes=ROUTES)
    request.node.scene = scene
    yield Grpcurl(
        address if parameters else scene.kamailio.mqtt_control_socket
    )


@pytest.fixture
def scene(request: pytest.FixtureRequest, grpcurl: Grpcurl) -> Scene:
    return request.node.scene


def test_lists_and_describes(grpcurl: Grpcurl) -> None:
    assert set(grpcurl.run("list").output.split()) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICE,
    }
    methods = grpcurl.run(f"list {SERVICE}").output.split()
    assert set(methods) == {f"{SERVICE}.{name}" for name in METHODS}
    description = grpcurl.run(f"describe {SERVICE}").output
    for name in METHODS:
        assert f"rpc {name} (" in description


def test_health(grpcurl: Grpcurl, scene: Scene) -> None:
    def health(service: str) -> str:
        request = f'{{"service": "{service}"}}'
        check = grpcurl.run("-d", request, "grpc.health.v1.Health/Check")
        return check.message["status"]

    assert health("") == "SERVING"
    assert health("kamailio.mqtt.v1.Broker") == "SERVING"
    scene.broker.kill()
    wait_for(
        lambda: health("kamailio.mqtt.v1.Broker") == "NOT_SERVING",
        "the broker to be missed",
    )
    assert health("") == "SERVING"


def test_every_method(grpcurl: Grpcurl, scene: Scene) -> None:
    status = grpcurl.call("GetStatus").message
    assert status["connection"]["state"] == "CONNECTION_STATE_CONNECTED"
    assert status["connection"]["client_id"] == CLIENT_ID
    assert status["counters"]["connects"] == "1"
    assert set(status["versions"]) == {
        "module",
        "kamailio",
        "libmosquitto",
        "grpc",
    }

    subscribe = {"topic_filter": "in/#", "qos": 1, "wait": True}
    subscription = grpcurl.call("Subscribe", subscribe).message["subscription"]
    assert subscription["state"] == "SUBSCRIPTION_STATE_ACTIVE"
    assert subscription["granted_qos"] == 1

    listed = grpcurl.call("ListSubscriptions").message["subscriptions"]
    assert [each["topic_filter"] for each in listed] == ["in/#"]
    assert listed[0]["origin"] == "SUBSCRIPTION_ORIGIN_CONTROL"
    assert "subscriptions" not in grpcurl.call(
        "ListSubscriptions", {"topic": "elsewhere"}
    ).message

    payload = base64.b64encode(b"\0payload").decode()
    publish = {"topic": "in/1", "payload": payload, "qos": 1, "wait": True}
    assert grpcurl.call("Publish", publish).message == {
        "outcome": "PUBLISH_OUTCOME_ACKNOWLEDGED"
    }
    assert scene.observer.wait_message("out/broker").payload == b"\0payload"

    inject = {"topic": "in/2", "payload": payload}
    result = grpcurl.call("InjectMessage", inject).message
    assert result["result"] == "ROUTE_RESULT_DONE"
    assert result["matching_topic_filters"] == ["in/#"]
    assert result["run_time"].endswith("s")
    assert scene.observer.wait_message("out/injected").payload == b"\0payload"

    reconnect = {"mode": "RECONNECT_MODE_ABRUPT", "wait": True}
    connection = grpcurl.call("Reconnect", reconnect).message["connection"]
    assert connection["state"] == "CONNECTION_STATE_CONNECTED"
    assert connection["last_disconnect_reason"] == "reconnect requested"

    unsubscribe = {"topic_filter": "in/#", "wait": True}
    assert grpcurl.call("Unsubscribe", unsubscribe).message == {}
    assert grpcurl.call("ListSubscriptions").message == {}


ERRORS = [
    ("Subscribe", {}, "InvalidArgument", "topic_filter"),
    ("Subscribe", {"topic_filter": "a#"}, "InvalidArgument", "topic_filter"),
    ("Subscribe", {"topic_filter": "a", "qos": 3}, "InvalidArgument", "qos"),
    (
        "Subscribe",
        {"topic_filter": "a", "wait": True},
        "Unavailable",
        "not connected",
    ),
    ("Unsubscribe", {}, "InvalidArgument", "topic_filter"),
    ("Unsubscribe", {"topic_filter": "a"}, "NotFound", "subscription"),
    ("Publish", {}, "InvalidArgument", "topic"),
    ("Publish", {"topic": "a/#"}, "InvalidArgument", "topic"),
    ("Publish", {"topic": "a", "qos": 3}, "InvalidArgument", "qos"),
    ("Publish", {"topic": "a", "wait": True}, "Unavailable", "not connected"),
    (
        "Publish",
        {"topic": "a", "payload": base64.b64encode(bytes(2000)).decode()},
        "InvalidArgument",
        "queue_max_bytes",
    ),
    ("InjectMessage", {}, "InvalidArgument", "topic"),
    ("InjectMessage", {"topic": "+"}, "InvalidArgument", "topic"),
    ("InjectMessage", {"topic": "a", "qos": 3}, "InvalidArgument", "qos"),
    ("Reconnect", {"mode": 7}, "InvalidArgument", "mode"),
    ("ListSubscriptions", {"topic": "#"}, "InvalidArgument", "topic"),
    (
        "ListSubscriptions",
        {"page_token": "?"},
        "InvalidArgument",
        "page_token",
    ),
    ("WatchEvents", {"kinds": [9]}, "InvalidArgument", "kinds"),
    ("WatchEvents", {"topic_filter": "a#"}, "InvalidArgument", "topic_filter"),
]


def test_errors(environment: Environment) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(
                closed_port(environment),
                queue_max_messages=1,
                queue_max_bytes=1024,
            )
        )
    )
    kamailio.start()
    grpcurl = Grpcurl(kamailio.mqtt_control_socket)
    for method, request, status, text in ERRORS:
        result = grpcurl.call(method, request)
        assert result.has_failed_with(status), (method, request, result)
        assert text in result.errors, (method, request, result)

    assert grpcurl.call("Publish", {"topic": "a"}).exit_code == 0
    full = grpcurl.call("Publish", {"topic": "a"})
    assert full.has_failed_with("ResourceExhausted")


def test_a_subscription_that_is_given_up_meanwhile(
    environment: Environment,
) -> None:
    broker = environment.own(FakeBroker(fake_broker.answer_only(0)))
    kamailio = environment.kamailio(KamailioConfiguration(parameters=at(broker)))
    kamailio.start()
    Ledger(kamailio).wait_connected()
    grpcurl = Grpcurl(kamailio.mqtt_control_socket)
    with ThreadPoolExecutor() as executor:
        subscribed = executor.submit(
            grpcurl.call, "Subscribe", {"topic_filter": "a", "wait": True}
        )
        broker.wait_received(PacketType.SUBSCRIBE)
        unsubscribed = grpcurl.call("Unsubscribe", {"topic_filter": "a"})
        assert unsubscribed.message == {}
        assert subscribed.result().has_failed_with("Aborted")


def test_a_full_queue_of_the_event_route(environment: Environment) -> None:
    message = Publish("in", b"").encode()
    broker = environment.own(
        FakeBroker(fake_broker.send_after_connect(10001 * message))
    )
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            modules=("cfgutils",),
            routes='event_route[mqtt:message] { sleep("60"); }',
        )
    )
    kamailio.start()
    ledger = Ledger(kamailio)
    ledger.wait("a full queue", lambda: ledger["inbound_queued"] >= 10000)
    grpcurl = Grpcurl(kamailio.mqtt_control_socket)
    full = grpcurl.call("InjectMessage", {"topic": "in"})
    assert full.has_failed_with("ResourceExhausted"), full
    assert "event route" in full.errors


def test_as_many_streams_as_there_may_be(environment: Environment) -> None:
    scene = Scene(environment)
    for _ in range(2):  # A connection has fewer calls than that.
        client = environment.control_client(scene.kamailio)
        for _ in range(50):
            stream = client.watch(lambda event: None)
            environment.own(stream).wait_synced()
    grpcurl = Grpcurl(scene.kamailio.mqtt_control_socket)
    refused = grpcurl.call("WatchEvents")
    assert refused.has_failed_with("ResourceExhausted"), refused
    assert "100 streams" in refused.errors


def test_a_deadline_takes_back(environment: Environment) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(closed_port(environment), reconnect_delay=60)
        )
    )
    kamailio.start()
    grpcurl = Grpcurl(kamailio.mqtt_control_socket)
    late = grpcurl.run(
        *("-max-time", "0.5"),
        *("-d", '{"wait": true}'),
        f"{SERVICE}/Reconnect",
    )
    assert late.has_failed_with("DeadlineExceeded")
    status = grpcurl.call("GetStatus").message
    assert status["publish_queue"].get("messages", "0") == "0"
