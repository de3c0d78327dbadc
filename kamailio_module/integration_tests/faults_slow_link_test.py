# SPDX-License-Identifier: GPL-3.0-or-later
"""A link on which a packet, or what waits before it, takes longer than the keep
alive. What is slow is not dead."""

from __future__ import annotations

from kamailio_module.integration_tests.scene import at
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import Ledger
from tools.harness.sip import SipClient
from tools.harness.tcp_proxy import TcpProxy

KEEP_ALIVE = 5  # Seconds; libmosquitto takes no less.
DELAY = 0.01  # Seconds for each 4 KiB: some 400 kB a second.
LONG_ENOUGH = 4 << 20  # Bytes, for twice the keep alive.

MESSAGES = 20000
DEADLINE = 120.0


def start(environment: Environment, request_route: str) -> Kamailio:
    proxy = environment.own(
        TcpProxy(environment.broker().port, delay=DELAY)
    )
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(proxy, keepalive=KEEP_ALIVE, drain_timeout=0),
            global_parameters="max_while_loops=1000000",
            request_route=request_route,
        ),
        memory=(256, 64),
    )
    kamailio.start()
    Ledger(kamailio).wait_connected()
    return kamailio


def ask(environment: Environment, kamailio: Kamailio, size: int) -> None:
    """Sends a request with a body of so many bytes."""
    sip: SipClient = environment.sip_client(kamailio)
    sip.request("MESSAGE", body=b"x" * size)


def wait_acknowledged(ledger: Ledger, count: int) -> None:
    """Waits for messages of QoS 1, all of them on the first connection."""
    ledger.wait(
        f"{count} acknowledged",
        lambda: ledger["acknowledged_qos1"] == count,
        deadline=DEADLINE,
    )
    assert ledger["connects"] == 1


def test_a_message_that_takes_long(environment: Environment) -> None:
    kamailio = start(
        environment,
        f"""
        $var(payload) = $rb;
        while ($(var(payload){{s.len}}) < {LONG_ENOUGH}) {{
            $var(payload) = $var(payload) + $var(payload);
        }}
        mqtt_publish("large", "$var(payload)", 1);
        mqtt_publish("small", "behind it", 1);
        sl_send_reply("200", "OK");""",
    )
    ask(environment, kamailio, 1024)
    wait_acknowledged(Ledger(kamailio), 2)


def test_a_backlog(environment: Environment) -> None:
    kamailio = start(
        environment,
        f"""
        $var(i) = 0;
        while ($var(i) < {MESSAGES}) {{
            mqtt_publish("small", "$rb", 0);
            $var(i) = $var(i) + 1;
        }}
        mqtt_publish("last", "behind them", 1);
        sl_send_reply("200", "OK");""",
    )
    ask(environment, kamailio, LONG_ENOUGH // MESSAGES)
    ledger = Ledger(kamailio)
    wait_acknowledged(ledger, 1)
    assert ledger["possibly_lost_qos0"] == 0
