# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kamailio with one of the modules, connected to a sink broker. Its
configuration is the same for each module."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tools.bench_run.programs import PATIENCE, SinkBroker
from tools.harness.environment import Environment
from tools.harness.kamailio import KamailioConfiguration
from tools.harness.module_under_test import module_under_test
from tools.harness.process import resident_memory
from tools.harness.waiting import DEADLINE, Timeout

PAYLOAD_SIZE = 200
STALL_SECONDS = 5


@dataclass(frozen=True)
class Module:
    name: str
    path: Callable[[], Path]


OURS = Module("ours", module_under_test)
STOCK = Module(
    "stock",
    lambda: Path("/usr/lib/x86_64-linux-gnu/kamailio/modules/mqtt.so"),
)

# Messages of a request for "burst".
BURST = 200

# A request for "publish" publishes its body, one for "burst" many times.
_PUBLISH = f"""
    if ($rU == "publish") {{
        mqtt_publish("bench/out", "$rb", 0);
        return;
    }}
    if ($rU == "burst") {{
        $var(i) = 0;
        while ($var(i) < {BURST}) {{
            mqtt_publish("bench/out", "$rb", 0);
            $var(i) = $var(i) + 1;
        }}
        return;
    }}"""

# One for "loop" publishes as often as its header says, with a payload that is
# the body, doubled so many times, and tries again what is refused: nothing is
# lost where the script can help it. "attempt" is the same without trying again,
# "empty" without the call.
_LOOP_ROUTE = """
    $var(payload) = $rb;
    $var(i) = 0;
    while ($var(i) < $(hdr(X-Doubled){s.int})) {
        $var(payload) = $var(payload) + $var(payload);
        $var(i) = $var(i) + 1;
    }
    $var(count) = $(hdr(X-Count){s.int});
    $var(i) = 0;
    switch ($rU) {
        case "empty":
            while ($var(i) < $var(count)) {
                $var(i) = $var(i) + 1;
            }
        break;
        case "attempt":
            while ($var(i) < $var(count)) {
                mqtt_publish("bench/out", "$var(payload)", 0);
                $var(i) = $var(i) + 1;
            }
        break;"""

_LOOP_CASE = """
        case "loop{qos}":
            while ($var(i) < $var(count)) {{
                if (mqtt_publish("bench/out", "$var(payload)", {qos})) {{
                    $var(i) = $var(i) + 1;
                }} else {{
                    usleep("1000");
                }}
            }}
        break;"""

_SUBSCRIBE = """
event_route[mqtt:connected] {{
    $var(i) = 0;
    while ($var(i) < {filters}) {{
        mqtt_subscribe("in/$var(i)", 0);
        $var(i) = $var(i) + 1;
    }}
}}
"""

# Says in the log how many have come, now and then.
_COUNT_MESSAGES = """
event_route[mqtt:message] {{
    $var(received) = $var(received) + 1;
    if ($var(received) mod {mark} == 0) {{
        xlog("L_NOTICE", "RECEIVED $var(received).\\n");
    }}
}}
"""
_RECEIVED = re.compile(r"RECEIVED (\d+)\.")
_LONGEST_MARK = 30  # Characters.

_SLEEPS = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)

PUBLISH_MESSAGES = """
event_route[mqtt:message] {
    mqtt_publish("bench/out", "$mqtt(msg)", 0);
}
"""

STALL = f"""
event_route[mqtt:message] {{
    xlog("L_NOTICE", "STALLED\\n");
    sleep("{STALL_SECONDS}");
}}
"""


@dataclass(frozen=True)
class Flow:
    """Messages that went one way."""

    count: int  # Of those that were to come.
    arrived: int
    seconds: float  # From the first to the last.
    dispatcher_seconds: float = 0.0  # Of processor time.

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.arrived / self.seconds if self.seconds > 0 else 0.0

    @property
    def lost(self) -> int:
        return self.count - self.arrived

    @property
    def dispatcher_microseconds(self) -> float:
        """Processor time for each message."""
        return 1e6 * self.dispatcher_seconds / max(self.arrived, 1)


def _of_threads(pid: int, name: str) -> Iterator[str]:
    """/proc/PID/task/*/`name`; threads may end meanwhile."""
    for task in Path("/proc", str(pid), "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield (task / name).read_text()


def _processor_time(pid: int) -> float:
    # /proc/PID/stat counts in hundredths of a second.
    return sum(
        1e-9 * int(text.split()[0]) for text in _of_threads(pid, "schedstat")
    )


def sink_flow(
    sink: SinkBroker, count: int, *, patience: float = PATIENCE
) -> Flow:
    """What comes to a sink that was reset."""
    received = sink.collect(count, patience=patience)
    seconds = 1e-9 * (received.last - received.first)
    return Flow(count, received.count, seconds)


class Node:
    """Started, connected and subscribed to `filters` topics, "in/0", "in/1"
    and so on. The event route for messages is one of those above; without one,
    messages are counted."""

    def __init__(
        self,
        environment: Environment,
        module: Module,
        *,
        event_route: str | None = None,
        workers: int = 2,
        filters: int = 1,
        mark: int = 1000,
    ) -> None:
        self._mark = mark
        self.sink = environment.own(SinkBroker())
        loops = "".join(_LOOP_CASE.format(qos=qos) for qos in range(3))
        routes = event_route or _COUNT_MESSAGES.format(mark=mark)
        self.kamailio = environment.kamailio(
            KamailioConfiguration(
                parameters={
                    "host": self.sink.host,
                    "port": self.sink.port,
                    "id": "bench",
                },
                modules=("cfgutils",),
                global_parameters="max_while_loops=100000000",
                request_route=f"{_PUBLISH}{_LOOP_ROUTE}{loops}\n    }}",
                routes=_SUBSCRIBE.format(filters=filters) + routes,
                children=workers,
            ),
            module=module.path(),
            memory=(256, 64),
        )
        self.kamailio.start()
        self.sink.wait_subscribed(filters, deadline=2 * DEADLINE)
        self._sip = environment.sip_client(self.kamailio)
        self._dispatcher = self.kamailio.dispatcher_pid()
        self._workers = [
            pid
            for pid, name in self.kamailio.processes().items()
            if "udp receiver" in name
        ]

    def dispatcher_memory(self) -> int:
        """Bytes."""
        return resident_memory(self._dispatcher)

    def dispatcher_time(self) -> float:
        """Seconds of processor time, of all its threads."""
        return _processor_time(self._dispatcher)

    def worker_time(self) -> float:
        """The same of all SIP workers."""
        return sum(map(_processor_time, self._workers))

    def dispatcher_wakeups(self) -> int:
        """How often its threads have slept so far."""
        wakeups = 0
        for status in _of_threads(self._dispatcher, "status"):
            match = _SLEEPS.search(status)
            assert match is not None
            wakeups += int(match[1])
        return wakeups

    def loop(
        self,
        count: int,
        *,
        user: str = "loop0",
        size: int = PAYLOAD_SIZE,
        doubled: int = 0,
    ) -> str:
        """Sends a request for a loop, and returns its Call-ID."""
        return self._sip.send(
            "MESSAGE",
            user=user,
            headers={"X-Count": str(count), "X-Doubled": str(doubled)},
            body=b"x" * size,
        )

    def answer_time(
        self, call_id: str, *, deadline: float = 4 * DEADLINE
    ) -> float | None:
        """Seconds; None where it is not answered within `deadline`."""
        try:
            return self._sip.response(call_id, deadline=deadline).latency
        except Timeout:
            return None

    def publish(
        self,
        count: int,
        *,
        qos: int = 0,
        workers: int = 1,
        size: int = PAYLOAD_SIZE,
        doubled: int = 0,
    ) -> Flow:
        """Loops on so many workers, until everything has arrived."""
        each = count // workers
        self.sink.reset()
        used = self.dispatcher_time()
        for _ in range(workers):
            self.loop(each, user=f"loop{qos}", size=size, doubled=doubled)
        flow = sink_flow(self.sink, each * workers)
        return replace(
            flow, dispatcher_seconds=self.dispatcher_time() - used
        )

    def receive(
        self, count: int, *, size: int = PAYLOAD_SIZE, topics: int = 1
    ) -> Flow:
        """Messages to the event route that counts them, as fast as it takes
        them: never more under way than fit into the queue of the module that
        has one. Only the first time."""
        window = min(8 * self._mark, (32 << 20) // size)
        count -= count % self._mark
        sent = min(window, count)
        received = 0
        used = self.dispatcher_time()
        begin = progress_at = time.monotonic()
        with self.kamailio.process.log_path.open() as log:
            self.sink.send(sent, size=size, topics=topics)
            text = ""
            while received < count:
                text = text[-_LONGEST_MARK:] + log.read()
                marks = _RECEIVED.findall(text)
                now = time.monotonic()
                if marks and int(marks[-1]) > received:
                    received, progress_at = int(marks[-1]), now
                elif now - progress_at > PATIENCE:
                    break
                if (more := min(received + window, count) - sent) > 0:
                    self.sink.send_more(more)
                    sent += more
                time.sleep(0.002)
        return Flow(
            count,
            received,
            progress_at - begin,
            self.dispatcher_time() - used,
        )
