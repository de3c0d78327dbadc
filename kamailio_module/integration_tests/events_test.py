# SPDX-License-Identifier: GPL-3.0-or-later
"""The event routes: when they run, what they see, and that they leave nothing
behind."""

from __future__ import annotations

import re

import pytest

from kamailio_module.integration_tests.scene import CLIENT_ID, Scene, at
from tools.harness import fake_broker
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import KamailioConfiguration
from tools.harness.mqtt_packets import ConnectCode, PacketType, Publish

SUBSCRIBE = 'event_route[mqtt:connected] { mqtt_subscribe("in", 2); }\n'

VARIABLES = ("topic", "msg", "qos", "retain", "dup", "mid", "origin", "reason")

# As text: a null is "<null>".
ALL_VARIABLES = "/".join(f"$mqtt({name})" for name in VARIABLES)
ALL_NULL = "/".join(["<null>"] * len(VARIABLES))


# What they see.


def test_variables_of_a_message(environment: Environment) -> None:
    scene = Scene(
        environment,
        routes=SUBSCRIBE
        + f"""
        event_route[mqtt:message] {{
            mqtt_publish("out", "{ALL_VARIABLES}", 1);
        }}""",
    )
    scene.broker.wait_for_subscription("in")
    seen = []
    for qos in (0, 1, 1, 2):
        scene.observer.publish("in", "text", qos=qos)
        seen.append(scene.observer.wait_message().payload.decode())
    # Only what has a QoS has a packet identifier.
    assert seen == [
        "in/text/0/0/0/0/broker/<null>",
        "in/text/1/0/0/1/broker/<null>",
        "in/text/1/0/0/2/broker/<null>",
        "in/text/2/0/0/3/broker/<null>",
    ]


def test_flags_of_a_message(environment: Environment) -> None:
    delivered = [
        Publish("in", b"again", qos=1, dup=True, packet_id=7),
        Publish("in", b"kept", qos=2, retain=True, packet_id=0xFFFF),
        Publish("in", b"kept", retain=True),
    ]
    broker = environment.own(
        FakeBroker(
            fake_broker.send_after_connect(
                b"".join(each.encode() for each in delivered)
            )
        )
    )
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            routes=f"""
            event_route[mqtt:message] {{
                mqtt_publish("out", "{ALL_VARIABLES}", 0);
            }}""",
        )
    )
    kamailio.start()
    broker.wait_received(PacketType.PUBLISH, 3)
    seen = sorted(each.payload.decode() for each in broker.publishes())
    # libmosquitto does not pass the DUP flag on.
    assert seen == [
        "in/again/1/0/0/7/broker/<null>",
        "in/kept/0/1/0/0/broker/<null>",
        "in/kept/2/1/0/65535/broker/<null>",
    ]


def test_variables_elsewhere(environment: Environment) -> None:
    scene = Scene(
        environment,
        request_route=f'mqtt_publish("out", "{ALL_VARIABLES}", 1);',
        routes=f"""
        event_route[mqtt:connected] {{
            xlog("connected: {ALL_VARIABLES}\\n");
        }}
        event_route[mqtt:disconnected] {{
            xlog("disconnected: {ALL_VARIABLES}\\n");
        }}""",
    )
    scene.kamailio.wait_for_log(f"connected: {ALL_NULL}\n")
    scene.sip.request()
    assert scene.observer.wait_message().payload.decode() == ALL_NULL
    scene.broker.kill()
    scene.kamailio.wait_for_log("disconnected: ")
    nulls, reason = re.search(
        r"disconnected: (.*)/(.*)\n", scene.kamailio.log()
    ).groups()
    assert nulls == ALL_NULL.rpartition("/")[0]
    # The log has the same reason.
    assert f"lost: {reason};" in scene.kamailio.log()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        pytest.param(
            f'$mqtt({name}) = "x";',
            "read only pvar in assignment",
            id=f"set {name}",
        )
        for name in VARIABLES
    ]
    + [
        pytest.param(
            "if ($mqtt(colour) == 1) exit;",
            "$mqtt(colour) does not exist, the names are: topic, msg",
            id="unknown name",
        ),
        pytest.param(
            "if ($mqtt(Topic) == 1) exit;",
            "$mqtt(Topic) does not exist, the names are: topic, msg",
            id="capital letter",
        ),
        pytest.param(
            'xlog("$mqtt(colour)\\n");',
            "$mqtt(colour) does not exist, the names are: topic, msg",
            id="unknown name in a string",
        ),
    ],
)
def test_variables_used_wrongly_are_refused_at_the_start(
    environment: Environment, use: str, message: str
) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={"host": "localhost"},
            routes=f"event_route[mqtt:message] {{ {use} }}",
        )
    )
    kamailio.launch()
    assert kamailio.process.wait() != 0
    assert message in kamailio.log()


# How they end.


def test_exit_drop_and_return_end_only_the_route(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        routes=SUBSCRIBE
        + """
        event_route[mqtt:message] {
            mqtt_publish("out", "begin $mqtt(msg)", 1);
            switch ($mqtt(msg)) {
                case "exit": exit;
                case "drop": drop;
                case "return": return;
                case "return -1": return -1;
                case "nested": route(NESTED); break;
            }
            mqtt_publish("out", "end $mqtt(msg)", 1);
        }
        route[NESTED] {
            exit;
        }""",
    )
    scene.broker.wait_for_subscription("in")
    ways = ["exit", "drop", "return", "return -1", "nested", "none"]
    for way in ways:
        scene.observer.publish("in", way)
    payloads = [
        scene.observer.wait_message().payload.decode()
        for _ in range(len(ways) + 1)
    ]
    assert payloads == [f"begin {way}" for way in ways] + ["end none"]


# When they run.


def test_disconnected_is_for_the_loss_of_a_connection(
    environment: Environment,
) -> None:
    broker = environment.own(
        FakeBroker(fake_broker.refuse_connect(ConnectCode.SERVER_UNAVAILABLE))
    )
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, reconnect_delay=1),
            routes="""
            event_route[mqtt:connected] { xlog("event: connected\n"); }
            event_route[mqtt:disconnected] { xlog("event: disconnected\n"); }
            """,
        )
    )

    def events() -> list[str]:
        return re.findall("event: (.*)\n", kamailio.log())

    kamailio.start()
    broker.wait_received(PacketType.CONNECT, 2)
    assert events() == []

    broker.script = fake_broker.healthy
    kamailio.wait_for_log("event: connected")
    broker.cut()
    kamailio.wait_for_log("event: disconnected")
    kamailio.process.wait_until(
        lambda: events().count("connected") == 2, "another connection"
    )
    # Kamailio ends the connection itself.
    assert kamailio.stop() == 0
    assert events() == ["connected", "disconnected", "connected"]


def test_events_without_a_route(environment: Environment) -> None:
    scene = Scene(
        environment,
        parameters={"reconnect_delay": 1},
        request_route='mqtt_subscribe("in", 1); mqtt_publish("in", "", 1);',
    )
    scene.sip.request()
    scene.broker.process.wait_for_log(f"Received PUBACK from {CLIENT_ID}")
    scene.broker.kill()
    scene.broker.start()
    scene.broker.wait_for_client(CLIENT_ID)
    assert scene.kamailio.stop() == 0
    assert "ERROR" not in scene.kamailio.log()


# Subscriptions after a reconnect.

SUBSCRIBER = 'mqtt_subscribe("$rU", 1);'


def subscribe_packets(scene: Scene) -> int:
    return scene.broker.log().count(f"Received SUBSCRIBE from {CLIENT_ID}")


def restart_broker(scene: Scene) -> None:
    scene.broker.kill()
    scene.kamailio.wait_for_log("lost: ")
    scene.broker.start()


def test_resubscribe_restores_subscriptions_before_messages(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        parameters={"reconnect_delay": 1},
        request_route="""
            if ($rm == "SUBSCRIBE") {
                mqtt_subscribe("$rU", 2);
            } else {
                mqtt_publish("$rU", "while the broker was away", 0);
            }""",
        routes="""
        event_route[mqtt:message] {
            xlog("received: $mqtt(topic) $mqtt(msg)\n");
        }""",
    )
    topics = ("one", "two")
    for topic in topics:
        scene.sip.request("SUBSCRIBE", user=topic)
        scene.broker.wait_for_subscription(topic)
    scene.broker.kill()
    scene.kamailio.wait_for_log("lost: ")
    for topic in topics:
        scene.sip.request("MESSAGE", user=topic)
    scene.broker.start()
    for topic in topics:
        scene.kamailio.wait_for_log(
            f"received: {topic} while the broker was away"
        )
    assert subscribe_packets(scene) == len(topics)


def test_without_resubscribe_subscriptions_are_gone(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        parameters={"reconnect_delay": 1, "resubscribe": 0},
        request_route=SUBSCRIBER,
    )
    scene.sip.request(user="before")
    scene.broker.wait_for_subscription("before")
    restart_broker(scene)
    scene.broker.wait_for_client(CLIENT_ID)
    scene.sip.request(user="after")
    scene.broker.wait_for_subscription("after")
    assert subscribe_packets(scene) == 1


@pytest.mark.parametrize("resubscribe", [0, 1])
def test_subscribing_again_in_connected_does_no_harm(
    environment: Environment, resubscribe: int
) -> None:
    scene = Scene(
        environment,
        parameters={"reconnect_delay": 1, "resubscribe": resubscribe},
        routes="""
        event_route[mqtt:connected] {
            mqtt_subscribe("in", 1);
            mqtt_publish("in", "connected", 1, "retain");
        }
        event_route[mqtt:message] {
            mqtt_publish("out", "$mqtt(msg)", 1, "retain");
        }""",
    )
    scene.observer.wait_message()
    assert subscribe_packets(scene) == 1
    restart_broker(scene)
    late = environment.mqtt_client(scene.broker)
    late.subscribe("out")
    late.wait_message()
    # The message that the event route has sent followed what it subscribed.
    assert subscribe_packets(scene) == 1


# What they leave behind.

ROUTE_WITH_EVERYTHING = """
    append_hf("X-Message: $mqtt(msg)\r\n");
    insert_hf("X-First: $mqtt(topic)\r\n");
    remove_hf("From");
    subst_hf("To", "/sip/sips/", "a");
    set_body("$mqtt(msg)", "text/plain");
    append_to_reply("X-Topic: $mqtt(topic)\r\n");
    append_branch("sip:other@example.com");
    $ru = "sip:test@example.com";
    $du = "sip:127.0.0.1";
    $fU = "from";
    $tU = "to";
    $var(text) = $mqtt(msg) + $mqtt(topic);
    $avp(text) = $mqtt(msg);
    $avp(i:42) = 42;
    $xavp(list=>text) = $mqtt(msg);
    $xavu(list=>text) = $mqtt(msg);
    $sht(table=>text) = $mqtt(msg);
    setflag(1);
    setbflag(2);
    mqtt_publish("nobody", "$mqtt(msg)", "$mqtt(qos)");
    mqtt_publish("#", "$mqtt(msg)", 0);
"""

MESSAGES = 2000


def test_ten_thousand_event_routes_leave_no_memory_behind(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        modules=["htable"],
        global_parameters=f"max_while_loops={MESSAGES + 1}",
        request_route=f"""
            $var(i) = 1;
            while ($var(i) < {MESSAGES}) {{
                mqtt_publish("in", "$var(i)", 0);
                $var(i) = $var(i) + 1;
            }}
            mqtt_publish("in", "last", 0);""",
        routes=f"""
        modparam("htable", "htable", "table=>size=4;")
        {SUBSCRIBE}
        event_route[mqtt:message] {{
            {ROUTE_WITH_EVERYTHING}
            if ($mqtt(msg) == "last") mqtt_publish("out", "", 1);
        }}""",
        debug=-2,  # For what is wrong on purpose.
    )
    scene.broker.wait_for_subscription("in")
    dispatcher = scene.kamailio.dispatcher_pid()

    def memory_after(rounds: int) -> tuple[int, int]:
        for _ in range(rounds):
            scene.sip.request()
            scene.observer.wait_message()
        return (
            scene.kamailio.private_memory_used(dispatcher),
            scene.kamailio.shared_memory_used(),
        )

    before = memory_after(1)
    after = memory_after(5)
    private_growth, shared_growth = (
        new - old for new, old in zip(after, before, strict=True)
    )
    assert private_growth < 1000 and shared_growth < 1000
