# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages to Kamailio at a steady rate, for as long as there is a broker."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

from tools.harness.broker import Broker
from tools.harness.mqtt_client import MqttClient

_INTERVAL = 0.1  # Seconds.

# One in ten takes its time.
_TOPICS = ("in/quick",) * 9 + ("in/slow",)


class InboundFlow:
    """Publishes numbers. It begins paused."""

    def __init__(self, broker: Broker, numbers: Iterator[int]) -> None:
        self._broker = broker
        self._numbers = numbers
        self._flowing = threading.Lock()  # Held while paused.
        self._flowing.acquire()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        self._flowing.release()

    def pause(self) -> None:
        """Returns once the broker has what was published."""
        self._flowing.acquire()

    def close(self) -> None:
        self._over.set()
        if self._flowing.locked():
            self._flowing.release()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_INTERVAL):
            try:
                with MqttClient(self._broker.port) as client:
                    self._publish(client)
            except (OSError, RuntimeError, AssertionError):
                pass  # The broker is away. A later attempt will find it.

    def _publish(self, client: MqttClient) -> None:
        topics = itertools.cycle(_TOPICS)
        while not self._over.wait(_INTERVAL):
            with self._flowing:
                client.publish(next(topics), str(next(self._numbers)))
