# SPDX-License-Identifier: GPL-3.0-or-later
"""A SIP worker that is killed in the middle of a publish."""

from __future__ import annotations

import os
import signal

from kamailio_module.integration_tests.preload import preload
from kamailio_module.integration_tests.scene import CLIENT_ID
from kamailio_module.integration_tests.traffic import Traffic, start_kamailio
from tools.harness.delivered import Delivered
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio
from tools.harness.ledger import Ledger


def sip_workers(kamailio: Kamailio) -> set[int]:
    return {
        pid
        for pid, name in kamailio.processes().items()
        if name.startswith("udp receiver") and pid in kamailio.process_ids()
    }


def test_a_worker_killed_in_the_middle_of_a_publish(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = start_kamailio(
        environment,
        broker,
        variables=preload(
            "killed_in_copy.c", environment.new_directory("preload")
        ),
    )
    ledger = Ledger(kamailio)
    traffic = Traffic(environment, kamailio)
    ledger.wait_connected()
    traffic.publish(100)
    assert len(sip_workers(kamailio)) == 2
    # Kamailio ends when it learns that a worker has died.
    os.kill(kamailio.process.pid, signal.SIGSTOP)
    environment.sip_client(kamailio).send(
        "MESSAGE", user="1", body=b"KILLED_IN_COPY" * 100
    )
    kamailio.process.wait_until(
        lambda: len(sip_workers(kamailio)) == 1, "a worker is dead"
    )

    # What the other worker publishes stands in the ring behind that.
    traffic.publish(100)
    ledger.wait("the end of the queue", lambda: ledger["accepted"] == 200)
    ledger.wait_delivered()
    ledger.check(traffic, torn=1)
    kamailio.wait_for_log("1 request(s) not taken")

    os.kill(kamailio.process.pid, signal.SIGCONT)
    kamailio.process.wait()
    broker.process.wait_for_log(f"Received DISCONNECT from {CLIENT_ID}")
    assert set(Delivered(broker).numbers) == set(traffic.accepted())
