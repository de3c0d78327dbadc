# SPDX-License-Identifier: GPL-3.0-or-later
"""Brokers that cannot be reached, or refuse."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from kamailio_module.integration_tests.refusal import (
    DISCONNECTED_ROUTE,
    check_refused,
)
from kamailio_module.integration_tests.scene import CLIENT_ID, Listening
from kamailio_module.integration_tests.traffic import (
    Traffic,
    closed_port,
    dropped_syn,
    silence,
    start_kamailio,
    stop_in_time,
)
from tools.harness import fake_broker
from tools.harness.delivered import Delivered
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import Parameter
from tools.harness.ledger import Ledger
from tools.harness.mqtt_packets import ConnectCode


def test_a_broker_that_is_down_at_the_start(environment: Environment) -> None:
    broker = environment.broker()
    broker.kill()
    kamailio = start_kamailio(environment, broker, children=1)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(500)
    ledger.wait_not_reached()
    assert "Connection refused; next attempt in 1.0 s" in kamailio.log()
    counters = ledger.check(traffic)
    assert (counters["connected"], counters["queued_qos1"]) == (0, 500)

    broker.start()
    ledger.wait_delivered()
    counters = ledger.check(traffic)
    assert (counters["connected"], counters["disconnects"]) == (1, 0)
    assert Delivered(broker).numbers == list(range(1, 501))


def hang_up(environment: Environment) -> Listening:
    return environment.own(FakeBroker(lambda session: None))


@pytest.mark.parametrize(
    ("unreachable", "tls", "reason"),
    [
        (closed_port, False, "Connection refused"),
        (closed_port, True, "Connection refused"),
        (hang_up, False, "the broker closed the connection before CONNACK"),
        (hang_up, True, "TLS: "),
        (silence, False, "waiting for CONNACK"),
        (silence, True, "waiting for the TLS handshake"),
        (dropped_syn, False, "waiting for name resolution or TCP"),
        (dropped_syn, True, "waiting for name resolution or TCP"),
    ],
)
def test_a_broker_that_cannot_be_reached(
    environment: Environment,
    unreachable: Callable[[Environment], Listening],
    tls: bool,
    reason: str,
) -> None:
    more: dict[str, Parameter] = {}
    if tls:
        more["ca_file"] = str(environment.certificates.ca)
    kamailio = start_kamailio(
        environment,
        unreachable(environment),
        routes=DISCONNECTED_ROUTE,
        connect_timeout=1,
        drain_timeout=500,
        **more,
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(300)
    check_refused(kamailio, reason)
    assert ledger.check(traffic)["queued_qos1"] == 300
    stop_in_time(kamailio, 0.5)


REFUSALS = {
    ConnectCode.UNACCEPTABLE_PROTOCOL: "unacceptable protocol version",
    ConnectCode.IDENTIFIER_REJECTED: "identifier rejected",
    ConnectCode.SERVER_UNAVAILABLE: "broker unavailable",
    ConnectCode.BAD_CREDENTIALS: "bad user name or password",
    ConnectCode.NOT_AUTHORIZED: "not authorised",
}
BACKED_OFF = (
    ConnectCode.IDENTIFIER_REJECTED,
    ConnectCode.BAD_CREDENTIALS,
    ConnectCode.NOT_AUTHORIZED,
)


@pytest.mark.parametrize("code", list(REFUSALS))
def test_a_broker_that_refuses(
    environment: Environment, code: ConnectCode
) -> None:
    broker = environment.own(FakeBroker(fake_broker.refuse_connect(code)))
    kamailio = start_kamailio(
        environment,
        broker,
        routes=DISCONNECTED_ROUTE,
        username="somebody",
        password="wrong-word",
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(10)
    check_refused(kamailio, REFUSALS[code])
    ledger.wait_not_reached(3)
    first, second, third = broker.connection_times()[:3]
    if code in BACKED_OFF:
        assert third - second > 1.5 * (second - first)
    counters = ledger.check(traffic)
    assert (counters["queued_qos1"], counters["disconnects"]) == (10, 0)
    assert "wrong-word" not in kamailio.log()

    if code not in BACKED_OFF:
        broker.script = fake_broker.healthy
        ledger.wait_delivered()
        ledger.check(traffic)


def test_a_session_that_is_taken_over_again_and_again(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    # Connects again by itself, a second after it has lost its connection.
    rival = environment.mqtt_client(broker, client_id=CLIENT_ID)
    ledger.wait("the losses", lambda: ledger["disconnects"] == 3)
    delays = re.findall(r" lost: .*; next attempt in (\S+) s", kamailio.log())
    assert delays == ["1.0", "2.0", "4.0"]
    traffic.publish(10)
    rival.close()
    ledger.wait_delivered()
    ledger.check(traffic)
    assert set(traffic.accepted()) <= set(Delivered(broker).numbers)
