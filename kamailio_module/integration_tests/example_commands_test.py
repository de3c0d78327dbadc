# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples that MQTT messages tell what to do: htable, dispatcher and
click_to_dial, with real gateways and phones. What they refuse, and what needs
no phone, is in their scenarios."""

from __future__ import annotations

import itertools
import json

from kamailio_module.integration_tests.examples import ExampleScene
from tools.harness.environment import Environment
from tools.harness.sip_phone import SipMessage, SipPhone
from tools.harness.waiting import wait_for

# htable.


def test_blocked_callers_are_there_after_a_restart(
    environment: Environment,
) -> None:
    scene = ExampleScene(environment, "htable")
    scene.broker.wait_for_subscription("sip/blocked/+")
    scene.observer.publish("sip/blocked/eve", "fraud", retain=True)
    eve = environment.sip_phone(scene.kamailio, "eve")

    def status() -> int | None:
        return eve.request("INVITE", "sip:bob@example.org").status

    wait_for(lambda: status() == 403, "Eve to be blocked")
    assert scene.kamailio.stop() == 0
    scene.kamailio.start()
    wait_for(lambda: status() == 403, "Eve to be blocked again")
    scene.observer.publish("sip/blocked/eve", "", retain=True)
    wait_for(lambda: status() == 404, "Eve to be unblocked")


# dispatcher.


class Gateways:
    """Switches gateways by MQTT, and asks for a gateway by SIP."""

    def __init__(self, environment: Environment) -> None:
        self._scene = ExampleScene(
            environment,
            "dispatcher",
            GATEWAY_NET="0.0.0.0/0",
            RELOAD_DELTA=0,
        )
        self._scene.broker.wait_for_subscription("sip/gateways/commands")
        self._environment = environment
        self._ids = itertools.count(1)
        self._caller = self.new("caller")

    def new(self, name: str) -> SipPhone:
        return self._environment.sip_phone(self._scene.kamailio, name)

    def result(self, operation: str, uri: str) -> dict[str, object]:
        """Of a command."""
        number = str(next(self._ids))
        command = {"id": number, "op": operation, "uri": uri}
        self._scene.observer.publish(
            "sip/gateways/commands", json.dumps(command)
        )
        result = self._scene.wait_json("sip/gateways/results")
        assert result.pop("id") == number
        return result

    def command(self, operation: str, uri: str) -> None:
        """Succeeds."""
        assert self.result(operation, uri) == {"ok": True}

    def unavailable(self) -> bool:
        return self._caller.request("MESSAGE", "sip:a@b").status == 503

    def send_through(self, gateway: SipPhone) -> None:
        """A request, which reaches that one."""
        call_id = self._caller.send("MESSAGE", "sip:a@b")
        gateway.respond(gateway.wait_request("MESSAGE"), 200)
        assert self._caller.wait_response(call_id).status == 200


def address(gateway: SipPhone) -> str:
    return "sip:" + gateway.contact.partition("@")[2]


def test_gateways_come_and_go(environment: Environment) -> None:
    gateways = Gateways(environment)
    # That of the list, which is not there.
    gateways.command("remove", "sip:192.0.2.10:5060")
    assert gateways.unavailable()

    first, second = gateways.new("first"), gateways.new("second")
    gateways.command("add", address(first))
    gateways.send_through(first)
    gateways.send_through(first)

    gateways.command("add", address(second))
    gateways.command("disable", address(first))
    gateways.send_through(second)
    gateways.send_through(second)

    gateways.command("enable", address(first))
    gateways.command("remove", address(second))
    gateways.send_through(first)
    gateways.send_through(first)
    gateways.command("disable", address(first))
    assert gateways.unavailable()


def test_a_gateway_that_cannot_be(environment: Environment) -> None:
    gateways = Gateways(environment)
    for address_and_port in ("192.0.2.11:99999", "192.0.2.999:5060"):
        result = gateways.result("add", f"sip:{address_and_port}")
        assert result == {"error": "uri"}
    gateways.command("disable", "sip:192.0.2.10:5060")
    assert gateways.unavailable()


# click_to_dial.


class Clicks:
    """Alice and Bob are registered."""

    def __init__(self, environment: Environment) -> None:
        self._scene = ExampleScene(environment, "click_to_dial")
        self._scene.broker.wait_for_subscription("sip/clicks/commands")
        self.alice = environment.sip_phone(self._scene.kamailio, "alice")
        self.bob = environment.sip_phone(self._scene.kamailio, "bob")
        assert self.alice.register().status == 200
        assert self.bob.register().status == 200

    def click(self) -> SipMessage:
        """Alice is to call Bob. Returns the INVITE at Alice's phone."""
        command = {"id": "4711", "from": self.alice.uri, "to": self.bob.uri}
        self._scene.observer.publish(
            "sip/clicks/commands", json.dumps(command)
        )
        assert self.result() == {"state": "calling"}
        return self.alice.wait_request("INVITE")

    def answer(self, invite: SipMessage) -> SipMessage:
        """Alice picks up. Returns the REFER."""
        self.alice.respond(invite, 180)
        self.alice.respond(invite, 200)
        self.alice.wait_request("ACK")
        assert self.result() == {"state": "answered"}
        return self.alice.wait_request("REFER")

    def report(self, invite: SipMessage, status_line: str) -> SipMessage:
        """Alice's phone tells how her call to Bob goes."""
        self.alice.send_in_dialog(
            "NOTIFY",
            invite,
            {"Event": "refer", "Content-Type": "message/sipfrag"},
            body=f"{status_line}\r\n",
        )
        return self.alice.wait_response(invite["call-id"])

    def result(self) -> dict[str, object]:
        result = self._scene.wait_json("sip/clicks/results")
        assert result.pop("id") == "4711"
        return result


def test_a_click_makes_a_call(environment: Environment) -> None:
    clicks = Clicks(environment)
    alice, bob = clicks.alice, clicks.bob
    invite = clicks.click()
    assert "sip:click@example.org" in invite["from"]
    refer = clicks.answer(invite)
    assert refer["refer-to"] == bob.uri
    alice.respond(refer, 202)
    alice.respond(alice.wait_request("BYE"), 200)

    call_id = alice.send("INVITE", refer["refer-to"])
    incoming = bob.wait_request("INVITE")
    assert clicks.report(invite, "SIP/2.0 100 Trying").status == 200
    assert clicks.report(invite, "SIP/2.0 180 Ringing").status == 200
    assert clicks.result() == {"state": "ringing"}
    bob.respond(incoming, 200)
    alice.send_in_dialog("ACK", alice.wait_response(call_id))
    bob.wait_request("ACK")
    assert clicks.report(invite, "SIP/2.0 200 OK").status == 200
    assert clicks.result() == {"state": "connected"}


def test_who_clicked_does_not_answer(environment: Environment) -> None:
    clicks = Clicks(environment)
    clicks.alice.respond(clicks.click(), 486)
    assert clicks.result() == {"state": "failed", "status": 486}


def test_who_is_called_does_not_answer(environment: Environment) -> None:
    clicks = Clicks(environment)
    invite = clicks.click()
    clicks.alice.respond(clicks.answer(invite), 202)
    assert clicks.report(invite, "SIP/2.0 603 Decline").status == 200
    assert clicks.result() == {"state": "failed", "status": 603}


def test_reports_that_nobody_asked_for(environment: Environment) -> None:
    clicks = Clicks(environment)
    invite = clicks.click()
    clicks.answer(invite)
    assert clicks.report(invite, "hello").status == 481
    stranger = clicks.bob.request("NOTIFY", "sip:click@example.org")
    assert stranger.status == 481
