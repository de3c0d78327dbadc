# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered messages, both ways: SIP requests that each Kamailio publishes, and
publishers whose messages the Kamailios share."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

from tools.harness.ending import FAILURES
from tools.harness.kamailio import Kamailio
from tools.harness.mqtt_client import MqttClient
from tools.harness.sip import SipClient
from tools.harness.waiting import Timeout

# Seconds. A Kamailio answers in milliseconds, or is dead.
_PATIENCE = 3.0

# Seconds. A publisher waits for a broker to take its place.
_LONGEST_FAILOVER = 60.0

_ACCEPTED = "1"  # What mqtt_publish returned is the reason of the answer.


class _Load:
    """Sends numbers at a rate a second, one after the other, until it is
    closed."""

    def __init__(self, numbers: Iterator[int], rate: float) -> None:
        self.sent: list[int] = []
        self._numbers = numbers
        self._rate = rate
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns once the last number is answered, or will never be. Raises,
        once, what has ended it before."""
        self._over.set()
        self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _send(self, number: int) -> bool:
        """Whether it arrived."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self._send_all()
        except FAILURES as error:
            self._failure = error

    def _send_all(self) -> None:
        start = time.monotonic()
        for count in itertools.count():
            if self._over.wait(start + count / self._rate - time.monotonic()):
                return
            number = next(self._numbers)
            if self._send(number):
                self.sent.append(number)


class SipLoad(_Load):
    """`sent` are the numbers that mqtt_publish has accepted, of those requests
    that were answered. An unanswered one may be published, or not."""

    def __init__(
        self, kamailio: Kamailio, numbers: Iterator[int], rate: float
    ) -> None:
        self._sip = SipClient(kamailio.sip_port, host=kamailio.host)
        super().__init__(numbers, rate)

    def close(self) -> None:
        super().close()
        self._sip.close()

    def _send(self, number: int) -> bool:
        try:
            response = self._sip.request(
                "MESSAGE", body=str(number).encode(), deadline=_PATIENCE
            )
        except Timeout:
            return False
        return response.reason == _ACCEPTED


class PublisherLoad(_Load):
    """`sent` are the numbers that a broker has acknowledged. After the loss of
    a connection, what was not is published again."""

    def __init__(
        self, port: int, topic: str, numbers: Iterator[int], rate: float
    ) -> None:
        self._client = MqttClient(port)
        self._topic = topic
        super().__init__(numbers, rate)

    def close(self) -> None:
        super().close()
        self._client.close()

    def _send(self, number: int) -> bool:
        self._client.wait_connected(deadline=_LONGEST_FAILOVER)
        try:
            self._client.publish(
                self._topic, str(number), deadline=_LONGEST_FAILOVER
            )
        except RuntimeError:  # The connection has just gone.
            return False
        return True
