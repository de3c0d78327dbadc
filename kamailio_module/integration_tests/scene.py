# SPDX-License-Identifier: GPL-3.0-or-later
"""What most tests of the script interface begin with: a Kamailio that is
connected to a broker, and a client at either side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tools.harness.broker import Broker
from tools.harness.environment import Environment
from tools.harness.kamailio import KamailioConfiguration, Parameter
from tools.harness.sip import SipClient, SipResponse

CLIENT_ID = "kamailio"


class Listening(Protocol):
    """Anything that takes the place of a broker."""

    host: str
    port: int


def at(broker: Listening, **more: Parameter) -> dict[str, Parameter]:
    """The module parameters for a broker."""
    return {
        "host": broker.host,
        "port": broker.port,
        "id": CLIENT_ID,
        **more,
    }


def case_route(calls: Sequence[str]) -> str:
    """A request route that makes the call whose number the request's X-Case
    has, and answers with its return code."""
    cases = "\n".join(
        f'if ($hdr(X-Case) == "{number}") {{ {call}; $var(rc) = $rc; }}'
        for number, call in enumerate(calls)
    )
    return f"""
        $var(empty) = "";
        {cases}
        sl_send_reply("200", "$var(rc)");
        exit;"""


def run_case(sip: SipClient, number: int, *, body: bytes = b"") -> int:
    """The return code of one call of case_route()."""
    return return_code(
        sip.request("MESSAGE", headers={"X-Case": str(number)}, body=body)
    )


def return_code(response: SipResponse) -> int:
    """Of a function, where the route answers with it as the reason."""
    return int(response.reason)


class Scene:
    """A started broker and Kamailio, connected. `observer` is a client of the
    broker that has subscribed to "out" and everything below; `sip` a client of
    the Kamailio. What else is given is for KamailioConfiguration."""

    def __init__(
        self,
        environment: Environment,
        *,
        parameters: Mapping[str, Parameter] | None = None,
        broker: Broker | None = None,
        **configuration: Any,
    ) -> None:
        self.broker = broker or environment.broker()
        self.observer = environment.mqtt_client(self.broker)
        self.observer.subscribe("out/#")
        self.kamailio = environment.kamailio(
            KamailioConfiguration(
                parameters=at(self.broker, **(parameters or {})),
                **configuration,
            )
        )
        self.kamailio.start()
        self.broker.wait_for_client(CLIENT_ID)
        self.sip = environment.sip_client(self.kamailio)

    def mqtt_log(self) -> str:
        """What the module has logged."""
        return "".join(
            line
            for line in self.kamailio.log().splitlines(keepends=True)
            if ": mqtt" in line
        )
