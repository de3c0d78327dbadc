# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost as the work grows: how the figures change with the number of
subscriptions, workers and queued messages, and with the size of messages."""

from __future__ import annotations

from tools.bench_run.figures import NEVER, Figure, Measurement
from tools.bench_run.node import (
    OURS,
    PAYLOAD_SIZE,
    Module,
    Node,
    sink_flow,
)
from tools.bench_run.rows import Load, Row
from tools.harness.environment import Environment
from tools.harness.waiting import DEADLINE

_SUBSCRIPTIONS = (10, 100, 1000, 10000)
_WORKERS = (1, 2, 4, 8)
# Name, bytes, and how often these are doubled.
_SIZES = (
    ("10 B", 10, 0),
    ("100 B", 100, 0),
    ("1 KiB", 1024, 0),
    ("16 KiB", 1024, 4),
    ("128 KiB", 1024, 7),
    ("1 MiB", 1024, 10),
)
_MAX_BYTES = 200 << 20  # Of all messages of a size.
_CALLS = 1000
# With the calls, the last is all that the queue takes.
_QUEUED = (1, 100, 1000, 10000, 100000 - _CALLS)
_DRAINED = _QUEUED[-2:]  # Fewer are too few for a rate.
_CONTENT_SIZE = len("bench/out") + PAYLOAD_SIZE
_GROWTH_MESSAGES = 10_000_000


def _subscriptions(
    environment: Environment, module: Module, load: Load
) -> Measurement:
    values: dict[str, float] = {}
    for filters in _SUBSCRIPTIONS:
        node = Node(environment, module, filters=filters)
        values[f"publish, {filters}"] = node.publish(load.of(0.5)).rate
        values[f"receive, {filters}"] = node.receive(
            load.of(0.3), topics=filters
        ).rate
        node.kamailio.close()
    return values


def _workers(
    environment: Environment, module: Module, load: Load
) -> Measurement:
    values: dict[str, float] = {}
    for workers in _WORKERS:
        node = Node(environment, module, workers=workers)
        flow = node.publish(load.messages, workers=workers)
        values[f"publish, {workers}"] = flow.rate
        node.kamailio.close()
    return values


def _sizes(
    environment: Environment, module: Module, load: Load
) -> Measurement:
    values: dict[str, float] = {}
    for name, size, doubled in _SIZES:
        whole_size = size << doubled
        count = min(load.of(0.3), _MAX_BYTES // whole_size)
        mark = min(1000, count // 20)
        node = Node(environment, module, mark=mark)
        flow = node.publish(count, size=size, doubled=doubled)
        values[f"publish, {name}"] = flow.rate
        values[f"receive, {name}"] = node.receive(count, size=whole_size).rate
        node.kamailio.close()
    return values


def _queued(environment: Environment, module: Module, _: Load) -> Measurement:
    values: dict[str, float] = {}
    for queued in _QUEUED:
        node = Node(environment, module, workers=1)
        node.sink.shut()
        before = node.dispatcher_memory()
        node.answer_time(node.loop(queued))
        memory = node.dispatcher_memory() - before
        taken = node.answer_time(node.loop(_CALLS))
        values[f"call, {queued}"] = (
            NEVER if taken is None else 1e6 * taken / _CALLS
        )
        if queued in _DRAINED:
            node.sink.reset()
            node.sink.open()
            node.sink.wait_subscribed(1, deadline=DEADLINE)
            flow = sink_flow(node.sink, queued + _CALLS)
            values[f"drain, {queued}"] = flow.rate
        node.kamailio.close()
    # Of the most that were queued.
    values["memory"] = memory / queued - _CONTENT_SIZE
    return values


def _growth(environment: Environment, module: Module, _: Load) -> Measurement:
    node = Node(environment, module)
    node.publish(_GROWTH_MESSAGES // 10)
    before = node.dispatcher_memory()
    flow = node.publish(_GROWTH_MESSAGES)
    grown = (node.dispatcher_memory() - before) / 1024
    return {"growth": grown, "lost": flow.lost}


def _rates(names: list[str]) -> tuple[Figure, ...]:
    return tuple(Figure(name, "msg/s", more_is_better=True) for name in names)


ROWS = (
    Row(
        "scaling-subscriptions",
        "subscriptions",
        _rates(
            [f"publish, {filters}" for filters in _SUBSCRIPTIONS]
            + [f"receive, {filters}" for filters in _SUBSCRIPTIONS]
        ),
        _subscriptions,
        modules=(OURS,),
    ),
    Row(
        "scaling-workers",
        "workers that publish",
        _rates([f"publish, {workers}" for workers in _WORKERS]),
        _workers,
        modules=(OURS,),
    ),
    Row(
        "scaling-size",
        "size of the payload",
        _rates(
            [f"publish, {name}" for name, _, _ in _SIZES]
            + [f"receive, {name}" for name, _, _ in _SIZES]
        ),
        _sizes,
        modules=(OURS,),
    ),
    Row(
        "scaling-queued",
        "messages that wait for the broker",
        tuple(Figure(f"call, {queued}", "us") for queued in _QUEUED)
        + _rates([f"drain, {queued}" for queued in _DRAINED])
        + (Figure("memory", "B/msg beyond content"),),
        _queued,
        modules=(OURS,),
    ),
    Row(
        "scaling-growth",
        f"memory over {_GROWTH_MESSAGES:,} messages",
        (Figure("growth", "KiB"), Figure("lost", "messages")),
        _growth,
        modules=(OURS,),
    ),
)
