# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's RPC commands, by kamcmd and by JSON-RPC."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kamailio_module.integration_tests.scene import (
    CLIENT_ID,
    Listening,
    Scene,
    at,
)
from kamailio_module.integration_tests.traffic import closed_port
from tools.harness import fake_broker
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker, Script, Session
from tools.harness.json_rpc import (
    HTTP_MODULES,
    HTTP_ROUTES,
    FifoRpc,
    HttpRpc,
    RpcFault,
)
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.mqtt_packets import PacketType
from tools.harness.process import suspend
from tools.harness.versions import kamailio_version
from tools.harness.waiting import wait_for

COMMANDS = (
    "mqtt.publish",
    "mqtt.reconnect",
    "mqtt.stats",
    "mqtt.status",
    "mqtt.subscribe",
    "mqtt.subscriptions",
    "mqtt.unsubscribe",
)


def _requests_of(size: int) -> str:
    """Global parameters for requests of that many bytes: Kamailio has a buffer
    of 16 KiB else, in shared memory, and since 6.0 a limit of 32,767 bytes."""
    return f"""
tcp_rd_buf_size={size}
#!ifdef KAMAILIO_6
msg_recv_max_size={size}
#!endif
"""


# Bytes. Kamailio 6.1 has no room for more.
IS_LIMITED = kamailio_version() >= (6, 1)
LARGE_REQUESTS = _requests_of(65535 if IS_LIMITED else 128 << 10)
HUGE_REQUESTS = _requests_of(65535 if IS_LIMITED else 4 << 20)
LARGE_PAYLOAD = 60000 if IS_LIMITED else 1 << 20

# Seconds that a command waits for the dispatcher, and what a slow machine may
# add.
TIME_LIMIT = 2.0
SLOWNESS = 3.0

MANY = 5000

SUBSCRIBE_TO_MANY = f"""
event_route[core:worker-one-init] {{
    $var(i) = 1;
    while ($var(i) <= {MANY}) {{
        mqtt_subscribe("many/$var(i)", 0);
        $var(i) = $var(i) + 1;
    }}
}}
"""


def http_rpc(kamailio: Kamailio) -> HttpRpc:
    return HttpRpc(kamailio.host, kamailio.sip_port)


def start(
    environment: Environment,
    broker: Listening,
    *,
    routes: str = "",
    memory: tuple[int, int] = (64, 8),
    global_parameters: str = "",
    **parameters: str | int,
) -> Kamailio:
    """A Kamailio that serves RPC over HTTP."""
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, **parameters),
            modules=HTTP_MODULES,
            routes=HTTP_ROUTES + routes,
            tcp=True,
            global_parameters=global_parameters,
        ),
        memory=memory,
    )
    kamailio.start()
    return kamailio


def wait_until_connected(rpc: HttpRpc) -> None:
    wait_for(
        lambda: rpc.call("mqtt.status")["state"] == "connected",
        "a connection to the broker",
    )


def fault(call: Callable[[], Any]) -> RpcFault:
    """The fault that a call ends with."""
    with pytest.raises(RpcFault) as raised:
        call()
    return raised.value


def subscription(rpc: HttpRpc, topic_filter: str) -> dict[str, Any] | None:
    for each in rpc.call("mqtt.subscriptions"):
        if each["topic_filter"] == topic_filter:
            return each
    return None


@pytest.fixture(name="scene")
def _scene(environment: Environment) -> Scene:
    return Scene(
        environment,
        # Longer than a test has the dispatcher stand still.
        parameters={"keepalive": 60},
        modules=HTTP_MODULES,
        routes=HTTP_ROUTES,
        tcp=True,
        global_parameters=LARGE_REQUESTS,
    )


@pytest.fixture(name="rpc")
def _rpc(scene: Scene) -> HttpRpc:
    rpc = http_rpc(scene.kamailio)
    # The broker knows of the connection before Kamailio does.
    wait_until_connected(rpc)
    return rpc


def test_commands_and_their_help(scene: Scene) -> None:
    listed = scene.kamailio.rpc("system.listMethods").split()
    assert sorted(name for name in listed if name.startswith("mqtt.")) == list(
        COMMANDS
    )
    for command in COMMANDS:
        assert len(scene.kamailio.rpc("help", command)) > 40, command


# What the commands do.


def test_status(scene: Scene, rpc: HttpRpc) -> None:
    status = rpc.call("mqtt.status")
    broker = f"{scene.broker.host}:{scene.broker.port}"
    assert (status["state"], status["broker"]) == ("connected", broker)
    assert status["client_id"] == CLIENT_ID
    assert status["failed_attempts"] == status["subscriptions"] == 0
    assert status["uptime"] >= status["state_seconds"] >= 0
    for queue in ("publish_queue", "inbound_queue"):
        assert status[queue]["messages"] == status[queue]["bytes"] == 0
        assert status[queue]["max_messages"] > 0
        assert status[queue]["max_bytes"] > 0
    for absent in ("next_attempt_seconds", "last_disconnect_reason"):
        assert absent not in status

    text = scene.kamailio.rpc("mqtt.status")
    assert "\tstate: connected\n" in text
    assert f"\tbroker: {broker}\n" in text
    assert "\tpublish_queue: {\n" in text


def test_status_without_a_broker(environment: Environment) -> None:
    rpc = http_rpc(
        start(environment, closed_port(environment), reconnect_delay=3600)
    )
    status = wait_for(
        lambda: next(
            (
                each
                for each in [rpc.call("mqtt.status")]
                if each["state"] == "waiting"
            ),
            None,
        ),
        "the end of an attempt",
    )
    assert status["failed_attempts"] == 1
    assert 3500 < status["next_attempt_seconds"] <= 3600
    assert "refused" in status["last_disconnect_reason"].lower()
    assert status["last_disconnect_seconds"] >= 0
    rpc.call("mqtt.publish", "out/a", "four")
    queue = wait_for(
        lambda: next(
            (
                each
                for each in [rpc.call("mqtt.status")["publish_queue"]]
                if each["messages"]
            ),
            None,
        ),
        "a message in the queue",
    )
    assert (queue["messages"], queue["bytes"]) == (1, len("out/afour"))


def test_publish(scene: Scene, rpc: HttpRpc) -> None:
    assert rpc.call("mqtt.publish", "out/a", "hello").startswith("Ok. ")
    message = scene.observer.wait_message("out/a")
    assert (message.payload, message.qos) == (b"hello", 0)
    rpc.call("mqtt.publish", "out/b", "ünï", 2)
    message = scene.observer.wait_message("out/b")
    assert (message.payload, message.qos) == ("ünï".encode(), 2)
    rpc.call("mqtt.publish", "out/c", "", "1", "retain")
    message = scene.observer.wait_message("out/c")
    assert (message.payload, message.qos) == (b"", 1)

    answer = scene.kamailio.rpc("mqtt.publish", "out/d", "s:42", "1")
    assert answer.startswith("Ok. ")
    assert scene.observer.wait_message("out/d").payload == b"42"
    scene.kamailio.rpc("mqtt.publish", "out/e", "s:")
    assert scene.observer.wait_message("out/e").payload == b""


def test_large_payload(environment: Environment) -> None:
    broker = environment.broker()
    observer = environment.mqtt_client(broker)
    observer.subscribe("out/#")
    kamailio = start(
        environment,
        broker,
        memory=(64, 32),
        global_parameters=HUGE_REQUESTS,
    )
    payload = "0123456789abcdef" * (LARGE_PAYLOAD // 16)
    http_rpc(kamailio).call("mqtt.publish", "out/large", payload, 1)
    assert observer.wait_message("out/large").payload == payload.encode()


def test_subscribe(scene: Scene, rpc: HttpRpc) -> None:
    granted = {"state": "active", "requested_qos": 1, "granted_qos": 1}
    assert rpc.call("mqtt.subscribe", "in/#", 1) == granted
    # And it is in force: the broker has answered.
    scene.observer.publish("in/a", "12345")
    listed = wait_for(
        lambda: next(
            (
                each
                for each in rpc.call("mqtt.subscriptions", "in/x")
                if each["messages_received"]
            ),
            None,
        ),
        "a message from the broker",
    )
    assert listed.pop("last_message_seconds") >= 0
    assert listed == granted | {
        "topic_filter": "in/#",
        "origin": "control",
        "messages_received": 1,
        "payload_bytes_received": 5,
    }
    assert rpc.call("mqtt.status")["subscriptions"] == 1

    answer = scene.kamailio.rpc("mqtt.subscribe", "other/+")
    assert "\tstate: active\n" in answer and "\tgranted_qos: 0\n" in answer
    listing = scene.kamailio.rpc("mqtt.subscriptions")
    assert re.findall(r"topic_filter: (.*)", listing) == ["in/#", "other/+"]


def test_unsubscribe(scene: Scene, rpc: HttpRpc) -> None:
    rpc.call("mqtt.subscribe", "in/#")
    assert rpc.call("mqtt.unsubscribe", "in/#").startswith("Ok. ")
    assert rpc.call("mqtt.subscriptions") == []
    assert "in/#" in scene.broker.log().split("Received UNSUBSCRIBE")[1]
    assert fault(lambda: rpc.call("mqtt.unsubscribe", "in/#")).code == 404


def test_subscribe_without_a_connection(environment: Environment) -> None:
    rpc = http_rpc(start(environment, closed_port(environment)))
    pending = {"state": "pending", "requested_qos": 2}
    assert rpc.call("mqtt.subscribe", "in/#", 2) == pending
    listed = subscription(rpc, "in/#")
    assert listed is not None and listed["state"] == "pending"
    assert rpc.call("mqtt.unsubscribe", "in/#").startswith("Ok. ")
    assert rpc.call("mqtt.subscriptions") == []


@pytest.mark.parametrize("mode", [(), ("graceful",), ("abrupt",)])
def test_reconnect(environment: Environment, mode: tuple[str, ...]) -> None:
    will = {"will_topic": "out/will", "will": "gone"}
    scene = Scene(
        environment,
        parameters=will,
        modules=HTTP_MODULES,
        routes=HTTP_ROUTES,
        tcp=True,
    )
    rpc = http_rpc(scene.kamailio)
    wait_until_connected(rpc)
    assert rpc.call("mqtt.reconnect", *mode).startswith("Ok. ")
    wait_for(
        lambda: rpc.call("mqtt.stats", "connects")["connects"] == 2,
        "the next connection",
    )
    status = rpc.call("mqtt.status")
    assert status["last_disconnect_reason"] == "reconnect requested"
    if mode == ("abrupt",):
        assert scene.observer.wait_message("out/will").payload == b"gone"
    else:
        rpc.call("mqtt.publish", "out/after", "")
        assert scene.observer.wait_message().topic == "out/after"


def test_stats(scene: Scene, rpc: HttpRpc) -> None:
    stats = rpc.call("mqtt.stats")
    assert stats["connected"] == 1
    group = scene.kamailio.rpc("stats.get_statistics", "mqtt:")
    assert sorted(stats) == sorted(re.findall(r"mqtt:(\w+) =", group))
    assert sorted(rpc.call("mqtt.stats", "accepted")) == [
        f"accepted_qos{qos}" for qos in range(3)
    ]
    assert scene.kamailio.rpc("mqtt.stats", "connects") == (
        "{\n\tconnects: 1\n}\n"
    )


def test_without_the_control_service(environment: Environment) -> None:
    broker = environment.broker()
    kamailio = start(environment, broker, control_address="")
    rpc = http_rpc(kamailio)
    wait_until_connected(rpc)
    assert not kamailio.mqtt_control_socket.exists()
    assert rpc.call("mqtt.subscribe", "in/#")["state"] == "active"
    assert rpc.call("mqtt.unsubscribe", "in/#").startswith("Ok. ")


def test_fifo(environment: Environment) -> None:
    rpc = FifoRpc(environment.new_directory("fifo") / "rpc")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(environment.broker()),
            modules=("jsonrpcs",),
            routes=rpc.configuration(),
        )
    )
    kamailio.start()
    assert rpc.call("mqtt.status")["client_id"] == CLIENT_ID
    assert fault(lambda: rpc.call("mqtt.unsubscribe", "none")).code == 404


def test_what_changes_something_is_logged(scene: Scene, rpc: HttpRpc) -> None:
    rpc.call("mqtt.publish", "out/a", "SECRET")
    rpc.call("mqtt.subscribe", "in/#")
    fault(lambda: rpc.call("mqtt.publish", "out/#", "SECRET"))
    rpc.call("mqtt.unsubscribe", "in/#")
    rpc.call("mqtt.reconnect", "abrupt")
    rpc.call("mqtt.status")
    rpc.call("mqtt.subscriptions")
    rpc.call("mqtt.stats")
    scene.kamailio.wait_for_log('RPC: mqtt.reconnect "abrupt"')
    assert re.findall(r"(\w+): mqtt: RPC: (.*)", scene.mqtt_log()) == [
        ("INFO", 'mqtt.publish "out/a"'),
        ("NOTICE", 'mqtt.subscribe "in/#"'),
        (
            "INFO",
            'mqtt.publish "out/#": topic: wildcard \'#\' at byte 4 is not '
            "allowed in a topic name",
        ),
        ("NOTICE", 'mqtt.unsubscribe "in/#"'),
        ("NOTICE", 'mqtt.reconnect "abrupt"'),
    ]
    assert "SECRET" not in scene.mqtt_log()


# Wrong arguments.

NOT_UTF8 = "a/\udcff"

WRONG: list[tuple[str, tuple[Any, ...], str]] = [
    ("mqtt.status", ("x",), "too many arguments"),
    ("mqtt.subscriptions", ("a/#",), "topic: wildcard '#'"),
    ("mqtt.subscriptions", (NOT_UTF8,), "topic: "),
    ("mqtt.subscriptions", ("", 0), "limit: must be above 0"),
    ("mqtt.subscriptions", ("", "x"), "limit: must be above 0"),
    ("mqtt.subscriptions", ("", 1, -1), "offset: must not be below 0"),
    ("mqtt.subscriptions", ("", 1, 1, 1), "too many arguments"),
    ("mqtt.publish", (), "topic: must be given"),
    ("mqtt.publish", ("out/a",), "payload: must be given"),
    ("mqtt.publish", ("", "x"), "topic: "),
    ("mqtt.publish", ("out/+", "x"), "topic: wildcard '+'"),
    ("mqtt.publish", (NOT_UTF8, "x"), "topic: "),
    *([] if IS_LIMITED else [("mqtt.publish", ("x" * 65536, "x"), "topic: ")]),
    ("mqtt.publish", (1, "x"), "topic: must be a string"),
    ("mqtt.publish", ("out/a", 1.5), "payload: must be a string"),
    ("mqtt.publish", ("out/a", None), "payload: must be a string"),
    ("mqtt.publish", ("out/a", "x", 3), "qos: must be 0, 1 or 2"),
    ("mqtt.publish", ("out/a", "x", -1), "qos: must be 0, 1 or 2"),
    ("mqtt.publish", ("out/a", "x", "one"), "qos: must be 0, 1 or 2"),
    ("mqtt.publish", ("out/a", "x", True), "qos: must be a number"),
    ("mqtt.publish", ("out/a", "x", 0, "keep"), 'option "keep" is unknown'),
    ("mqtt.publish", ("out/a", "x", 0, 1), "options: must be a string"),
    ("mqtt.publish", ("a", "x", 0, "", "x"), "too many arguments"),
    ("mqtt.subscribe", (), "topic_filter: must be given"),
    ("mqtt.subscribe", ("a#",), "topic_filter: "),
    ("mqtt.subscribe", (NOT_UTF8,), "topic_filter: "),
    ("mqtt.subscribe", ("a", 3), "qos: must be 0, 1 or 2"),
    ("mqtt.subscribe", ("a", 1, 1), "too many arguments"),
    ("mqtt.unsubscribe", (), "topic_filter: must be given"),
    ("mqtt.unsubscribe", ("a#",), "topic_filter: "),
    ("mqtt.unsubscribe", ("a", "b"), "too many arguments"),
    ("mqtt.reconnect", ("soon",), "mode: must be graceful or abrupt"),
    ("mqtt.reconnect", ("abrupt", 1), "too many arguments"),
    ("mqtt.stats", ("nothing",), "name: no counter begins with it"),
    ("mqtt.stats", ("a", "b"), "too many arguments"),
]

WRONG_FOR_KAMCMD: list[tuple[tuple[str, ...], str]] = [
    (("mqtt.status", "1"), "too many arguments"),
    (("mqtt.publish",), "topic: must be given"),
    (("mqtt.publish", "out/a"), "payload: must be given"),
    # kamcmd makes numbers of them.
    (("mqtt.publish", "42", "x"), "topic: must be a string"),
    (("mqtt.publish", "out/a", "007"), "payload: must be a string"),
    (("mqtt.publish", "out/a", "1.50"), "payload: must be a string"),
    (("mqtt.publish", "out/a", ""), "payload: must be a string"),
    (("mqtt.publish", "out/a", "x", "1.5"), "qos: must be a number"),
    (("mqtt.publish", "out/a", "x", "high"), "qos: must be 0, 1 or 2"),
    (("mqtt.subscriptions", "a", "b"), "limit: must be a number"),
    (("mqtt.subscriptions", "a", "1", "b"), "offset: must be a number"),
    (("mqtt.reconnect", "1"), "mode: must be a string"),
]


def test_wrong_arguments(scene: Scene, rpc: HttpRpc) -> None:
    for method, params, text in WRONG:
        found = fault(lambda: rpc.call(method, *params))
        assert found.code == 400, (method, params)
        assert found.text.startswith(text), (method, params)
    for arguments, text in WRONG_FOR_KAMCMD:
        answer = scene.kamailio.rpc(*arguments)
        assert answer.startswith(f"error: 400 - {text}"), arguments
    # None of them did anything.
    counters = Ledger(scene.kamailio).read()
    assert counters["accepted_qos0"] == 0
    assert counters["connects"] == 1
    assert rpc.call("mqtt.subscriptions") == []


# Failures.


def test_full_queue(environment: Environment) -> None:
    rpc = http_rpc(
        start(environment, closed_port(environment), queue_max_messages=2)
    )
    for _ in range(2):
        rpc.call("mqtt.publish", "a", "x")
    for _ in range(2):  # The second one is not worth a line of the log.
        found = fault(lambda: rpc.call("mqtt.publish", "a", "x"))
        assert found.code == 500
        assert "the queue is full" in found.text


def test_message_larger_than_the_queue(environment: Environment) -> None:
    rpc = http_rpc(
        start(environment, closed_port(environment), queue_max_bytes=1024)
    )
    found = fault(lambda: rpc.call("mqtt.publish", "a", "x" * 1024))
    assert found.code == 400
    assert "queue_max_bytes, 1024" in found.text


def test_refused_subscription(environment: Environment) -> None:
    broker = environment.own(FakeBroker(fake_broker.refuse_subscriptions))
    rpc = http_rpc(start(environment, broker))
    wait_until_connected(rpc)
    found = fault(lambda: rpc.call("mqtt.subscribe", "secret/#", 1))
    assert found.code == 500
    listed = subscription(rpc, "secret/#")
    assert listed is not None
    assert listed["state"] == "refused"
    assert "return code 0x80" in listed["refusal_reason"]
    assert found.text == f"cannot subscribe: {listed['refusal_reason']}"
    assert "granted_qos" not in listed


def never_answer(kind: PacketType) -> Script:
    """A broker that does not answer one type of packet."""

    def script(session: Session) -> None:
        session.accept_connect()
        while (packet := session.read()) is not None:
            if packet.type != kind:
                session.answer(packet)

    return script


def test_broker_that_does_not_answer(environment: Environment) -> None:
    broker = environment.own(FakeBroker(never_answer(PacketType.SUBSCRIBE)))
    rpc = http_rpc(start(environment, broker))
    wait_until_connected(rpc)
    begin = time.monotonic()
    found = fault(lambda: rpc.call("mqtt.subscribe", "in/#"))
    assert TIME_LIMIT <= time.monotonic() - begin < TIME_LIMIT + SLOWNESS
    assert found.code == 500
    assert found.text.startswith("no answer of ")
    # It was taken back.
    wait_for(lambda: not rpc.call("mqtt.subscriptions"), "the subscription")


def test_broker_that_does_not_confirm_the_end(
    environment: Environment,
) -> None:
    broker = environment.own(FakeBroker(never_answer(PacketType.UNSUBSCRIBE)))
    kamailio = start(environment, broker)
    rpc = http_rpc(kamailio)
    wait_until_connected(rpc)
    unconfirmed = (
        "Ok. The subscription has ended; the broker has not confirmed it yet."
    )
    rpc.call("mqtt.subscribe", "in/#")
    begin = time.monotonic()
    assert rpc.call("mqtt.unsubscribe", "in/#") == unconfirmed
    assert time.monotonic() - begin < TIME_LIMIT + SLOWNESS
    assert rpc.call("mqtt.subscriptions") == []
    assert fault(lambda: rpc.call("mqtt.unsubscribe", "in/#")).code == 404
    assert len(broker.received(PacketType.UNSUBSCRIBE)) == 1
    rpc.call("mqtt.subscribe", "in/#")
    assert kamailio.rpc("mqtt.unsubscribe", "in/#").strip() == unconfirmed
    # Nothing has failed.
    lines = re.findall(r"RPC: mqtt\.unsubscribe (.*)", kamailio.log())
    assert lines == [
        '"in/#"',
        '"in/#": there is no subscription with that filter',
        '"in/#"',
    ]


@pytest.fixture(name="stopped_dispatcher")
def _stopped_dispatcher(scene: Scene) -> Iterator[int]:
    """The process, which does not run."""
    pid = scene.kamailio.dispatcher_pid()
    suspend(pid)
    yield pid
    os.kill(pid, signal.SIGCONT)


def test_dispatcher_that_hangs(
    scene: Scene, rpc: HttpRpc, stopped_dispatcher: int
) -> None:
    calls: list[tuple[Any, ...]] = [
        ("mqtt.status",),
        ("mqtt.subscriptions",),
        ("mqtt.subscribe", "in/#"),
        ("mqtt.unsubscribe", "in/#"),
        ("mqtt.reconnect",),
    ]
    faults: dict[str, RpcFault] = {}
    durations: dict[str, float] = {}

    def call(method: str, *params: Any) -> None:
        begin = time.monotonic()
        faults[method] = fault(lambda: rpc.call(method, *params))
        durations[method] = time.monotonic() - begin

    for each in calls:
        thread = threading.Thread(target=call, args=each)
        thread.start()
        # SIP does not notice; nor does what needs no answer.
        while thread.is_alive():
            assert scene.sip.request("MESSAGE").status == 200
            rpc.call("mqtt.stats")
        thread.join()
    assert len(faults) == len(calls)
    for method, found in faults.items():
        assert found.code == 500, method
        assert found.text.startswith("no answer of the mqtt dispatcher")
        assert TIME_LIMIT <= durations[method] < TIME_LIMIT + SLOWNESS
    assert rpc.call("mqtt.publish", "out/a", "x").startswith("Ok. ")

    os.kill(stopped_dispatcher, signal.SIGCONT)
    assert rpc.call("mqtt.status")["state"] == "connected"
    scene.observer.wait_message("out/a")
    # What callers had given up was not done.
    assert rpc.call("mqtt.subscriptions") == []
    assert rpc.call("mqtt.stats", "connects") == {"connects": 1}


def test_dispatcher_that_stops(environment: Environment) -> None:
    kamailio = start(
        environment, closed_port(environment), drain_timeout=10000
    )
    rpc = http_rpc(kamailio)
    rpc.call("mqtt.publish", "a", "keeps it busy")
    wait_for(
        lambda: rpc.call("mqtt.status")["publish_queue"]["messages"],
        "the message in the queue",
    )
    # It alone, so that somebody is left who can ask.
    os.kill(kamailio.dispatcher_pid(), signal.SIGTERM)
    wait_for(lambda: publish_is_refused(rpc), "the stop")
    for method in ("mqtt.subscribe", "mqtt.unsubscribe"):
        found = fault(lambda: rpc.call(method, "in/#"))
        assert found == RpcFault(500, "Kamailio is stopping")
    assert fault(lambda: rpc.call("mqtt.reconnect")).code == 500
    assert rpc.call("mqtt.status")["publish_queue"]["messages"] >= 1


def publish_is_refused(rpc: HttpRpc) -> bool:
    try:
        rpc.call("mqtt.publish", "a", "x")
    except RpcFault as found:
        assert found == RpcFault(500, "the dispatcher is not running")
        return True
    return False


def test_stop_during_calls(scene: Scene, rpc: HttpRpc) -> None:
    answered = threading.Event()

    def call() -> None:
        while True:
            try:
                rpc.call("mqtt.subscribe", "in/#")
                answered.set()
            except (RpcFault, OSError, ValueError):
                return

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_for(answered.is_set, "an answer")
    assert scene.kamailio.stop() == 0
    for caller in callers:
        caller.join()
    assert not re.findall("ERROR|WARNING", scene.mqtt_log())


# Many at a time, and much.


def test_many_callers(scene: Scene, rpc: HttpRpc) -> None:
    dispatcher = scene.kamailio.dispatcher_pid()
    rpc.call("mqtt.status")
    descriptors = len(scene.kamailio.descriptors(dispatcher))
    wrong: list[object] = []

    def call(number: int) -> None:
        topic_filter = f"in/{number}"
        for _ in range(10):
            rpc.call("mqtt.subscribe", topic_filter, 1)
            if rpc.call("mqtt.status")["client_id"] != CLIENT_ID:
                wrong.append(number)
            listed = rpc.call("mqtt.subscriptions", topic_filter)
            if [each["topic_filter"] for each in listed] != [topic_filter]:
                wrong.append(listed)
            rpc.call("mqtt.unsubscribe", topic_filter)

    callers = [
        threading.Thread(target=call, args=(number,)) for number in range(20)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong
    assert rpc.call("mqtt.subscriptions") == []
    # That of the last answer may be about to close, before and after.
    wait_for(
        lambda: len(scene.kamailio.descriptors(dispatcher)) <= descriptors,
        "the dispatcher's descriptors to close",
    )


def test_calls_of_sip_workers(environment: Environment) -> None:
    scene = Scene(
        environment,
        modules=("jsonrpcs",),
        children=8,
        request_route="""
            $var(rpc) = '{"jsonrpc": "2.0", "method": "mqtt.status", "id": 1}';
            jsonrpc_exec("$var(rpc)");
            sl_send_reply("200", "$jsonrpl(code)");
            exit;""",
    )
    calls = [scene.sip.send("MESSAGE") for _ in range(40)]
    assert [scene.sip.response(call).reason for call in calls] == ["200"] * 40


def all_filters() -> list[str]:
    return [f"many/{number}" for number in range(1, MANY + 1)]


def test_many_subscriptions(environment: Environment) -> None:
    kamailio = start(
        environment,
        environment.broker(),
        routes=SUBSCRIBE_TO_MANY,
        global_parameters=f"max_while_loops={MANY + 1}",
    )
    rpc = http_rpc(kamailio)
    wait_for(
        lambda: rpc.call("mqtt.status")["subscriptions"] == MANY,
        f"{MANY} subscriptions",
    )
    listed = rpc.call("mqtt.subscriptions")
    assert [each["topic_filter"] for each in listed] == all_filters()

    # kamcmd takes no more than 128 KiB.
    found: list[str] = []
    while part := re.findall(
        r"topic_filter: (.*)",
        kamailio.rpc("mqtt.subscriptions", "s:", "500", str(len(found))),
    ):
        assert len(part) <= 500
        found += part
    assert found == all_filters()


def test_no_room_for_the_reply(scene: Scene, rpc: HttpRpc) -> None:
    # More than ctl takes in one structure.
    topic_filter = "x" * 10000
    rpc.call("mqtt.subscribe", topic_filter)
    assert scene.kamailio.rpc("mqtt.subscriptions").startswith("error: 500 - ")
    (listed,) = rpc.call("mqtt.subscriptions")
    assert listed["topic_filter"] == topic_filter
