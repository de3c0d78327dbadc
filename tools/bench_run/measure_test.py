# SPDX-License-Identifier: GPL-3.0-or-later
"""The measurements themselves, with few messages: what arrives is counted, and
what is lost is not taken for speed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tools.bench_run import flow_rows, latency_rows, runner
from tools.bench_run.node import OURS, PUBLISH_MESSAGES, Node, sink_flow
from tools.bench_run.programs import BareMosquitto, SinkBroker, sip_load
from tools.bench_run.rows import LIMIT, Load, Rest, Row
from tools.harness.environment import Environment
from tools.harness.waiting import wait_for

_COUNT = 2000


@pytest.fixture(name="environment")
def _environment() -> Iterator[Environment]:
    with Environment() as environment:
        yield environment


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_everything_that_libmosquitto_publishes_is_counted(
    environment: Environment, qos: int
) -> None:
    sink = environment.own(SinkBroker())
    environment.own(
        BareMosquitto(sink.port, "publish", _COUNT, 200, qos, 16)
    ).wait()
    flow = sink_flow(sink, _COUNT)
    assert (flow.arrived, flow.lost) == (_COUNT, 0)
    assert sink.report().bytes == 200 * _COUNT


def test_messages_that_do_not_come_are_lost(environment: Environment) -> None:
    sink = environment.own(SinkBroker())
    environment.own(
        BareMosquitto(sink.port, "publish", _COUNT, 200, 1, 16)
    ).wait()
    assert sink_flow(sink, _COUNT + 5, patience=0.1).lost == 5


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_loop_publishes_all(environment: Environment, qos: int) -> None:
    flow = Node(environment, OURS).publish(_COUNT, qos=qos, workers=2)
    assert (flow.arrived, flow.lost) == (_COUNT, 0)
    assert flow.rate > 0
    assert flow.dispatcher_seconds > 0


def test_a_large_payload_is_doubled(environment: Environment) -> None:
    node = Node(environment, OURS)
    node.publish(3, size=1024, doubled=10)
    assert node.sink.report().bytes == 3 << 20


def test_messages_to_the_event_route_are_counted(
    environment: Environment,
) -> None:
    node = Node(environment, OURS, mark=500, filters=3)
    flow = node.receive(_COUNT, topics=3)
    assert (flow.arrived, flow.lost) == (_COUNT, 0)


def test_messages_that_the_event_route_does_not_count_are_lost(
    environment: Environment,
) -> None:
    node = Node(environment, OURS, mark=1, event_route=PUBLISH_MESSAGES)
    assert node.receive(1).lost == 1


def test_a_message_carries_its_time(environment: Environment) -> None:
    node = Node(environment, OURS)
    begin = time.monotonic()
    answers = sip_load(
        node.kamailio.sip_port, user="publish", count=100, rate=1000
    )
    node.sink.collect(100)
    longest = time.monotonic() - begin
    assert len(answers.answered) == 100
    latencies = node.sink.latencies()
    assert len(latencies) == 100
    assert all(0 < each < longest for each in latencies)
    assert all(0 < each < longest for each in answers.answered)


def test_requests_that_nobody_answers(environment: Environment) -> None:
    sink = environment.own(SinkBroker())  # It has no UDP port.
    answers = sip_load(
        sink.port, user="publish", count=3, rate=1000, patience=1
    )
    assert answers.times == [None, None, None]
    assert answers.answered_before(time.monotonic()) == 0


def test_a_sink_that_is_shut_takes_no_connection(
    environment: Environment,
) -> None:
    node = Node(environment, OURS)
    node.sink.shut()
    wait_for(
        lambda: node.sink.report().subscribed == 0, "the connection to end"
    )
    node.sink.open()
    node.sink.wait_subscribed(1, deadline=30)


def test_a_frozen_sink_reads_nothing(environment: Environment) -> None:
    node = Node(environment, OURS)
    node.sink.reset()
    node.sink.freeze()
    assert node.answer_time(node.loop(10, user="attempt")) is not None
    assert node.sink.report().count == 0
    node.sink.thaw()
    assert node.sink.collect(10).count == 10


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in (*flow_rows.ROWS, *latency_rows.ROWS)
        if row.name in ("receive", "call", "drain", "echo")
    ],
    ids=lambda row: row.name,
)
def test_a_row_measures_all_its_figures(row: Row) -> None:
    lines: list[str] = []
    results = runner.run(
        [row], runs=1, load=Load(_COUNT, outage=0.1), report=lines.append
    )
    assert results.failures == []
    assert len(lines) == len(row.subjects)
    (result,) = results.rows
    for figure in row.figures:
        assert len(result.values(OURS.name, figure.name)) == 1
    if row.limit is not None:
        assert result.values(LIMIT, "lost") == [0]


def test_runs_that_wait_wait_together() -> None:
    events: list[str] = []

    def begin(*_: object) -> Rest:
        events.append("begun")

        def rest() -> dict[str, float]:
            events.append("ended")
            return {"one": 1.0}

        return rest

    row = Row("one", "one", (), begin=begin, modules=(OURS,))
    results = runner.run([row], runs=2, load=Load(1), report=lambda _: None)
    assert events == ["begun", "begun", "ended", "ended"]
    assert results.rows[0].values(OURS.name, "one") == [1.0, 1.0]


@pytest.mark.parametrize("kind", [AssertionError, FileNotFoundError])
def test_a_measurement_that_fails_is_told(kind: type[Exception]) -> None:
    def fail(*_: object) -> dict[str, float]:
        raise kind("it ended")

    row = Row("one", "one", (), fail, modules=(OURS,))
    results = runner.run([row], runs=2, load=Load(1), report=lambda _: None)
    assert results.failures == ["one, ours: it ended"] * 2
