# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered messages from SIP requests, through a Kamailio to a broker."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from kamailio_module.integration_tests.scene import Listening, at
from tools.harness import fake_broker
from tools.harness.environment import Environment
from tools.harness.fake_broker import FakeBroker
from tools.harness.kamailio import Kamailio, KamailioConfiguration, Parameter
from tools.harness.mqtt_client import MqttClient
from tools.harness.network_faults import FullBacklogListener
from tools.harness.process import has_slept
from tools.harness.sip import SipClient, SipResponse
from tools.harness.waiting import wait_for

# Results of mqtt_publish.
ACCEPTED = 1
QUEUE_FULL = -2

# Publishes the body of the request, with the number of the request in the
# topic and the user part as QoS, and answers with the result.
PUBLISH_NUMBER = """
    $var(qos) = $(rU{s.int});
    mqtt_publish("numbers/$cs", "$rb", "$var(qos)");
    sl_send_reply("200", "$rc");
    exit;"""

NUMBERS = "numbers/#"


def closed_port(_: Environment) -> Listening:
    """A broker that is not there."""
    broker = FakeBroker()
    broker.close()
    return broker


def silence(environment: Environment) -> Listening:
    """A broker that accepts connections and never answers."""
    return environment.own(FakeBroker(fake_broker.silent))


def dropped_syn(environment: Environment) -> Listening:
    """A broker that does not even accept connections."""
    return environment.own(FullBacklogListener())


def start_kamailio(
    environment: Environment,
    broker: Listening,
    *,
    children: int = 2,
    routes: str = "",
    modules: tuple[str, ...] = (),
    global_parameters: str = "",
    variables: dict[str, str] | None = None,
    **parameters: Parameter,
) -> Kamailio:
    """A Kamailio that runs, and publishes a number for every request.

    It tries again after a second. `variables` are those of its environment.
    """
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, **{"reconnect_delay": 1} | parameters),
            children=children,
            modules=modules,
            global_parameters=global_parameters,
            request_route=PUBLISH_NUMBER,
            routes=routes,
        ),
        environment=variables,
    )
    kamailio.start()
    return kamailio


def stop_in_time(kamailio: Kamailio, drain_timeout: float) -> None:
    """Stops it, and asserts that this took no longer than it may (seconds),
    which leaves a slow machine some time."""
    # Kamailio loses the signal in a child that has not run yet.
    kamailio.process.wait_until(
        lambda: all(map(has_slept, kamailio.process_ids())),
        "every process has run",
    )
    start = time.monotonic()
    assert kamailio.stop() == 0
    assert time.monotonic() - start < drain_timeout + 3


class Flow:
    """Sends requests at a rate (a second), from a thread, until it is
    stopped."""

    # More of them unanswered might be more than a socket's buffer takes.
    _MOST_UNANSWERED = 50

    def __init__(
        self, sip: SipClient, rate: int, send: Callable[[], str]
    ) -> None:
        self.calls: list[str] = []
        self._sip = sip
        self._rate = rate
        self._send = send
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait(self, count: int) -> None:
        """Waits until `count` more requests are sent."""
        target = len(self.calls) + count
        wait_for(lambda: len(self.calls) >= target, f"{count} requests")

    def stop(self) -> list[SipResponse]:
        """Returns the responses to all requests."""
        self._over.set()
        self._thread.join()
        return [self._sip.response(call) for call in self.calls]

    def _run(self) -> None:
        start = time.monotonic()
        answered = 0
        while not self._over.is_set():
            due = int((time.monotonic() - start) * self._rate)
            while len(self.calls) < min(due, answered + self._MOST_UNANSWERED):
                self.calls.append(self._send())
            while self._sip.any_response(self.calls[answered : answered + 1]):
                answered += 1
            time.sleep(1 / self._rate)


class Traffic:
    """Publishes messages by SIP requests, one each, numbered from 1.

    Every request must be answered, and soon: no worker ever waits.
    """

    _LONGEST_LATENCY = 2.0  # Seconds.

    def __init__(self, environment: Environment, kamailio: Kamailio) -> None:
        self._sip = environment.sip_client(kamailio)
        # By number: QoS and result.
        self._results: dict[int, tuple[int, int]] = {}

    def publish(self, count: int, *, qos: int = 1, size: int = 1) -> None:
        """Publishes at full speed, payloads of `size` bytes."""
        result = self._sip.burst(
            count, "MESSAGE", user=str(qos), body=b"x" * size, outstanding=20
        )
        assert result.answered == count
        self._record(result.responses)

    @contextlib.contextmanager
    def flowing(self, rate: int, *, qos: Sequence[int]) -> Iterator[Flow]:
        """Publishes `rate` messages a second until the context ends, with each
        QoS in turn."""
        users = itertools.cycle(map(str, qos))
        flow = Flow(
            self._sip,
            rate,
            lambda: self._sip.send("MESSAGE", user=next(users), body=b"x"),
        )
        try:
            yield flow
        finally:
            responses = flow.stop()
        self._record(responses)

    def accepted(self, qos: int | None = None) -> list[int]:
        """The numbers that mqtt_publish has accepted."""
        return self._numbers(ACCEPTED, qos)

    def refused(self) -> list[int]:
        """The numbers that found the queue full."""
        return self._numbers(QUEUE_FULL, None)

    def accepted_count(self, qos: int) -> int:
        return len(self.accepted(qos))

    def refused_count(self) -> int:
        return len(self.refused())

    def _record(self, responses: list[SipResponse]) -> None:
        for response in responses:
            assert response.latency < self._LONGEST_LATENCY
            number = int(response.headers["cseq"].split()[0])
            qos = int(response.headers["to"].removeprefix("<sip:")[0])
            self._results[number] = (qos, int(response.reason))

    def _numbers(self, result: int, qos: int | None) -> list[int]:
        return sorted(
            number
            for number, (its_qos, its_result) in self._results.items()
            if its_result == result and qos in (None, its_qos)
        )


def arrived_until_now(subscriber: MqttClient, *, qos: int = 2) -> list[int]:
    """Takes the numbers of all that the broker has delivered so far to a
    client that subscribes to NUMBERS, with that QoS."""
    subscriber.publish("numbers/end", qos=qos)
    arrived = []
    while (topic := subscriber.wait_message().topic) != "numbers/end":
        arrived.append(int(topic.removeprefix("numbers/")))
    return arrived
