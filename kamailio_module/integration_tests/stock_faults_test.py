# SPDX-License-Identifier: GPL-3.0-or-later
"""Fourteen faults of Kamailio's stock mqtt module that this one must not have.

Every configuration here is one that the stock module's guide allows, or whose
refusal is the fault. Each test passes with our module and fails with the
stock one, which MQTT_MODULE_UNDER_TEST can name.
"""

from __future__ import annotations

import statistics
import time

import pytest

from kamailio_module.integration_tests.scene import (
    CLIENT_ID,
    at,
    return_code,
)
from tools.harness import fake_broker
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import KamailioConfiguration, Parameter
from tools.harness.mqtt_packets import ConnectCode, PacketType
from tools.harness.network_faults import FullBacklogListener
from tools.harness.ports import free_port

SUBSCRIBE_IN = 'event_route[mqtt:connected] { mqtt_subscribe("in", 0); }\n'


# 1. Publishing from a SIP worker blocks when the dispatcher is busy or the
# broker does not answer.


def test_01_workers_do_not_wait_for_a_connect(
    environment: Environment,
) -> None:
    listener = environment.own(FullBacklogListener())
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(listener),
            request_route='mqtt_publish("out", "$ci", 0);',
        )
    )
    kamailio.start()
    result = environment.sip_client(kamailio).burst(1000, deadline=10)
    assert result.answered == 1000


def test_01_workers_do_not_wait_for_an_event_route(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            modules=["cfgutils"],
            request_route='mqtt_publish("out", "$ci", 0);',
            routes=SUBSCRIBE_IN
            + """
            event_route[mqtt:message] {
                xlog("the event route is busy\\n");
                sleep("60");
            }""",
        )
    )
    kamailio.start()
    broker.wait_for_subscription("in")
    environment.mqtt_client(broker).publish("in")
    kamailio.wait_for_log("the event route is busy")
    result = environment.sip_client(kamailio).burst(1000, deadline=10)
    assert result.answered == 1000


# 2. A publish that is lost returns success and leaves no trace.


def test_02_a_wildcard_in_the_topic_is_refused(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            request_route="""
                mqtt_publish("$hdr(X-Topic)", "payload", 0);
                sl_send_reply("200", "$rc");
                exit;""",
        )
    )
    kamailio.start()
    sip = environment.sip_client(kamailio)
    results = {
        topic: return_code(sip.request(headers={"X-Topic": topic}))
        for topic in ("a", "a/b", "#", "a/#", "+", "+/b")
    }
    expected = {"a": 1, "a/b": 1, "#": -1, "a/#": -1, "+": -1, "+/b": -1}
    assert results == expected


def test_02_what_was_accepted_while_the_broker_was_down_is_delivered(
    environment: Environment,
) -> None:
    broker = environment.broker()
    broker.kill()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            request_route="""
                mqtt_publish("out", "$hdr(X-Payload)", 0);
                sl_send_reply("200", "$rc");
                exit;""",
        )
    )
    kamailio.start()
    sip = environment.sip_client(kamailio)
    for number in range(10):
        response = sip.request(headers={"X-Payload": str(number)})
        assert return_code(response) == 1

    broker.start()
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe("out")
    broker.wait_for_client(CLIENT_ID)
    sip.request(headers={"X-Payload": "last"})
    while subscriber.wait_message().payload != b"last":
        pass
    # The subscription may be later than the connection, and has then missed
    # what was delivered already; the broker's log has all of it.
    assert broker.log().count(f"Received PUBLISH from {CLIENT_ID} ") == 11


# 3. Payloads are cut at a NUL byte; an empty payload is refused; payloads
# above the buffer for pseudo-variables are lost.


@pytest.mark.parametrize(
    ("route", "body", "payload"),
    [
        pytest.param(
            'mqtt_publish("out", "$rb", 1);',
            b"a\0b\xff\r\n\0",
            b"a\0b\xff\r\n\0",
            id="nul",
        ),
        pytest.param(
            '$var(empty) = ""; mqtt_publish("out", "$var(empty)", 1);',
            b"",
            b"",
            id="empty",
        ),
        pytest.param('mqtt_publish("out", "", 1);', b"", b"", id="literal"),
        pytest.param(
            'mqtt_publish("out", "$rb", 1);',
            b"x" * 20000,
            b"x" * 20000,
            id="20kB",
        ),
        pytest.param(
            """
            $var(text) = "0123456789abcdef";
            while ($(var(text){s.len}) < 1048576) {
                $var(text) = $var(text) + $var(text);
            }
            mqtt_publish("out", "$var(text)", 1);""",
            b"",
            b"0123456789abcdef" * 65536,
            id="1MiB",
        ),
    ],
)
def test_03_a_payload_arrives_as_it_was(
    environment: Environment, route: str, body: bytes, payload: bytes
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            request_route=f"""
                {route}
                mqtt_publish("end", "end", 1);""",
        )
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    subscriber = environment.mqtt_client(broker)
    subscriber.subscribe("#")
    environment.sip_client(kamailio).request("MESSAGE", body=body)
    message = subscriber.wait_message()
    assert message.topic == "out"
    assert message.payload == payload


# 4. A publish made in an event route waits up to a second.


def test_04_a_publish_in_an_event_route_leaves_at_once(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            routes=SUBSCRIBE_IN
            + """
            event_route[mqtt:message] {
                mqtt_publish("out", "$mqtt(msg)", 0);
            }""",
        )
    )
    kamailio.start()
    broker.wait_for_subscription("in")
    client = environment.mqtt_client(broker)
    client.subscribe("out")
    latencies = []
    for _ in range(7):
        start = time.monotonic()
        client.publish("in", "echo", qos=0)
        client.wait_message("out")
        latencies.append(time.monotonic() - start)
    assert statistics.median(latencies) < 0.5, latencies


# 5. A slow event route stalls publishing and costs the session.


def test_05_a_slow_event_route_stalls_nothing(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, keepalive=5),
            modules=["cfgutils"],
            request_route='mqtt_publish("out", "from a worker", 0);',
            routes=SUBSCRIBE_IN
            + """
            event_route[mqtt:message] {
                mqtt_publish("out", "begin", 0);
                xlog("the event route is busy\\n");
                sleep("12");
                mqtt_publish("out", "end", 0);
            }""",
        )
    )
    kamailio.start()
    broker.wait_for_subscription("in")
    client = environment.mqtt_client(broker)
    client.subscribe("out")
    client.publish("in")
    kamailio.wait_for_log("the event route is busy")
    environment.sip_client(kamailio).request()
    payloads = [client.wait_message().payload for _ in range(3)]
    assert payloads == [b"begin", b"from a worker", b"end"]
    assert "has exceeded timeout" not in broker.log()


# 6. $mqtt() in request_route reads foreign memory.


def test_06_mqtt_variables_are_null_in_request_route(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            request_route="""
                if (!is_present_hf("Date")) {
                    sl_send_reply("400", "Bad Request");
                } else if ($mqtt(topic) == $null && $mqtt(msg) == $null
                        && $mqtt(qos) == $null) {
                    sl_send_reply("200", "null");
                } else {
                    sl_send_reply("200", "foreign memory");
                }
                exit;""",
        )
    )
    kamailio.start()
    response = environment.sip_client(kamailio).request(
        headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    )
    assert response.reason == "null"


# 7. Event routes leak private memory.


def test_07_event_routes_leak_no_memory(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            routes=SUBSCRIBE_IN
            + """
            event_route[mqtt:message] {
                append_hf("X-Payload: $mqtt(msg)\\r\\n");
                remove_hf("From");
                set_body("$mqtt(msg)", "text/plain");
                append_to_reply("X-Topic: $mqtt(topic)\\r\\n");
                append_branch("sip:other@example.com");
                $ru = "sip:test@example.com";
                $fU = "test";
                $avp(payload) = $mqtt(msg);
                setflag(1);
                if ($mqtt(msg) == "last") {
                    mqtt_publish("out", "done", 1);
                }
            }""",
        )
    )
    kamailio.start()
    broker.wait_for_subscription("in")
    client = environment.mqtt_client(broker)
    client.subscribe("out")
    dispatcher = kamailio.dispatcher_pid()

    def memory_after(rounds: int) -> tuple[int, int]:
        for _ in range(rounds):
            for _ in range(99):
                client.publish("in", "payload", qos=0)
            client.publish("in", "last", qos=0)
            client.wait_message("out")
        return (
            kamailio.private_memory_used(dispatcher),
            kamailio.shared_memory_used(),
        )

    before = memory_after(2)
    after = memory_after(10)
    private_growth, shared_growth = (
        new - old for new, old in zip(after, before, strict=True)
    )
    assert private_growth < 1000 and shared_growth < 1000


# 8. Wrong parameters end the server after its start, with exit code 0; nothing
# is checked by `kamailio -c`.

WRONG_PARAMETERS = [
    pytest.param({"port": 70000}, "port", id="port"),
    pytest.param({"keepalive": 3}, "keepalive", id="keepalive"),
    pytest.param(
        {"will_topic": "a/#", "will": "gone"}, "will_topic", id="will_topic"
    ),
    pytest.param(
        {"ca_file": "/nonexistent/ca.pem"}, "ca_file", id="ca_file"
    ),
]


@pytest.mark.parametrize(("wrong", "name"), WRONG_PARAMETERS)
def test_08_a_wrong_parameter_fails_the_check(
    environment: Environment, wrong: dict[str, Parameter], name: str
) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(parameters={"host": "127.0.0.1", **wrong})
    )
    result = kamailio.check()
    assert result.exit_code != 0
    value = str(wrong[name])
    assert any(
        "mqtt" in line and name in line and value in line
        for line in result.output.splitlines()
    ), result.output


@pytest.mark.parametrize(("wrong", "name"), WRONG_PARAMETERS)
def test_08_a_wrong_parameter_fails_the_start(
    environment: Environment, wrong: dict[str, Parameter], name: str
) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(parameters={"host": "127.0.0.1", **wrong})
    )
    kamailio.launch()
    assert kamailio.process.wait() != 0
    assert name in kamailio.log()


# 9. Refused credentials give "case 5", a `mqtt:disconnected` per attempt, and
# no back-off.


def test_09_refused_credentials_are_said_and_back_off(
    environment: Environment,
) -> None:
    broker = environment.own(
        FakeBroker(fake_broker.refuse_connect(ConnectCode.NOT_AUTHORIZED))
    )
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, username="name", password="wrong-word"),
            routes="""
            event_route[mqtt:disconnected] {
                xlog("the disconnected route ran\\n");
            }""",
        )
    )
    kamailio.start()
    broker.wait_received(PacketType.CONNECT, 3)
    first, second, third = broker.connection_times()
    assert third - second > 1.5 * (second - first)

    def log_lower() -> str:
        return kamailio.log().lower()

    kamailio.process.wait_until(
        lambda: "not authori" in log_lower(), "the reason of the refusal"
    )
    assert "the disconnected route ran" not in kamailio.log()
    assert "wrong-word" not in kamailio.log()


# 10. A clean stop fires the will.


def test_10_a_clean_stop_does_not_fire_the_will(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, will_topic="will", will="gone")
        )
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    client = environment.mqtt_client(broker)
    client.subscribe("#")
    assert kamailio.stop() == 0
    # "disconnected." or "closed its connection.": the broker knows.
    broker.process.wait_for_log(f"Client {CLIENT_ID} ")
    client.publish("end", "of the test")
    assert client.wait_message().topic == "end"


# 11. A refused SUBACK is invisible; subscriptions are gone after a reconnect.


def test_11_a_refused_subscription_is_logged(
    environment: Environment,
) -> None:
    broker = environment.own(FakeBroker(fake_broker.refuse_subscriptions))
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            routes="""
            event_route[mqtt:connected] {
                mqtt_subscribe("the/filter", 0);
            }""",
        )
    )
    kamailio.start()
    broker.wait_received(PacketType.SUBSCRIBE)

    def said() -> bool:
        return any(
            "the/filter" in line and ("WARNING" in line or "ERROR" in line)
            for line in kamailio.log().splitlines()
        )

    kamailio.process.wait_until(said, "the refusal in the log", deadline=10)


def test_11_subscriptions_are_restored_after_a_reconnect(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            request_route='mqtt_subscribe("in", 1);',
            routes="""
            event_route[mqtt:message] {
                xlog("received $mqtt(msg)\\n");
            }""",
        )
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    environment.sip_client(kamailio).request()
    broker.wait_for_subscription("in")

    broker.kill()
    broker.start()
    broker.wait_for_client(CLIENT_ID)
    client = environment.mqtt_client(broker)

    def received() -> bool:
        client.publish("in", "after the reconnect")
        return "received after the reconnect" in kamailio.log()

    kamailio.process.wait_until(received, "a message", deadline=10)


# 12. The qos must be a literal.


def test_12_the_qos_may_be_a_variable(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            request_route="""
                $var(qos) = $(hdr(X-Qos){s.int});
                mqtt_publish("out", "payload", "$var(qos)");
                sl_send_reply("200", "$rc");
                exit;""",
        )
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    client = environment.mqtt_client(broker)
    client.subscribe("out", 2)
    sip = environment.sip_client(kamailio)
    results = [
        return_code(sip.request(headers={"X-Qos": qos}))
        for qos in ("0", "1", "2", "3", "-1")
    ]
    assert results == [1, 1, 1, -1, -1]
    assert [client.wait_message().qos for _ in range(3)] == [0, 1, 2]


# 13. select() breaks at descriptor 1024.


def test_13_descriptors_above_1023_work(environment: Environment) -> None:
    broker = environment.broker()
    # Kamailio closes the descriptors below 32 at its start; as many listening
    # sockets take their places.
    listen = "\n".join(
        f"listen=udp:127.0.0.1:{free_port()}" for _ in range(32)
    )
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            global_parameters=listen,
            children=1,
            # Kamailio's ctl module does not work with such descriptors.
            control=False,
            routes=SUBSCRIBE_IN
            + """
            event_route[mqtt:message] {
                mqtt_publish("out", "$mqtt(msg)", 1);
            }""",
        ),
        open_descriptors=1100,
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    broker.wait_for_subscription("in")
    # In the dispatcher process; others may have closed what is not theirs.
    assert any(
        set(range(1024)) <= set(kamailio.descriptors(pid))
        for pid in kamailio.process_ids()
    )
    client = environment.mqtt_client(broker)
    client.subscribe("out")
    client.publish("in", "echo")
    assert client.wait_message().payload == b"echo"


# 14. A publish before the dispatcher runs goes to descriptor 0.


def test_14_a_publish_before_the_dispatcher_runs_is_delivered(
    environment: Environment,
) -> None:
    broker = environment.broker()
    client = environment.mqtt_client(broker)
    client.subscribe("out")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            modules=["htable"],
            routes="""
            event_route[htable:mod-init] {
                mqtt_publish("out", "early", 1);
            }""",
        )
    )
    kamailio.start()
    assert client.wait_message(deadline=20).payload == b"early"
