# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of time: how long a message or an answer takes, what holds it up, and
what a module costs that has nothing to do."""

from __future__ import annotations

import statistics
import time
from functools import partial

from tools.bench_run.figures import (
    NEVER,
    Figure,
    Measurement,
    latencies,
    latency_figures,
    percentile,
)
from tools.bench_run.node import (
    PUBLISH_MESSAGES,
    STALL,
    STALL_SECONDS,
    Module,
    Node,
)
from tools.bench_run.programs import SipAnswers, sip_load
from tools.bench_run.rows import Load, Rest, Row
from tools.harness.environment import Environment

SIP_RATE = 500  # Requests a second.
_DELIVERY_REQUESTS = 5000

# Messages a second and in all: each alone, and many.
_ECHOES_ALONE = (2, 16)
_ECHOES = (200, 1000)

_STALL_REQUESTS = 2000

_FROZEN_CALLS = 1000  # In a request.
# The queue takes 100,000 messages, and what TCP buffers goes beyond that.
_FROZEN_REQUESTS = 250
_FROZEN_FULL = 200  # Then it is full.
_FROZEN_PATIENCE = 2.0  # Seconds.

_IDLE_SECONDS = 10.0

_LOST = Figure("lost", "messages")


def _delivery(
    environment: Environment, module: Module, _: Load
) -> Measurement:
    node = Node(environment, module)
    node.sink.reset()
    sip_load(
        node.kamailio.sip_port,
        user="publish",
        count=_DELIVERY_REQUESTS,
        rate=SIP_RATE,
    )
    arrived = node.sink.collect(_DELIVERY_REQUESTS).count
    return {
        **latencies(node.sink.latencies()),
        _LOST.name: _DELIVERY_REQUESTS - arrived,
    }


def _echo(
    environment: Environment,
    module: Module,
    _: Load,
    *,
    echoes: tuple[int, int],
) -> Measurement:
    rate, count = echoes
    node = Node(environment, module, event_route=PUBLISH_MESSAGES)
    node.sink.reset()
    node.sink.send(count, rate=rate)
    arrived = node.sink.collect(count).count
    return {
        **latencies(node.sink.latencies()),
        _LOST.name: count - arrived,
    }


def _stall(environment: Environment, module: Module, _: Load) -> Measurement:
    node = Node(environment, module, event_route=STALL)
    node.sink.reset()

    def load() -> SipAnswers:
        return sip_load(
            node.kamailio.sip_port,
            user="publish",
            count=_STALL_REQUESTS,
            rate=SIP_RATE,
            patience=STALL_SECONDS,
        )

    without = load()
    node.sink.collect(_STALL_REQUESTS)
    node.sink.send(1)
    node.kamailio.wait_for_log("STALLED")
    over = time.monotonic() + STALL_SECONDS
    during = load()
    arrived = node.sink.collect(2 * _STALL_REQUESTS).count
    return {
        "p99 without": 1e3 * percentile(without.answered, 0.99),
        "p99": 1e3 * percentile(during.answered, 0.99),
        "in the stall": during.answered_before(over),
        "never": _STALL_REQUESTS - len(during.answered),
        _LOST.name: 2 * _STALL_REQUESTS - arrived,
    }


def _frozen(environment: Environment, module: Module, _: Load) -> Measurement:
    node = Node(environment, module, workers=1)

    def answer_time() -> float | None:
        call = node.loop(_FROZEN_CALLS, user="attempt")
        return node.answer_time(call, deadline=_FROZEN_PATIENCE)

    healthy = []
    for _ in range(20):
        node.sink.reset()
        healthy.append(answer_time() or NEVER)
        node.sink.collect(_FROZEN_CALLS)
    node.sink.freeze()
    times: list[float] = []
    memory = []
    for _ in range(_FROZEN_REQUESTS):
        if (taken := answer_time()) is None:
            break
        times.append(taken)
        memory.append(node.dispatcher_memory())
    complete = len(times) == _FROZEN_REQUESTS
    return {
        "call, healthy": 1e6 * statistics.median(healthy) / _FROZEN_CALLS,
        "call, frozen": (
            1e6 * statistics.median(times) / _FROZEN_CALLS
            if complete
            else NEVER
        ),
        "answered": len(times),
        "growth once full": (
            (memory[-1] - memory[_FROZEN_FULL]) / 1024 if complete else NEVER
        ),
    }


def _begin_idle(environment: Environment, module: Module, _: Load) -> Rest:
    node = Node(environment, module)
    time.sleep(1)  # The start is over.
    before, begin = node.dispatcher_wakeups(), time.monotonic()

    def count_wakeups() -> Measurement:
        time.sleep(max(0.0, begin + _IDLE_SECONDS - time.monotonic()))
        wakeups = node.dispatcher_wakeups() - before
        return {"wake-ups": wakeups / (time.monotonic() - begin)}

    return count_wakeups


ROWS = (
    Row(
        "delivery",
        f"SIP request to MQTT delivery, {SIP_RATE}/s",
        (*latency_figures(), _LOST),
        _delivery,
    ),
    *(
        Row(
            name,
            "message in, publish from the event route, message out,"
            f" {echoes[0]}/s",
            (*latency_figures(), _LOST),
            partial(_echo, echoes=echoes),
        )
        for name, echoes in (
            ("echo", _ECHOES_ALONE),
            ("echo-many", _ECHOES),
        )
    ),
    Row(
        "stall",
        f"{STALL_SECONDS} s event route while {_STALL_REQUESTS} SIP requests"
        " publish",
        (
            Figure("p99 without", "ms"),
            Figure("p99", "ms"),
            Figure("in the stall", "answers", more_is_better=True),
            Figure("never", "answers"),
            _LOST,
        ),
        _stall,
    ),
    Row(
        "frozen",
        "publish with the broker frozen",
        (
            Figure("call, healthy", "us"),
            Figure("call, frozen", "us"),
            Figure("answered", "requests", more_is_better=True),
            Figure("growth once full", "KiB"),
        ),
        _frozen,
    ),
    Row(
        "idle",
        "idle dispatcher",
        (Figure("wake-ups", "1/s"),),
        begin=_begin_idle,
    ),
)
