# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples sip_events, sip_events_lua and sip_events_python: they tell the
same, and well-formed JSON whatever callers send."""

from __future__ import annotations

import json
import re

import pytest

from kamailio_module.integration_tests.examples import ExampleScene
from tools.harness.environment import Environment
from tools.harness.versions import kamailio_version
from tools.harness.waiting import wait_for

STATE = "sip/registrations/example.org/"

each_language = pytest.mark.parametrize(
    "name", ["sip_events", "sip_events_lua", "sip_events_python"]
)


# Registrations.


@each_language
def test_the_broker_keeps_who_is_registered(
    environment: Environment, name: str
) -> None:
    scene = ExampleScene(environment, name)
    bob = environment.sip_phone(scene.kamailio, "bob")
    assert bob.register({"User-Agent": "one"}).status == 200
    first = scene.wait_json(f"{STATE}bob")
    assert first["aor"] == "sip:bob@example.org"
    (contact,) = first["contacts"]
    assert contact["uri"] == bob.contact
    assert contact["user_agent"] == "one"
    assert isinstance(contact["expires"], int)

    second_phone = environment.sip_phone(scene.kamailio, "Bob")
    assert second_phone.register().status == 200
    both = scene.wait_json(f"{STATE}bob")["contacts"]
    assert {each["uri"] for each in both} == {
        bob.contact,
        second_phone.contact,
    }

    assert bob.register({"Expires": "0"}).status == 200
    (contact,) = scene.wait_json(f"{STATE}bob")["contacts"]
    assert contact["uri"] == second_phone.contact
    late = environment.mqtt_client(scene.broker)
    late.subscribe(f"{STATE}+")
    assert late.wait_message().retain

    unregister = {"Contact": "*", "Expires": "0"}
    assert bob.register(unregister).status == 200
    assert scene.observer.wait_message(f"{STATE}bob").payload == b""
    assert " ERROR: " not in scene.kamailio.log()


@each_language
def test_an_expired_registration(environment: Environment, name: str) -> None:
    scene = ExampleScene(
        environment,
        name,
        more='modparam("usrloc", "timer_interval", 1)\n'
        'modparam("registrar", "min_expires", 1)\n',
    )
    bob = environment.sip_phone(scene.kamailio, "bob")
    assert bob.register({"Expires": "1"}).status == 200
    scene.wait_json(f"{STATE}bob")
    assert scene.observer.wait_message(f"{STATE}bob").payload == b""


@each_language
def test_a_full_queue_loses_no_state(
    environment: Environment, name: str
) -> None:
    scene = ExampleScene(
        environment,
        name,
        more='modparam("mqtt", "queue_max_messages", 1)\n'
        'modparam("mqtt", "reconnect_delay", 1)\n',
    )
    scene.broker.stop()
    users = {"alice", "bob", "carol"}
    for user in users:
        phone = environment.sip_phone(scene.kamailio, user)
        assert phone.register().status == 200
    scene.kamailio.wait_for_log("the queue is full")
    scene.broker.start()
    late = environment.mqtt_client(scene.broker)
    late.subscribe(f"{STATE}+")
    told = set()

    def all_told() -> bool:
        while (message := late.take()) is not None:
            told.add(message.topic.removeprefix(STATE))
        return told == users

    wait_for(all_told, "the states of all users")


@each_language
def test_names_in_topics(environment: Environment, name: str) -> None:
    scene = ExampleScene(environment, name)
    for user in ("a/b", "a%2Fb", "%23", "a*b", "x" * 65):
        phone = environment.sip_phone(scene.kamailio, user)
        assert phone.register().status == 404
    phone = environment.sip_phone(scene.kamailio, "+4930123456")
    assert phone.register().status == 200
    message = scene.observer.wait_message()
    assert message.topic == f"{STATE}%2b4930123456"
    state = json.loads(message.payload)
    assert state["aor"] == "sip:+4930123456@example.org"


# Calls.


@each_language
def test_a_call(environment: Environment, name: str) -> None:
    scene = ExampleScene(environment, name)
    alice = environment.sip_phone(scene.kamailio, "alice")
    bob = environment.sip_phone(scene.kamailio, "bob")
    bob.register()

    call_id = alice.send(
        "INVITE",
        bob.uri,
        {"From": f'"Alice" <{alice.uri}>;tag=1', "User-Agent": "one"},
    )
    invite = bob.wait_request("INVITE")
    started = scene.wait_json("sip/calls/started")
    assert isinstance(started.pop("time"), int)
    assert started == {
        "call_id": call_id,
        "from": alice.uri,
        "from_name": "Alice",
        "to": bob.uri,
        "user_agent": "one",
        "source": "127.0.0.1",
    }

    bob.respond(invite, 200)
    response = alice.wait_response(call_id)
    alice.send_in_dialog("ACK", response)
    bob.wait_request("ACK")
    assert scene.wait_json("sip/calls/answered")["call_id"] == call_id

    bob.send_in_dialog("BYE", invite)
    alice.respond(alice.wait_request("BYE"), 200)
    ended = scene.wait_json("sip/calls/ended")
    assert ended["call_id"] == call_id
    assert ended["duration"] >= 0
    assert " ERROR: " not in scene.kamailio.log()


@each_language
def test_calls_that_fail(environment: Environment, name: str) -> None:
    scene = ExampleScene(environment, name)
    alice = environment.sip_phone(scene.kamailio, "alice")
    bob = environment.sip_phone(scene.kamailio, "bob")
    bob.register()
    call_id = alice.send("INVITE", bob.uri)
    bob.respond(bob.wait_request("INVITE"), 486)
    assert alice.wait_response(call_id).status == 486
    failed = scene.wait_json("sip/calls/failed")
    assert (failed["call_id"], failed["status"]) == (call_id, 486)

    for uri in ("sip:nobody@example.org", "sip:bob@example.com"):
        response = alice.request("INVITE", uri)
        assert response.status == 480
        failed = scene.wait_json("sip/calls/failed")
        assert failed["call_id"] == response["call-id"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('says "hello"', id="quotes"),
        pytest.param("a\\b \\n \\u0041", id="backslashes"),
        pytest.param('", "admin": true, "x": "', id="injection"),
        pytest.param("\x01\x07\t\x1b[31m\x7f", id="control characters"),
        pytest.param("Grüße, 你好 😀", id="not ASCII"),
        pytest.param("$rU $$ %s {s.len}", id="pseudo-variables"),
    ],
)
@each_language
def test_what_callers_send_is_told_as_it_is(
    environment: Environment, name: str, text: str
) -> None:
    scene = ExampleScene(environment, name)
    bob = environment.sip_phone(scene.kamailio, "bob")
    # In a display name, both are escaped (RFC 3261 25.1).
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    bob.register({"User-Agent": text})
    (contact,) = scene.wait_json(f"{STATE}bob")["contacts"]
    assert contact["user_agent"] == text
    bob.request(
        "INVITE",
        "sip:nobody@example.org",
        {"User-Agent": text, "From": f'"{quoted}" <{bob.uri}>;tag=1'},
    )
    started = scene.wait_json("sip/calls/started")
    assert started["user_agent"] == text
    assert started["from_name"] == quoted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("caf\udce9 noir", "caf[?\ufffd] noir", id="Latin-1"),
        pytest.param("\udcf0\udc9f ", "[?\ufffd]{1,2} ?", id="cut short"),
        pytest.param("\udced\udca0\udc80.", "[?\ufffd]{3}.", id="surrogate"),
        pytest.param("\udcc0\udcaf.", "[?\ufffd]{2}.", id="overlong"),
    ],
)
@each_language
def test_what_is_not_utf_8_is_replaced(
    environment: Environment, name: str, text: str, expected: str
) -> None:
    scene = ExampleScene(environment, name)
    bob = environment.sip_phone(scene.kamailio, "bob")
    bob.register({"User-Agent": text})
    (contact,) = scene.wait_json(f"{STATE}bob")["contacts"]
    assert re.fullmatch(expected, contact["user_agent"])
    bob.request(
        "INVITE",
        "sip:nobody@example.org",
        {"User-Agent": text, "From": f'"{text}" <{bob.uri}>;tag=1'},
    )
    started = scene.wait_json("sip/calls/started")
    assert re.fullmatch(expected, started["user_agent"])
    assert re.fullmatch(expected, started["from_name"])


@each_language
def test_nul_bytes(environment: Environment, name: str) -> None:
    scene = ExampleScene(environment, name)
    bob = environment.sip_phone(scene.kamailio, "bob")
    bob.register({"User-Agent": "one\0two"})
    (contact,) = scene.wait_json(f"{STATE}bob")["contacts"]
    assert contact["user_agent"] in ("one", "one\0two")
    # Kamailio's parser does not take it there. Since 6.1 it does not answer.
    fields = {"From": f'"one\0two" <{bob.uri}>;tag=1'}
    call_id = bob.send("INVITE", bob.uri, fields)
    if kamailio_version() >= (6, 1):
        scene.kamailio.wait_for_log("required headers not found in request")
    else:
        assert bob.wait_response(call_id).status == 400
