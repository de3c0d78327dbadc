# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP requests at a steady rate, from a process of its own, so that nothing
else here delays its clock."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NamedTuple

from tools.harness.ledger import EVERY_QOS
from tools.harness.sip import SipClient
from tools.harness.waiting import DEADLINE

_METHODS = ("OPTIONS", "MESSAGE")
_LARGEST_BODY = 1000  # Bytes.

# More could be more than the receive buffer of Kamailio's socket takes.
_MOST_OUTSTANDING = 50
# Seconds after which a request counts as not answered.
_PATIENCE = 10.0


class Request(NamedTuple):
    """One that publishes, and its answer."""

    number: int
    qos: int
    result: int | None  # Of mqtt_publish; None where it was not answered.
    sent_at: float  # time.monotonic(), which all processes share.
    latency: float  # Seconds.


class SipLoad:
    """Sends requests whose user part is the QoS with which to publish, and
    whose answers have the result as the reason phrase."""

    def __init__(self, sip_port: int, seed: int) -> None:
        # Not a fork: this process has threads.
        context = multiprocessing.get_context("spawn")
        self._connection, other_end = context.Pipe()
        self._process = context.Process(
            target=_run, args=(other_end, sip_port, seed), daemon=True
        )
        self._process.start()
        other_end.close()

    def flow(self, rate: int) -> None:
        """From now on, `rate` requests a second."""
        self._connection.send(rate)

    def pause(self) -> list[Request]:
        """Sends no more, waits for the answers, and returns all requests since
        the last pause."""
        self._connection.send(0)
        assert self._connection.poll(DEADLINE), "the SIP load does not react"
        requests: list[Request] = self._connection.recv()
        return requests

    def close(self) -> None:
        self._connection.close()
        self._process.join()


def _run(connection: Connection, sip_port: int, seed: int) -> None:
    """The process, until the other end of the connection is closed."""
    os.setsid()  # For a share of the processor of its own.
    with SipClient(sip_port) as sip, contextlib.suppress(EOFError):
        sender = _Sender(sip, random.Random(seed))
        while True:
            rate = connection.recv()
            if rate:
                sender.flow(rate, until=connection.poll)
            else:
                connection.send(sender.finish())


class _Sender:
    def __init__(self, sip: SipClient, chance: random.Random) -> None:
        self._sip = sip
        self._chance = chance
        # By Call-ID: number, QoS, time.
        self._outstanding: dict[str, tuple[int, int, float]] = {}
        self._sent = 0
        self._requests: list[Request] = []

    def flow(self, rate: int, until: Callable[[], bool]) -> None:
        start = time.monotonic()
        sent_before = self._sent
        while not until():
            due = sent_before + int((time.monotonic() - start) * rate)
            while self._sent < due and (
                len(self._outstanding) < _MOST_OUTSTANDING
            ):
                self._send()
            self._collect()
            time.sleep(1 / rate)

    def finish(self) -> list[Request]:
        while self._outstanding:
            self._collect()
            time.sleep(0.001)
        requests, self._requests = self._requests, []
        return requests

    def _send(self) -> None:
        qos = self._chance.choice(EVERY_QOS)
        body = b"x" * self._chance.randint(1, _LARGEST_BODY)
        method = self._chance.choice(_METHODS)
        self._sent += 1
        sent_at = time.monotonic()
        call_id = self._sip.send(method, user=str(qos), body=body)
        self._outstanding[call_id] = (self._sent, qos, sent_at)

    def _collect(self) -> None:
        now = time.monotonic()
        for call_id, (number, qos, sent_at) in list(self._outstanding.items()):
            response = self._sip.take_response(call_id)
            if response is None and now - sent_at < _PATIENCE:
                continue
            del self._outstanding[call_id]
            result, latency = None, now - sent_at
            if response is not None and response.status == 200:
                result, latency = int(response.reason), response.latency
            self._requests.append(
                Request(number, qos, result, sent_at, latency)
            )
