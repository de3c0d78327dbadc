# SPDX-License-Identifier: GPL-3.0-or-later
"""A stop with messages in the queue."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from kamailio_module.integration_tests.scene import CLIENT_ID, Listening
from kamailio_module.integration_tests.traffic import (
    NUMBERS,
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
from tools.harness.ledger import EVERY_QOS, Ledger
from tools.harness.mqtt_packets import PacketType
from tools.harness.tcp_proxy import TcpProxy


def test_a_backlog_is_delivered_before_the_end(
    environment: Environment,
) -> None:
    broker = environment.broker()
    proxy = environment.own(TcpProxy(broker.port))
    kamailio = start_kamailio(
        environment, proxy, will_topic=NUMBERS[:-1] + "will", will="gone"
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    proxy.stall()
    for qos in reversed(EVERY_QOS):
        traffic.publish(500, qos=qos)
    assert ledger.check(traffic)["queued_qos1"] == 500

    kamailio.process.signal(signal.SIGTERM)
    proxy.resume()
    assert kamailio.process.wait() == 0
    assert "not delivered" not in kamailio.log()
    broker.process.wait_for_log(f"Received DISCONNECT from {CLIENT_ID}")
    assert sorted(Delivered(broker).numbers) == traffic.accepted()


def test_what_is_left_at_the_deadline_is_counted(
    environment: Environment,
) -> None:
    acknowledged = 100

    broker = environment.own(
        FakeBroker(fake_broker.answer_only(acknowledged))
    )
    kamailio = start_kamailio(environment, broker, drain_timeout=500)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(500)
    ledger.wait(
        "acknowledgements", lambda: ledger["acknowledged"] == acknowledged
    )
    ledger.check(traffic)

    stop_in_time(kamailio, 0.5)
    broker.wait_received(PacketType.DISCONNECT)
    left = f"stopped with {500 - acknowledged} message(s) not delivered"
    assert kamailio.log().count(left) == 1


@pytest.mark.parametrize(
    ("exit_timeout", "drain_timeout", "used"),
    [(4, 4000, 2000), (4, 60000, 2000), (3, 3000, 1000)],
)
def test_a_drain_ends_before_kamailio_kills_its_processes(
    environment: Environment,
    exit_timeout: int,
    drain_timeout: int,
    used: int,
) -> None:
    broker = environment.own(FakeBroker(fake_broker.answer_only(0)))
    kamailio = start_kamailio(
        environment,
        broker,
        global_parameters=f"exit_timeout={exit_timeout}",
        drain_timeout=drain_timeout,
    )
    warning = (
        f'parameter "drain_timeout": value "{drain_timeout}": only {used} ms '
        "are used, because Kamailio kills its processes after exit_timeout, "
        f"{exit_timeout} s"
    )
    assert kamailio.log().count(warning) == 1
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(300)

    assert kamailio.stop() == 0
    broker.wait_received(PacketType.DISCONNECT)
    left = "stopped with 300 message(s) not delivered"
    assert kamailio.log().count(left) == 1


@pytest.mark.parametrize("exit_timeout", [0, 1, 5])
def test_any_exit_timeout_goes_with_the_default(
    environment: Environment, exit_timeout: int
) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment, broker, global_parameters=f"exit_timeout={exit_timeout}"
    )
    warned = 'parameter "drain_timeout"' in kamailio.log()
    assert warned == (exit_timeout == 1)
    Ledger(kamailio).wait_connected()
    assert kamailio.stop() == 0
    broker.process.wait_for_log(f"Received DISCONNECT from {CLIENT_ID}")


@pytest.mark.parametrize("unreachable", [closed_port, dropped_syn, silence])
@pytest.mark.parametrize("backlog", [0, 100])
def test_a_broker_that_cannot_be_reached_delays_no_stop(
    environment: Environment,
    unreachable: Callable[[Environment], Listening],
    backlog: int,
) -> None:
    kamailio = start_kamailio(
        environment,
        unreachable(environment),
        reconnect_delay=60,
        connect_timeout=60,
        drain_timeout=500,
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(backlog)
    ledger.check(traffic)
    stop_in_time(kamailio, 0.5)
    lines = kamailio.log().count("message(s) not delivered")
    left = kamailio.log().count(
        f"stopped with {backlog} message(s) not delivered"
    )
    assert lines == left == (1 if backlog else 0)
