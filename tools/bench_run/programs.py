# SPDX-License-Identifier: GPL-3.0-or-later
"""The C++ programs of a run; each one's source says what it does."""

from __future__ import annotations

import json
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.harness.module_under_test import built_trees
from tools.harness.ports import free_port
from tools.harness.process import give_way
from tools.harness.waiting import DEADLINE, wait_for

_FOLDER = Path("tools/bench_run")

# Seconds without any message after which the rest counts as lost.
PATIENCE = 3.0


def _built(name: str) -> Path:
    for tree in built_trees():
        # The workspace has sources of these names and no programs.
        if (program := tree / _FOLDER / name).is_file():
            return program
    raise AssertionError(f"build //{_FOLDER}:{name} first")


class _Server:
    """A program that runs until the end of its standard input, which comes at
    the latest with the end of this process."""

    def __init__(self, name: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [_built(name), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def finish(self) -> str:
        """Ends it and returns what it printed last."""
        output, _ = self._process.communicate(timeout=DEADLINE)
        return output

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Received:
    """PUBLISH packets; times are time.monotonic_ns()."""

    count: int
    bytes: int
    first: int
    last: int
    subscribed: int  # Filters, of clients that are connected.


class SinkBroker:
    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._server = _Server("sink_broker", self.port)
        self.report()  # It listens.

    def close(self) -> None:
        self._server.close()

    def report(self) -> Received:
        return Received(**self._server.ask("report"))

    def latencies(self) -> list[float]:
        """In seconds."""
        return [1e-9 * each for each in self._server.ask("latencies")]

    def reset(self) -> None:
        self._server.ask("reset")

    def freeze(self) -> None:
        self._server.ask("freeze")

    def thaw(self) -> None:
        self._server.ask("thaw")

    def shut(self) -> None:
        """Takes no connections until open() is called."""
        self._server.ask("close")

    def open(self) -> None:
        self._server.ask("open")

    def send(
        self,
        count: int,
        *,
        size: int = 200,
        rate: int = 0,
        topic: str = "in",
        topics: int = 1,
    ) -> None:
        """Begins to send; the first topic is `topic`/0."""
        self._server.ask(f"send {topic} {topics} {count} {size} {rate}")

    def send_more(self, count: int) -> None:
        """So many more of the same."""
        self._server.ask(f"more {count}")

    def wait_subscribed(self, filters: int, *, deadline: float) -> None:
        wait_for(
            lambda: self.report().subscribed >= filters,
            f"{filters} subscriptions",
            deadline=deadline,
        )

    def collect(self, count: int, *, patience: float = PATIENCE) -> Received:
        """Waits until so many have come, or until none has come for `patience`
        seconds."""
        progress_at, known = time.monotonic(), -1
        while (report := self.report()).count < count:
            if report.count > known:
                progress_at, known = time.monotonic(), report.count
            elif time.monotonic() - progress_at > patience:
                break
            time.sleep(0.005)
        return report


@dataclass(frozen=True)
class SipAnswers:
    """In seconds: when each request was sent, by time.monotonic(), and how long
    its answer took; None where there was none."""

    sent_at: list[float]
    times: list[float | None]

    def answered_before(self, at: float) -> int:
        """How many were answered by then."""
        return sum(
            time is not None and sent + time < at
            for sent, time in zip(self.sent_at, self.times)
        )

    @property
    def answered(self) -> list[float]:
        return [each for each in self.times if each is not None]


def sip_load(
    port: int,
    *,
    user: str,
    count: int,
    rate: int,
    size: int = 200,
    patience: int = 3,
) -> SipAnswers:
    output = subprocess.run(
        [_built("sip_load"), str(port), user]
        + [str(each) for each in (count, rate, size, patience)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=count / rate + patience + DEADLINE,
    ).stdout
    times = json.loads(output)
    return SipAnswers(
        [1e-9 * sent for sent in times["sent"]],
        [
            1e-9 * (answered - sent) if answered else None
            for sent, answered in zip(times["sent"], times["answered"])
        ],
    )


class BareMosquitto:
    """libmosquitto alone; see the program for the arguments."""

    def __init__(self, port: int, *arguments: object) -> None:
        self._used = _processor_time_of_ended()
        self._process = subprocess.Popen(
            [_built("bare_mosquitto"), str(port), *map(str, arguments)]
        )

    def wait(self) -> float:
        """Waits for the end, and returns the seconds of processor time."""
        exit_code = self._process.wait(10 * DEADLINE)
        assert exit_code == 0, f"bare_mosquitto ended with {exit_code}"
        return _processor_time_of_ended() - self._used

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def _processor_time_of_ended() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class ControlLoad:
    """Gives way: what a client takes itself is not what is measured."""

    def __init__(self, socket: Path, *, rate: int) -> None:
        self._server = _Server("control_load", socket, rate)
        give_way(self._server.pid)

    def finish(self) -> float:
        """Returns the calls a second that were answered."""
        result = json.loads(self._server.finish())
        assert result["failed"] == 0, result
        return result["calls"] / result["seconds"]

    def close(self) -> None:
        self._server.close()
