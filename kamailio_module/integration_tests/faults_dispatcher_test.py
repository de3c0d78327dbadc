# SPDX-License-Identifier: GPL-3.0-or-later
"""A dispatcher process that is killed: how much is lost with it is logged, and
only then."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from kamailio_module.integration_tests.scene import at
from kamailio_module.integration_tests.traffic import (
    Traffic,
    closed_port,
    start_kamailio,
)
from tools.harness import fake_broker
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import EVERY_QOS, Ledger
from tools.harness.process import suspend

LOST = "lost with the dispatcher process"


def kill_dispatcher(kamailio: Kamailio, pid: int) -> None:
    """Kamailio ends as a whole, and as fast as at any stop."""
    os.kill(pid, signal.SIGKILL)
    assert kamailio.process.wait() != 0
    assert f"child process {pid} exited by a signal 9" in kamailio.log()


def lost(kamailio: Kamailio) -> list[str]:
    """What the lines about the loss say, all of which are errors."""
    lines = [line for line in kamailio.log().splitlines() if LOST in line]
    assert all(" ERROR: mqtt: " in line for line in lines)
    return [line.partition(f"{LOST}: ")[2] for line in lines]


def test_what_is_queued_is_counted(environment: Environment) -> None:
    kamailio = start_kamailio(environment, closed_port(environment))
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    for qos in EVERY_QOS:
        traffic.publish(10 * (qos + 1), qos=qos)
    ledger.check(traffic)
    kill_dispatcher(kamailio, kamailio.dispatcher_pid())
    assert lost(kamailio) == [
        "10 message(s) of QoS 0, 20 of QoS 1, 30 of QoS 2"
    ]


def test_what_is_on_its_way_to_the_dispatcher_is_counted(
    environment: Environment,
) -> None:
    kamailio = start_kamailio(environment, closed_port(environment))
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(100, qos=1)
    ledger.check(traffic)
    dispatcher = kamailio.dispatcher_pid()
    suspend(dispatcher)
    for qos in EVERY_QOS:
        traffic.publish(100, qos=qos)
    assert ledger["queued"] == 100
    kill_dispatcher(kamailio, dispatcher)
    assert lost(kamailio) == [
        "100 message(s) of QoS 0, 200 of QoS 1, 100 of QoS 2"
    ]


def test_what_is_in_flight_is_counted_and_what_was_sent_is_not(
    environment: Environment,
) -> None:
    acknowledged = 100

    broker = environment.own(
        FakeBroker(fake_broker.answer_only(acknowledged))
    )
    kamailio = start_kamailio(environment, broker)
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(acknowledged + 5, qos=1)
    ledger.wait("acknowledgements", lambda: ledger["queued"] == 5)
    traffic.publish(7, qos=0)
    ledger.wait("written messages", lambda: ledger["written"] == 7)
    kill_dispatcher(kamailio, kamailio.dispatcher_pid())
    assert lost(kamailio) == [
        "0 message(s) of QoS 0, 5 of QoS 1, 0 of QoS 2"
    ]


def test_an_empty_queue_is_no_loss(environment: Environment) -> None:
    kamailio = start_kamailio(environment, environment.broker())
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    traffic.publish(100)
    ledger.wait_delivered()
    ledger.check(traffic)
    kill_dispatcher(kamailio, kamailio.dispatcher_pid())
    assert lost(kamailio) == []


@pytest.mark.parametrize("killed", [False, True])
def test_a_stop_says_it_otherwise(
    environment: Environment, killed: bool
) -> None:
    kamailio = start_kamailio(
        environment, closed_port(environment), drain_timeout=500
    )
    traffic = Traffic(environment, kamailio)
    traffic.publish(100)
    Ledger(kamailio).check(traffic)
    if killed:
        [worker, *_] = [
            pid
            for pid, name in kamailio.processes().items()
            if name.startswith("udp receiver")
        ]
        os.kill(worker, signal.SIGKILL)
        kamailio.process.wait()
    else:
        assert kamailio.stop() == 0
    assert "stopped with 100 message(s) not delivered" in kamailio.log()
    assert lost(kamailio) == []


def test_a_start_that_fails_says_nothing(environment: Environment) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        host, port = taken.getsockname()
        kamailio = environment.kamailio(
            KamailioConfiguration(
                parameters=at(closed_port(environment)),
                global_parameters=f"listen=udp:{host}:{port}",
            )
        )
        kamailio.launch()
        assert kamailio.process.wait() != 0
    assert "Address already in use" in kamailio.log()
    assert lost(kamailio) == []
