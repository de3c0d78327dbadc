# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control service costs the others: the same with and without 1,000
GetStatus calls a second and a stream of events whose reader never reads."""

from __future__ import annotations

from tools.bench_run.figures import Figure, Measurement, percentile
from tools.bench_run.latency_rows import SIP_RATE
from tools.bench_run.node import BURST, OURS, Module, Node, sink_flow
from tools.bench_run.programs import ControlLoad, SipAnswers, sip_load
from tools.bench_run.rows import Load, Row
from tools.harness.environment import Environment

_CALL_RATE = 1000
_REQUESTS = 1500
_STEADY_RATE = SIP_RATE * BURST
_WITHOUT = "without"
_WITH = "with it"


def _control(
    environment: Environment, module: Module, load: Load
) -> Measurement:
    node = Node(environment, module)
    values = _figures(node, load, _WITHOUT)
    control = environment.own(
        ControlLoad(node.kamailio.mqtt_control_socket, rate=_CALL_RATE)
    )
    # Until the stream has taken what it takes unread.
    node.publish(load.of(0.5))
    values |= _figures(node, load, _WITH)
    values["calls"] = control.finish()
    return values


def _figures(node: Node, load: Load, suffix: str) -> dict[str, float]:
    flow = node.publish(load.messages)
    answers = _sip_load(node, "publish")
    node.sink.reset()
    _sip_load(node, "burst")
    steady = sink_flow(node.sink, _REQUESTS * BURST)
    return {
        f"rate, {suffix}": flow.rate,
        f"dispatcher CPU, {suffix}": flow.dispatcher_microseconds,
        f"steady rate, {suffix}": steady.rate,
        f"answer p50, {suffix}": 1e3 * percentile(answers.answered, 0.5),
        f"answer p99, {suffix}": 1e3 * percentile(answers.answered, 0.99),
        f"lost, {suffix}": flow.lost + steady.lost,
    }


def _sip_load(node: Node, user: str) -> SipAnswers:
    return sip_load(
        node.kamailio.sip_port, user=user, count=_REQUESTS, rate=SIP_RATE
    )


ROWS = (
    Row(
        "control",
        f"{_CALL_RATE} GetStatus calls a second, and a stream that is never"
        " read",
        tuple(
            Figure(f"{name}, {suffix}", unit, more_is_better)
            for name, unit, more_is_better in (
                ("rate", "msg/s", True),
                ("dispatcher CPU", "us/msg", False),
                ("steady rate", f"msg/s of {_STEADY_RATE:,}", True),
                ("answer p50", "ms", False),
                ("answer p99", "ms", False),
                ("lost", "messages", False),
            )
            for suffix in (_WITHOUT, _WITH)
        )
        + (Figure("calls", "1/s", more_is_better=True),),
        _control,
        modules=(OURS,),
    ),
)
