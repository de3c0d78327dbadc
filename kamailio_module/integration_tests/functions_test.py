# SPDX-License-Identifier: GPL-3.0-or-later
"""The script functions: where they may be called, what they take, what they
return and what they say."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

import pytest

from kamailio_module.integration_tests.scene import (
    Scene,
    at,
    case_route,
    return_code,
    run_case,
)
from tools.harness.environment import Environment
from tools.harness.kamailio import (
    Kamailio,
    KamailioConfiguration,
    Parameter,
)
from tools.harness.ports import free_port
from tools.harness.sip import SipClient
from tools.harness.tcp_proxy import TcpProxy

# Stands in payloads, and must not stand in a log.
SECRET = "payload-of-nobody's-business"


# From every type of route.

ROUTES = [
    "request",
    "branch",
    "onsend",
    "reply",
    "onreply",
    "failure",
    "branch-failure",
    "local-request",
    "mod-init",
    "worker-init",
    "timer",
    "connected",
    "message",
    "disconnected",
]


def calls_in(route: str) -> str:
    """Calls of all functions, which leave their results as a message."""
    return f"""
        mqtt_subscribe("kept/{route}", 1);
        $var(kept) = $rc;
        mqtt_subscribe("gone/{route}", 1);
        $var(gone) = $rc;
        mqtt_unsubscribe("gone/{route}");
        mqtt_publish("results/{route}", "$var(kept) $var(gone) $rc", 1,
            "retain");
        """


# Kamailio calls itself, and the callee is busy.
TRANSACTION = f"""
    if ($rU == "callee") {{
        sl_send_reply("486", "Busy Here");
        exit;
    }}
    {calls_in("request")}
    $uac_req(method) = "OPTIONS";
    $uac_req(ruri) = "sip:callee@" + $Ri + ":" + $Rp;
    $uac_req(furi) = $fu;
    $uac_req(turi) = $tu;
    uac_req_send();

    t_on_branch("BRANCH");
    t_on_reply("REPLY");
    t_on_failure("FAILURE");
    t_on_branch_failure("branches");
    $ru = "sip:callee@" + $Ri + ":" + $Rp;
    t_relay();
    exit;"""

ALL_ROUTES = f"""
modparam("rtimer", "timer", "name=test;interval=1;mode=1;")
modparam("rtimer", "exec", "timer=test;route=TIMER")

branch_route[BRANCH] {{ {calls_in("branch")} }}
onsend_route {{ {calls_in("onsend")} }}
reply_route {{ {calls_in("reply")} }}
onreply_route[REPLY] {{ {calls_in("onreply")} }}
failure_route[FAILURE] {{ {calls_in("failure")} }}
event_route[tm:branch-failure:branches] {{ {calls_in("branch-failure")} }}
event_route[tm:local-request] {{ {calls_in("local-request")} }}
event_route[htable:mod-init] {{ {calls_in("mod-init")} }}
event_route[core:worker-one-init] {{ {calls_in("worker-init")} }}
route[TIMER] {{ {calls_in("timer")} }}
event_route[mqtt:connected] {{
    {calls_in("connected")}
    mqtt_subscribe("begin", 1);
}}
event_route[mqtt:message] {{
    if ($mqtt(topic) == "begin") {{
        {calls_in("message")}
    }} else {{
        mqtt_publish("received", "$mqtt(topic)", 1);
    }}
}}
event_route[mqtt:disconnected] {{ {calls_in("disconnected")} }}
"""


def test_functions_work_in_every_type_of_route(
    environment: Environment,
) -> None:
    broker = environment.broker()
    proxy = environment.own(TcpProxy(broker.port))
    observer = environment.mqtt_client(broker)
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(proxy, reconnect_delay=1),
            modules=["tm", "tmx", "rr", "uac", "htable", "rtimer"],
            request_route=TRANSACTION,
            routes=ALL_ROUTES,
        )
    )
    kamailio.start()
    broker.wait_for_subscription("begin")
    observer.publish("begin")
    sip = environment.sip_client(kamailio)
    assert sip.request("INVITE", user="caller").status == 486
    proxy.cut()

    observer.subscribe("results/#")
    results = {}
    while len(results) < len(ROUTES):
        message = observer.wait_message(
            details=lambda: f"only {sorted(results)} have come"
        )
        results[message.topic] = message.payload
    assert results == {f"results/{route}": b"1 1 1" for route in ROUTES}

    # The subscriptions are what the calls say.
    observer.subscribe("received")
    for route in ROUTES:
        observer.publish(f"gone/{route}")
        observer.publish(f"kept/{route}")
    received = [
        observer.wait_message("received").payload.decode() for _ in ROUTES
    ]
    assert received == [f"kept/{route}" for route in ROUTES]


# What they take.


@dataclass(frozen=True)
class Call:
    """A call of mqtt_publish and the message that it causes."""

    call: str
    topic: str
    payload: bytes
    qos: int


BODY = b"a\0b\xff"

CALLS = [
    Call('mqtt_publish("out/a", "text", 0)', "out/a", b"text", 0),
    Call('mqtt_publish("out/a", "", "1")', "out/a", b"", 1),
    Call('mqtt_publish("out/$rU", "$rb", "$hdr(X-Qos)")', "out/u", BODY, 2),
    Call(
        'mqtt_publish("out/$rU/$hdr(X-Qos)", "<$rU> $hdr(X-Qos)", 1)',
        "out/u/2",
        b"<u> 2",
        1,
    ),
    Call(
        "$var(q) = 1; mqtt_publish($hdr(X-Topic), $rb, $var(q))",
        "out/h",
        BODY,
        1,
    ),
    Call(
        'mqtt_publish("out/" + $rU, $rU + "/" + $rm, 1 + 1)',
        "out/u",
        b"u/MESSAGE",
        2,
    ),
    # What a variable holds is not searched for variables.
    Call('mqtt_publish("out/a", "$hdr(X-Dollar)", 0)', "out/a", b"$rU", 0),
    Call('mqtt_publish("out/a", $hdr(X-Dollar), 0)', "out/a", b"$rU", 0),
    Call('mqtt_publish("out/$$rU", "5$$", 0)', "out/$rU", b"5$", 0),
    Call('mqtt_publish("out/a", "$(rb{s.len})", 0)', "out/a", b"4", 0),
]


def test_arguments_are_literals_variables_and_mixtures(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        request_route=case_route([each.call for each in CALLS]),
    )
    for number, each in enumerate(CALLS):
        response = scene.sip.request(
            "MESSAGE",
            user="u",
            headers={
                "X-Case": str(number),
                "X-Qos": "2",
                "X-Topic": "out/h",
                "X-Dollar": "$rU",
            },
            body=BODY,
        )
        assert return_code(response) == 1, each.call
        message = scene.observer.wait_message()
        # The observer has subscribed with QoS 2.
        assert (message.topic, message.payload, message.qos) == (
            each.topic,
            each.payload,
            each.qos,
        ), each.call


def test_filters_are_literals_variables_and_mixtures(
    environment: Environment,
) -> None:
    filters = {
        '"+/literal"': "+/literal",
        '"$hdr(X-Filter)"': "header/#",
        "$hdr(X-Filter)": "header/#",
        '"$rU/+/$rU"': "u/+/u",
        '"a/" + $rU': "a/u",
        '"$$share/group/#"': "$share/group/#",
        '"$$SYS/broker/uptime"': "$SYS/broker/uptime",
    }
    calls = [f"mqtt_subscribe({each}, 1)" for each in filters]
    calls += [f"mqtt_unsubscribe({each})" for each in filters]
    scene = Scene(environment, request_route=case_route(calls))
    for number, each in enumerate(calls):
        response = scene.sip.request(
            user="u",
            headers={"X-Case": str(number), "X-Filter": "header/#"},
        )
        assert return_code(response) == 1, each
    broker = scene.broker
    for each in filters.values():
        broker.wait_for_subscription(each)
        # Without a QoS: of the UNSUBSCRIBE.
        broker.process.wait_for_log(f": \t{each}\n")


@pytest.mark.parametrize(
    ("options", "retained"),
    [
        ("", False),
        ("retain", True),
        ("retain=1", True),
        (" retain = 1 ; ", True),
        ("retain=0", False),
    ],
)
def test_options(
    environment: Environment, options: str, retained: bool
) -> None:
    scene = Scene(
        environment,
        request_route=case_route(
            [
                f'mqtt_publish("out/literal", "text", 1, "{options}")',
                'mqtt_publish("out/variable", "text", 1, "$rb")',
            ]
        ),
    )
    assert run_case(scene.sip, 0) == 1
    assert run_case(scene.sip, 1, body=options.encode() or b" ") == 1
    scene.observer.wait_messages(2)
    scene.observer.subscribe("out/#")  # Again: for what is retained.
    scene.observer.publish("out/end")
    topics = []
    while (message := scene.observer.wait_message()).topic != "out/end":
        assert message.retain
        topics.append(message.topic)
    assert sorted(topics) == (
        ["out/literal", "out/variable"] if retained else []
    )


# What they refuse.


def publish(
    topic: str = "out",
    payload: str = SECRET,
    qos: str = "1",
    options: str = "",
) -> str:
    return f'mqtt_publish("{topic}", "{payload}", "{qos}", "{options}")'


@dataclass(frozen=True)
class Refused:
    """A call that returns -1, and what the log says of it. `body` is the value
    of $rb."""

    call: str
    message: str
    body: bytes = b""


NULL = "$avp(null)"
# Later releases of Kamailio take no larger request than 32767 bytes.
LONG = b"x" * 30000
NO_TOPIC_NAME = "is not allowed in a topic name"

REFUSED = [
    # Topic names.
    Refused(
        publish("$var(empty)"), 'mqtt_publish: topic "": must not be empty'
    ),
    Refused(publish(""), 'mqtt_publish: topic "": must not be empty'),
    Refused(
        publish("a/#"),
        f"mqtt_publish: topic \"a/#\": wildcard '#' at byte 2 {NO_TOPIC_NAME}",
    ),
    Refused(
        publish("$rb"),
        f"mqtt_publish: topic \"+/a\": wildcard '+' at byte 0 {NO_TOPIC_NAME}",
        b"+/a",
    ),
    Refused(
        publish("$rb"),
        'mqtt_publish: topic "a\\x00\\x62": U+0000 at byte 1 is not allowed',
        b"a\0b",
    ),
    Refused(
        publish("$rb"),
        'mqtt_publish: topic "a\\n": a control character at byte 1 is not '
        "allowed",
        b"a\n",
    ),
    Refused(
        publish("$rb"),
        'mqtt_publish: topic "a\\xff": malformed UTF-8 at byte 1',
        b"a\xff",
    ),
    Refused(
        f"$var(long) = $rb + $rb + $rb + $rb; {publish('$var(long)')}",
        "mqtt_publish: topic: has 120000 bytes, must have at most 65535",
        LONG,
    ),
    Refused(
        publish(NULL), f'mqtt_publish: topic "{NULL}": must not be null'
    ),
    # Payloads.
    Refused(
        publish(payload=NULL),
        f'mqtt_publish: payload "{NULL}": must not be null',
    ),
    Refused(
        publish(payload="$rb and more"),
        "mqtt_publish: payload: longer than pv_buffer_size, 8192 bytes; build "
        "it in one pseudo-variable",
        LONG,
    ),
    Refused(
        f"$var(long) = $rb + $rb + $rb + $rb; {publish(payload='$var(long)')}",
        "mqtt_publish: message of 120003 bytes: must not be larger than "
        "queue_max_bytes, 100000",
        LONG,
    ),
    # QoS.
    Refused(
        publish(qos="$rb"), 'mqtt_publish: qos "3": must be 0, 1 or 2', b"3"
    ),
    Refused(
        publish(qos="$rb"), 'mqtt_publish: qos "-1": must be 0, 1 or 2', b"-1"
    ),
    Refused(
        publish(qos="$rb"), 'mqtt_publish: qos "1 ": must be 0, 1 or 2', b"1 "
    ),
    Refused(
        publish(qos="$var(empty)"), 'mqtt_publish: qos "": must be 0, 1 or 2'
    ),
    Refused(
        publish(qos=NULL), f'mqtt_publish: qos "{NULL}": must not be null'
    ),
    # Options.
    Refused(
        publish(options="colour=red"),
        'mqtt_publish: option "colour" is unknown; the only option is retain',
    ),
    Refused(
        publish(options="Retain"),
        'mqtt_publish: option "Retain" is unknown; the only option is retain',
    ),
    Refused(
        publish(options="$rb"),
        'mqtt_publish: option "retain" has the value "2", but takes 0, 1 or '
        "no value",
        b"retain=2",
    ),
    Refused(
        publish(options="retain;retain"),
        'mqtt_publish: option "retain" is given twice',
    ),
    Refused(
        publish(options=";retain"),
        'mqtt_publish: options ";retain" hold an option without a name',
    ),
    Refused(
        publish(options="$rb"),
        "mqtt_publish: options: has 30000 bytes, must have at most 1024",
        LONG,
    ),
    Refused(
        publish(options=NULL),
        f'mqtt_publish: options "{NULL}": must not be null',
    ),
    # Subscriptions.
    Refused(
        'mqtt_subscribe("", 0)', 'mqtt_subscribe: topic "": must not be empty'
    ),
    Refused(
        'mqtt_subscribe("a/#/b", 0)',
        "mqtt_subscribe: topic \"a/#/b\": wildcard '#' at byte 2 must be the "
        "last level",
    ),
    Refused(
        'mqtt_subscribe("a+/b", 0)',
        "mqtt_subscribe: topic \"a+/b\": wildcard '+' at byte 1 must be a "
        "whole level",
    ),
    Refused(
        'mqtt_subscribe("$$share", 0)',
        'mqtt_subscribe: topic "$share": a shared subscription has the form '
        "$share/group/filter",
    ),
    Refused(
        'mqtt_subscribe("$$share//a", 0)',
        'mqtt_subscribe: topic "$share//a": the group of the shared '
        "subscription at byte 7 must not be empty",
    ),
    Refused(
        'mqtt_subscribe("$$share/g/", 0)',
        'mqtt_subscribe: topic "$share/g/": the filter of the shared '
        "subscription at byte 9 must not be empty",
    ),
    Refused(
        'mqtt_subscribe("$$share/+/a", 0)',
        "mqtt_subscribe: topic \"$share/+/a\": wildcard '+' at byte 7 is not "
        "allowed in the group of a shared subscription",
    ),
    Refused(
        f'mqtt_subscribe("{NULL}", 0)',
        f'mqtt_subscribe: topic "{NULL}": must not be null',
    ),
    Refused(
        '$var(long) = $rb + $rb + $rb + $rb; mqtt_subscribe("$var(long)", 0)',
        f'mqtt_subscribe: topic "{"x" * 128}...": 120000 bytes are more than '
        "the 65535 that MQTT allows",
        LONG,
    ),
    Refused(
        'mqtt_subscribe("a", "$rb")',
        'mqtt_subscribe: qos "3": must be 0, 1 or 2',
        b"3",
    ),
    Refused(
        'mqtt_unsubscribe("$rb")',
        "mqtt_unsubscribe: topic \"a#\": wildcard '#' at byte 1 must be a "
        "whole level",
        b"a#",
    ),
    Refused(
        f'mqtt_unsubscribe("{NULL}")',
        f'mqtt_unsubscribe: topic "{NULL}": must not be null',
    ),
]


def test_wrong_arguments_give_minus_1_and_a_message(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        # Of another size in each release of Kamailio.
        global_parameters="pv_buffer_size=8192",
        parameters={"queue_max_bytes": 100000},
        request_route=case_route([each.call for each in REFUSED]),
        debug=3,
    )
    seen = 0
    for number, each in enumerate(REFUSED):
        assert run_case(scene.sip, number, body=each.body) == -1, each
        log = scene.mqtt_log()
        assert f": {each.message}" in log[seen:], each
        assert log[seen:].count("ERROR: mqtt") == 1, each
        seen = len(log)
    assert SECRET not in scene.mqtt_log()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (publish(qos="3"), 'mqtt_publish: qos "3": must be 0, 1 or 2'),
        ('mqtt_publish("a", "b", -1)', 'mqtt_publish: qos "-1": must be'),
        ('mqtt_publish("a", "b", "")', 'mqtt_publish: qos "": must be'),
        # In the wrong order: not even a wrong qos shows a payload.
        (
            f'mqtt_publish("a", 1, "{SECRET}")',
            f'mqtt_publish: qos "{SECRET[:8]}": must be',
        ),
        ('mqtt_subscribe("a", 3)', 'mqtt_subscribe: qos "3": must be'),
        (
            'mqtt_publish("$share/g/a", "b", 0)',
            'mqtt_publish: topic "$share/g/a": unknown or malformed '
            "pseudo-variable",
        ),
        (
            'mqtt_unsubscribe("$nothing(of-the-kind)")',
            'mqtt_unsubscribe: topic "$nothing(of-the-kind)": unknown or '
            "malformed pseudo-variable",
        ),
    ],
)
def test_a_wrong_literal_is_refused_at_the_start(
    environment: Environment, call: str, message: str
) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={"host": "127.0.0.1"}, request_route=f"{call};"
        )
    )
    kamailio.launch()
    assert kamailio.process.wait() != 0
    assert message in kamailio.log()
    assert SECRET not in kamailio.log()


# What they return.

REPLY_RC = """
    if ($rc != $retcode) $var(rc) = "differs"; else $var(rc) = $rc;
    sl_send_reply("200", "$var(rc)");
    exit;"""


def offline(
    environment: Environment, request_route: str, **parameters: Parameter
) -> Kamailio:
    """A started Kamailio whose broker is down."""
    parameters = {"host": "127.0.0.1", "port": free_port(), **parameters}
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=parameters, request_route=request_route
        )
    )
    kamailio.start()
    kamailio.wait_for_log("mqtt: cannot connect")
    return kamailio


def results(sip: SipClient, count: int) -> list[int]:
    """The return codes of as many requests."""
    return [return_code(sip.request(body=b"x" * 500)) for _ in range(count)]


@pytest.mark.parametrize(
    ("limit", "accepted"),
    [
        ({"queue_max_messages": 3}, 3),
        ({"queue_max_bytes": 1024}, 2),
    ],
    ids=["messages", "bytes"],
)
def test_a_full_queue_gives_minus_2(
    environment: Environment, limit: dict[str, Parameter], accepted: int
) -> None:
    kamailio = offline(
        environment, f'mqtt_publish("out", "$rb", 1); {REPLY_RC}', **limit
    )
    sip = environment.sip_client(kamailio)
    assert results(sip, accepted) == [1] * accepted
    assert results(sip, 20) == [-2] * 20
    ((name, value),) = limit.items()
    refusals = [
        line
        for line in kamailio.log().splitlines()
        if "mqtt_publish: the queue is full" in line
    ]
    # At most one a second.
    assert 1 <= len(refusals) < 20
    assert f"{name} {value}" in refusals[0]
    assert "x" * 10 not in kamailio.log()


def test_a_full_queue_takes_subscriptions(environment: Environment) -> None:
    kamailio = offline(
        environment,
        f'''
        mqtt_publish("out", "{SECRET}", 1);
        mqtt_subscribe("in", 1);
        {REPLY_RC}''',
        queue_max_messages=1,
    )
    assert results(environment.sip_client(kamailio), 2) == [1, 1]


def test_drop_oldest_keeps_the_newest(environment: Environment) -> None:
    port = free_port()
    kamailio = offline(
        environment,
        f'mqtt_publish("out", "$cs", 1, "retain"); {REPLY_RC}',
        port=port,
        queue_max_messages=1,
        queue_policy="drop_oldest",
        reconnect_delay=1,
    )
    assert results(environment.sip_client(kamailio), 10) == [1] * 10
    kamailio.wait_for_log("dropped: the oldest made room in a full queue")
    observer = environment.mqtt_client(environment.broker(port=port))
    observer.subscribe("out")
    assert observer.wait_message().payload == b"10"


def test_a_refused_publish_is_false_in_a_condition(
    environment: Environment,
) -> None:
    kamailio = offline(
        environment,
        """
        if (mqtt_publish("out", "$rb", 1)) {
            sl_send_reply("200", "1");
        } else {
            sl_send_reply("200", "0");
        }
        exit;""",
        queue_max_messages=1,
    )
    assert results(environment.sip_client(kamailio), 2) == [1, 0]


def test_a_stopping_dispatcher_gives_minus_3(
    environment: Environment,
) -> None:
    # A message that nobody takes keeps the dispatcher from ending. Asking it
    # alone to end leaves the workers to call the functions meanwhile.
    kamailio = offline(
        environment,
        case_route(
            [
                publish(),
                'mqtt_subscribe("in", 1)',
                'mqtt_unsubscribe("in")',
                publish(topic="#"),
            ]
        ),
        drain_timeout=60000,
    )
    sip = environment.sip_client(kamailio)
    assert run_case(sip, 0) == 1
    os.kill(kamailio.dispatcher_pid(), signal.SIGTERM)
    kamailio.process.wait_until(
        lambda: run_case(sip, 2) == -3, "the dispatcher to stop"
    )
    assert [run_case(sip, number) for number in range(4)] == [-3, -3, -3, -1]
    assert "mqtt_unsubscribe: the dispatcher is not running" in kamailio.log()
    assert SECRET not in kamailio.log()
