# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbered messages from SIP requests through a Kamailio to a broker, counted
at both ends, and the ledger in between that must account for each of them."""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tools.harness.broker import Broker
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration, Parameter
from tools.harness.mqtt_client import MqttClient
from tools.harness.sip import SipResponse
from tools.harness.waiting import wait_for

CLIENT_ID = "kamailio"

EVERY_QOS = (0, 1, 2)

# Results of mqtt_publish.
ACCEPTED = 1
QUEUE_FULL = -2

# Publishes the body of the request, with the number of the request in the topic
# and the user part as QoS, and answers with the result.
PUBLISH_NUMBER = """
    $var(qos) = $(rU{s.int});
    mqtt_publish("numbers/$cs", "$rb", "$var(qos)");
    sl_send_reply("200", "$rc");
    exit;"""

NUMBERS = "numbers/#"


class Listening(Protocol):
    """Anything that takes the place of a broker."""

    host: str
    port: int


def start_kamailio(
    environment: Environment,
    broker: Listening,
    *,
    children: int = 2,
    routes: str = "",
    modules: tuple[str, ...] = (),
    variables: dict[str, str] | None = None,
    **parameters: Parameter,
) -> Kamailio:
    """A Kamailio that runs, and publishes a number for every request.

    It tries again after a second. `variables` are those of its environment.
    """
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={
                "host": broker.host,
                "port": broker.port,
                "id": CLIENT_ID,
                "reconnect_delay": 1,
            }
            | parameters,
            children=children,
            modules=modules,
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
    start = time.monotonic()
    assert kamailio.stop() == 0
    assert time.monotonic() - start < drain_timeout + 3


class Flow:
    """Calls a function `rate` times a second, and keeps what it returns."""

    def __init__(self, rate: int, send: Callable[[], str]) -> None:
        self.calls: list[str] = []
        self._rate = rate
        self._send = send
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait(self, count: int) -> None:
        """Waits until `count` more requests are sent."""
        target = len(self.calls) + count
        wait_for(lambda: len(self.calls) >= target, f"{count} requests")

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        while not self._over.is_set():
            due = int((time.monotonic() - start) * self._rate)
            while len(self.calls) < due:
                self.calls.append(self._send())
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
            rate,
            lambda: self._sip.send("MESSAGE", user=next(users), body=b"x"),
        )
        try:
            yield flow
        finally:
            flow.stop()
        self._record([self._sip.response(one) for one in flow.calls])

    def accepted(self, qos: int | None = None) -> list[int]:
        """The numbers that mqtt_publish has accepted."""
        return self._numbers(ACCEPTED, qos)

    def refused(self) -> list[int]:
        """The numbers that found the queue full."""
        return self._numbers(QUEUE_FULL, None)

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


class Ledger:
    """The statistics of a Kamailio's module."""

    _DROPPED = (
        "dropped_ttl",
        "dropped_oldest",
        "dropped_invalid",
        "dropped_shutdown",
    )

    def __init__(self, kamailio: Kamailio) -> None:
        self._kamailio = kamailio

    def read(self) -> dict[str, int]:
        answer = self._kamailio.rpc("stats.get_statistics", "mqtt:")
        return {
            name: int(value)
            for name, value in re.findall(r"mqtt:(\w+) = (-?\d+)", answer)
        }

    def __getitem__(self, name: str) -> int:
        """A counter, or the sum of those by QoS."""
        counters = self.read()
        if name in counters:
            return counters[name]
        return sum(counters[f"{name}_qos{qos}"] for qos in EVERY_QOS)

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Waits for a condition, which compares counters."""
        self._kamailio.process.wait_until(condition, what)

    def wait_connected(self) -> None:
        self.wait("a connection", lambda: self["connected"] == 1)

    def wait_not_reached(self, attempts: int = 1) -> None:
        self.wait(
            f"{attempts} failed attempts to connect",
            lambda: self["connect_failures"] >= attempts,
        )

    def wait_delivered(self) -> None:
        self.wait("an empty queue", lambda: self["queued"] == 0)

    def check(self, traffic: Traffic) -> dict[str, int]:
        """Asserts that every message is accounted for, once the counters are
        at rest; returns them."""
        counters = self._at_rest()
        for qos in EVERY_QOS:
            of_qos = {
                name.removesuffix(f"_qos{qos}"): value
                for name, value in counters.items()
                if name.endswith(f"_qos{qos}")
            }
            confirmed, other = "acknowledged", "written"
            if qos == 0:
                confirmed, other = other, confirmed
            assert of_qos["accepted"] == len(traffic.accepted(qos)), of_qos
            assert of_qos["accepted"] == (
                of_qos[confirmed]
                + of_qos["queued"]
                + sum(of_qos[name] for name in self._DROPPED)
                + of_qos["possibly_lost"]
            ), of_qos
            assert of_qos[other] == 0
        assert counters["refused_queue_full"] == len(traffic.refused())
        assert counters["torn"] == 0
        return counters

    def _at_rest(self) -> dict[str, int]:
        """The counters, once two looks in a row see the same."""
        looks = [self.read()]

        def same() -> bool:
            looks.append(self.read())
            return looks[-1] == looks[-2]

        wait_for(same, "the counters to rest")
        return looks[-1]


class Delivered:
    """The numbers that a mosquitto has taken over from the Kamailio, in order,
    for each of its lives; its log has them, which survives its death.

    Of QoS 2, these are the ones that were released (PUBREL).
    """

    _LINE = re.compile(
        r" mosquitto version \S+ (?P<start>starting)$"
        rf"|New client connected \S+ \S+ as {CLIENT_ID} \(p2, c(?P<clean>\d)"
        rf"|Received PUBLISH from {CLIENT_ID} "
        r"\(d\d, q(?P<qos>\d), r\d, m(?P<id>\d+), 'numbers/(?P<number>\d+)'"
        rf"|Received PUBREL from {CLIENT_ID} \(Mid: (?P<released>\d+)\)",
        re.MULTILINE,
    )

    def __init__(self, broker: Broker) -> None:
        self.lives: list[list[int]] = []
        unreleased: dict[str, int] = {}
        log = broker.process.log_path.read_text(errors="replace")
        for match in self._LINE.finditer(log):
            if match["start"]:
                self.lives.append([])
            if match["start"] or match["clean"] == "1":
                unreleased.clear()
            elif match["released"] in unreleased:
                self.lives[-1].append(unreleased.pop(match["released"]))
            elif match["qos"] == "2":
                unreleased[match["id"]] = int(match["number"])
            elif match["qos"]:
                self.lives[-1].append(int(match["number"]))

    @property
    def numbers(self) -> list[int]:
        return list(itertools.chain.from_iterable(self.lives))


def arrived_until_now(subscriber: MqttClient) -> list[int]:
    """Takes the numbers of all that the broker has delivered so far to a
    client that subscribes to NUMBERS."""
    subscriber.publish("numbers/end")
    arrived = []
    while (topic := subscriber.wait_message().topic) != "numbers/end":
        arrived.append(int(topic.removeprefix("numbers/")))
    return arrived


def duplicates(numbers: Iterable[int]) -> set[int]:
    """Those that are there more than once."""
    counts = collections.Counter(numbers)
    return {number for number, count in counts.items() if count > 1}


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process has in use, without what it shares."""
    status = Path("/proc", str(pid), "status").read_text()
    match = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    stat = Path("/proc", str(pid), "stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
