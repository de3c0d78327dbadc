# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of throughput: how many messages pass, and what one costs."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from functools import partial

from tools.bench_run.figures import NEVER, Figure, Measurement
from tools.bench_run.node import PAYLOAD_SIZE, Flow, Module, Node, sink_flow
from tools.bench_run.programs import BareMosquitto, SinkBroker
from tools.bench_run.rows import Load, Rest, Row
from tools.harness.environment import Environment
from tools.harness.waiting import DEADLINE

_RATE = Figure("rate", "msg/s", more_is_better=True)
_LOST = Figure("lost", "messages")
# Of the dispatcher, or all that the bare library takes.
_DISPATCHER = Figure("dispatcher CPU", "us/msg")
_CALL = Figure("call", "us")
_CALL_CPU = Figure("worker CPU", "us")

# Messages that libmosquitto has in flight where it is the limit: as many as
# this module has of QoS 1 and 2, and all of QoS 0.
_WINDOWS = (1 << 30, 256, 16)

_CALLS = 10000  # In a loop: no queue is full then.
_CALL_ROUNDS = 10


def _flow(flow: Flow) -> Measurement:
    return {
        _RATE.name: flow.rate,
        _LOST.name: flow.lost,
        _DISPATCHER.name: flow.dispatcher_microseconds,
    }


def _publish(
    environment: Environment,
    module: Module,
    load: Load,
    *,
    share: float = 1.0,
    qos: int = 0,
    workers: int = 1,
) -> Measurement:
    node = Node(environment, module)
    return _flow(node.publish(load.of(share), qos=qos, workers=workers))


def _bare_publish(
    environment: Environment,
    load: Load,
    *,
    share: float = 1.0,
    qos: int = 0,
) -> Measurement:
    count = load.of(share)
    sink = environment.own(SinkBroker())
    publisher = environment.own(
        BareMosquitto(
            sink.port, "publish", count, PAYLOAD_SIZE, qos, _WINDOWS[qos]
        )
    )
    used = publisher.wait()
    return _flow(replace(sink_flow(sink, count), dispatcher_seconds=used))


def _call(
    environment: Environment, module: Module, _: Load
) -> Measurement:
    node = Node(environment, module, workers=1)
    times: dict[str, list[float]] = {"empty": [], "loop0": []}
    used: dict[str, list[float]] = {"empty": [], "loop0": []}
    for _ in range(_CALL_ROUNDS):
        for user in times:
            node.sink.reset()
            before = node.worker_time()
            time_taken = node.answer_time(node.loop(_CALLS, user=user))
            used[user].append(node.worker_time() - before)
            times[user].append(NEVER if time_taken is None else time_taken)
            if user == "loop0":
                node.sink.collect(_CALLS)

    def per_call(values: dict[str, list[float]]) -> float:
        without, with_it = map(statistics.median, values.values())
        return 1e6 * (with_it - without) / _CALLS

    return {_CALL.name: per_call(times), _CALL_CPU.name: per_call(used)}


def _receive(
    environment: Environment, module: Module, load: Load
) -> Measurement:
    return _flow(Node(environment, module).receive(load.of(0.5)))


def _bare_receive(environment: Environment, load: Load) -> Measurement:
    count = load.of(0.5)
    sink = environment.own(SinkBroker())
    receiver = environment.own(BareMosquitto(sink.port, "receive", count))
    sink.wait_subscribed(1, deadline=DEADLINE)
    begin = time.monotonic()
    sink.send(count, size=PAYLOAD_SIZE)
    used = receiver.wait()
    return _flow(Flow(count, count, time.monotonic() - begin, used))


def _begin_outage(
    environment: Environment, module: Module, load: Load
) -> Rest:
    node = Node(environment, module)
    count = min(load.of(0.15), 90000)  # The queue takes 100,000.
    node.sink.shut()
    over = time.monotonic() + load.outage
    # The module has to notice before the loop begins: how soon it does is not
    # what is measured, and neither says when.
    time.sleep(0.2)
    node.sink.reset()
    node.answer_time(node.loop(count, user="loop1"))

    def drain() -> Measurement:
        time.sleep(max(0.0, over - time.monotonic()))
        node.sink.open()
        node.sink.wait_subscribed(1, deadline=2 * DEADLINE)
        return _flow(sink_flow(node.sink, count, patience=2.0))

    return drain


def _publish_row(name: str, title: str, *, share: float, qos: int) -> Row:
    return Row(
        name,
        title,
        (_RATE, _LOST, _DISPATCHER),
        partial(_publish, share=share, qos=qos),
        partial(_bare_publish, share=share, qos=qos),
    )


ROWS = (
    _publish_row(
        "publish", "publish, one script loop, 200 B, QoS 0", share=1, qos=0
    ),
    Row(
        "publish-two-workers",
        "publish, two workers",
        (_RATE, _LOST, _DISPATCHER),
        partial(_publish, workers=2),
    ),
    Row(
        "call",
        "one mqtt_publish call: loop with it minus loop without",
        (_CALL, _CALL_CPU),
        _call,
    ),
    Row(
        "receive",
        "receive into event_route[mqtt:message]",
        (_RATE, _LOST, _DISPATCHER),
        _receive,
        _bare_receive,
    ),
    _publish_row("qos1", "publish, QoS 1", share=0.3, qos=1),
    _publish_row("qos2", "publish, QoS 2", share=0.1, qos=2),
    Row(
        "drain",
        "drain after an outage, QoS 1",
        (_RATE, _LOST),
        begin=_begin_outage,
        limit=partial(_bare_publish, share=0.15, qos=1),
    ),
)
