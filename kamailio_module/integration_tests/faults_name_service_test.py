# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server that does not answer, and names with several addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamailio_module.integration_tests.traffic import (
    Traffic,
    start_kamailio,
    stop_in_time,
)
from tools.harness import private_network
from tools.harness.delivered import Delivered
from tools.harness.environment import Environment
from tools.harness.ledger import Ledger
from tools.harness.network_faults import SilentDnsServer
from tools.harness.process import processor_time

DNS_PORT = 53

BROKER_NAME = "broker.example"
BROKER_PORT = 1883


def test_a_name_server_that_does_not_answer(
    request: pytest.FixtureRequest, environment: Environment
) -> None:
    if not private_network.inside():
        private_network.run(request)
        return
    name_server = environment.own(SilentDnsServer(port=DNS_PORT))
    broker = environment.broker()
    kamailio = start_kamailio(
        environment,
        broker,
        host=BROKER_NAME,
        connect_timeout=1,
        drain_timeout=500,
        control_address="",  # Its threads are not counted.
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_not_reached()
    assert any(b"\6broker\7example" in query for query in name_server.queries)
    assert (
        "connect_timeout of 1 s has passed, waiting for name resolution or TCP"
        in kamailio.log()
    )
    dispatcher = kamailio.dispatcher_pid()
    busy = processor_time(dispatcher)
    traffic.publish(300)

    # What waits for the name service is bounded, and goes on.
    kamailio.wait_for_log("the name service has not answered 4 earlier")
    ledger.wait_not_reached(6)
    assert len(list(Path(f"/proc/{dispatcher}/task").iterdir())) < 10
    assert processor_time(dispatcher) - busy < 0.5
    assert ledger.check(traffic)["queued_qos1"] == 300

    private_network.add_host(BROKER_NAME, broker.host)
    ledger.wait_delivered()
    ledger.check(traffic)
    assert set(Delivered(broker).numbers) == set(traffic.accepted())


def test_a_stop_while_the_name_server_does_not_answer(
    request: pytest.FixtureRequest, environment: Environment
) -> None:
    if not private_network.inside():
        private_network.run(request)
        return
    name_server = environment.own(SilentDnsServer(port=DNS_PORT))
    broker = environment.broker()
    kamailio = start_kamailio(
        environment, broker, host=BROKER_NAME, drain_timeout=500
    )
    kamailio.process.wait_until(
        lambda: bool(name_server.queries), "it asks the name server"
    )
    stop_in_time(kamailio, 0.5)


def test_every_address_of_a_name_is_tried(
    request: pytest.FixtureRequest, environment: Environment
) -> None:
    """As of a broker cluster, one of whose nodes is up at any time."""
    if not private_network.inside():
        private_network.run(request)
        return
    nodes = [
        environment.broker(host=address, port=BROKER_PORT)
        for address in ("127.0.0.2", "127.0.0.3")
    ]
    for node in nodes:
        private_network.add_host(BROKER_NAME, node.host)
        node.kill()
    kamailio = start_kamailio(environment, nodes[0], host=BROKER_NAME)
    ledger = Ledger(kamailio)
    for connects, node in enumerate(nodes + nodes, start=1):
        node.start()
        ledger.wait(
            f"connection {connects}", lambda: ledger["connects"] == connects
        )
        node.kill()
