# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published arrives: every byte of it, in order, at every QoS, and
from a SIP request to the broker as from the broker to an event route."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from kamailio_module.integration_tests.scene import (
    Scene,
    case_route,
    run_case,
)
from tools.harness.environment import Environment
from tools.harness.sipp import run_sipp

TESTDATA = Path(__file__).absolute().parents[2] / "testdata"

ALL_BYTES = bytes(range(256))
MEBIBYTE = ALL_BYTES * 4096
PAYLOADS = {
    "empty": b"",
    "one byte": b"x",
    "NUL": b"\0",
    "binary": ALL_BYTES + b"\0\r\n\0" + ALL_BYTES,
    "1 MiB": MEBIBYTE,
}

QOS_LEVELS = (0, 1, 2)

# Event routes that echo what arrives on "in".
ECHO = """
event_route[mqtt:connected] {
    mqtt_subscribe("in", 2);
}
event_route[mqtt:message] {
    mqtt_publish("out", "$mqtt(msg)", "$mqtt(qos)");
}
"""

# Builds 1 MiB of all byte values out of a body that has each once.
MEBIBYTE_ROUTE = """
    $var(payload) = $rb;
    while ($(var(payload){s.len}) < 1048576) {
        $var(payload) = $var(payload) + $var(payload);
    }
"""


# From a SIP request to the broker.


@pytest.mark.parametrize("qos", QOS_LEVELS)
def test_a_sip_request_publishes(environment: Environment, qos: int) -> None:
    scene = Scene(
        environment,
        request_route=f'mqtt_publish("out/$rU", "$rb", {qos});',
    )
    scene.sip.request("MESSAGE", user="alice", body=ALL_BYTES)
    message = scene.observer.wait_message()
    assert (message.topic, message.payload) == ("out/alice", ALL_BYTES)
    assert (message.qos, message.retain) == (qos, False)


@pytest.mark.parametrize("qos", QOS_LEVELS)
def test_a_mebibyte_and_nothing_are_published(
    environment: Environment, qos: int
) -> None:
    scene = Scene(
        environment,
        request_route=f"""
            {MEBIBYTE_ROUTE}
            mqtt_publish("out", "$var(payload)", {qos});
            mqtt_publish("out", "", {qos});""",
    )
    scene.sip.request("MESSAGE", body=ALL_BYTES)
    assert scene.observer.wait_message().payload == MEBIBYTE
    assert scene.observer.wait_message().payload == b""


def test_requests_of_sipp_publish(environment: Environment) -> None:
    scene = Scene(
        environment, request_route='mqtt_publish("out/$rU", "$rb", 1);'
    )
    result = run_sipp(
        TESTDATA / "sipp/message.xml",
        scene.kamailio.sip_port,
        calls=20,
        rate=200,
        keys={"user": "alice", "text": "from sipp"},
    )
    assert result.exit_code == 0, result.output
    for message in scene.observer.wait_messages(20):
        assert message.topic == "out/alice"
        assert message.payload.strip() == b"from sipp"


# From the broker to an event route.


@pytest.mark.parametrize("qos", QOS_LEVELS)
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_an_event_route_sees_what_was_published(
    environment: Environment, payload: bytes, qos: int
) -> None:
    scene = Scene(
        environment,
        routes="""
        event_route[mqtt:connected] {
            mqtt_subscribe("in/+", 2);
        }
        event_route[mqtt:message] {
            mqtt_publish("out", "$mqtt(topic) $mqtt(qos) $mqtt(retain) "
                "$(mqtt(msg){s.len}) $(mqtt(msg){s.md5})", 1);
        }""",
    )
    scene.broker.wait_for_subscription("in/+")
    scene.observer.publish("in/topic", payload, qos=qos)
    digest = hashlib.md5(payload).hexdigest()
    assert scene.observer.wait_message().payload.decode() == (
        f"in/topic {qos} 0 {len(payload)} {digest}"
    )


@pytest.mark.parametrize("qos", QOS_LEVELS)
def test_an_event_route_echoes(environment: Environment, qos: int) -> None:
    scene = Scene(environment, routes=ECHO)
    scene.broker.wait_for_subscription("in")
    for name, payload in PAYLOADS.items():
        scene.observer.publish("in", payload, qos=qos)
        message = scene.observer.wait_message()
        assert message.payload == payload, name
        assert message.qos == qos, name


# The retain flag.


def test_retain_on_the_way_out(environment: Environment) -> None:
    scene = Scene(
        environment,
        request_route=case_route(
            [
                'mqtt_publish("out/kept", "text", 1, "retain")',
                'mqtt_publish("out/kept", "", 1, "retain")',
                'mqtt_publish("out/end", "", 1)',
            ]
        ),
    )

    def retained() -> list[tuple[str, bytes]]:
        """What the broker has, seen by one who comes later."""
        with environment.mqtt_client(scene.broker) as late:
            late.subscribe("out/#")
            run_case(scene.sip, 2)
            found = []
            while (message := late.wait_message()).topic != "out/end":
                assert message.retain
                found.append((message.topic, message.payload))
            return found

    assert run_case(scene.sip, 0) == 1
    # For those who are there it is a message like any other.
    assert not scene.observer.wait_message("out/kept").retain
    assert retained() == [("out/kept", b"text")]
    # An empty one takes it back (MQTT 3.1.1 section 3.3.1.3).
    assert run_case(scene.sip, 1) == 1
    scene.observer.wait_message("out/kept")
    assert retained() == []


def test_retain_on_the_way_in(environment: Environment) -> None:
    broker = environment.broker()
    environment.mqtt_client(broker).publish("in", "before", retain=True)
    scene = Scene(
        environment,
        broker=broker,
        routes="""
        event_route[mqtt:connected] {
            mqtt_subscribe("in", 1);
        }
        event_route[mqtt:message] {
            mqtt_publish("out", "$mqtt(retain) $mqtt(msg)", 1);
        }""",
    )
    assert scene.observer.wait_message().payload == b"1 before"
    scene.observer.publish("in", "after", retain=True)
    assert scene.observer.wait_message().payload == b"0 after"


# Order and quantity.

MANY = 5000


@pytest.mark.parametrize("qos", QOS_LEVELS)
def test_messages_stay_in_order(environment: Environment, qos: int) -> None:
    # Through the broker twice: out of a worker, into an event route, and out.
    scene = Scene(
        environment,
        global_parameters=f"max_while_loops={MANY + 1}",
        request_route=f"""
            $var(i) = 0;
            while ($var(i) < {MANY}) {{
                mqtt_publish("in", "$var(i)", {qos});
                $var(i) = $var(i) + 1;
            }}""",
        routes=ECHO,
    )
    scene.broker.wait_for_subscription("in")
    scene.sip.request()
    messages = scene.observer.wait_messages(MANY)
    assert [int(each.payload) for each in messages] == list(range(MANY))


def test_every_request_of_a_burst_publishes(environment: Environment) -> None:
    scene = Scene(
        environment,
        children=4,
        request_route='mqtt_publish("out", "$hdr(X-Number)", 1);',
    )
    numbers = [{"X-Number": str(number)} for number in range(MANY)]
    result = scene.sip.burst(MANY, headers=numbers)
    assert result.answered == MANY
    messages = scene.observer.wait_messages(MANY)
    assert Counter(int(each.payload) for each in messages) == Counter(
        range(MANY)
    )


def test_of_a_burst_of_mebibytes_all_that_is_accepted_arrives(
    environment: Environment,
) -> None:
    # 100 MiB at once are more than the module takes.
    scene = Scene(
        environment,
        global_parameters="max_while_loops=1000",
        request_route=f"""
            {MEBIBYTE_ROUTE}
            $var(i) = 0;
            $var(accepted) = 0;
            $var(full) = 0;
            while ($var(i) < 100) {{
                mqtt_publish("out", "$var(payload)", 1);
                switch ($rc) {{
                    case 1: $var(accepted) = $var(accepted) + 1; break;
                    case -2: $var(full) = $var(full) + 1; break;
                }}
                $var(i) = $var(i) + 1;
            }}
            sl_send_reply("200", "Results $var(accepted) $var(full)");
            exit;""",
    )
    response = scene.sip.request("MESSAGE", body=ALL_BYTES)
    accepted, full = map(int, response.reason.split()[1:])
    assert accepted + full == 100
    assert accepted >= 30  # The way to the dispatcher alone holds as many.
    messages = scene.observer.wait_messages(accepted)
    scene.observer.publish("out", "end")
    assert scene.observer.wait_message().payload == b"end"
    assert len(messages) == accepted
    assert all(each.payload == MEBIBYTE for each in messages)
