# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run, for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence

from tools.harness.ledger import EVERY_QOS, total
from tools.soak_run.figures import HEALTHY, AnswerTimes, Growth
from tools.soak_run.run import Result


def passed(result: Result) -> bool:
    """Whether every promise was kept. Answer times are told, not judged: they
    depend on what else the machine does."""
    flat = all(growth.is_flat for growth in result.growths)
    return result.broken is None and flat


def text(result: Result) -> str:
    return "\n".join(_lines(result))


def as_json(result: Result) -> str:
    document = dataclasses.asdict(result) | {"passed": passed(result)}
    return json.dumps(document, indent=2, default=str) + "\n"


def _lines(result: Result) -> Iterator[str]:
    counters = result.outcome.counters
    faults = [one for one in result.periods if one.kind != HEALTHY]
    yield (
        f"{result.seconds / 60:.1f} minutes, seed {result.seed}, "
        f"{result.sip_rate} SIP requests a second, {len(faults)} faults"
    )
    if counters:
        yield from _messages(result)
    if result.answer_times:
        yield from _answer_times(result.answer_times)
    yield from _growths(result.growths)
    yield ""
    if result.broken is not None:
        yield f"BROKEN {result.broken}"
        yield f"The logs are in {result.logs}."
    yield "Every promise was kept." if passed(result) else "FAILED"


def _messages(result: Result) -> Iterator[str]:
    outcome, counters = result.outcome, result.outcome.counters
    yield ""
    yield "Messages from SIP requests"
    yield (
        f"  {'QoS':>3} {'accepted':>9} {'delivered':>9} {'lost':>6}"
        f" {'possibly lost':>13} {'twice':>6}"
        "  of these, in one life of the broker"
    )
    for qos in EVERY_QOS:
        yield (
            f"  {qos:3} {outcome.accepted[qos]:9} {outcome.delivered[qos]:9}"
            f" {outcome.lost[qos]:6} {counters[f'possibly_lost_qos{qos}']:13}"
            f" {outcome.twice_in_all[qos]:6} {outcome.twice[qos]:7}"
        )
    for kind, twice in result.exactly_once_twice.items():
        yield f"  QoS 2 twice during {kind}: {twice}"
    yield f"  refused, queue full: {outcome.refused}"
    yield (
        f"Messages to Kamailio: {total(counters, 'received')} received, "
        f"{total(counters, 'inbound_dropped')} dropped"
    )
    yield (
        f"Connections: {counters['connects']} made, "
        f"{counters['disconnects']} lost, "
        f"{counters['connect_failures']} attempts failed"
    )


def _answer_times(times: Sequence[AnswerTimes]) -> Iterator[str]:
    healthy = times[0]
    yield ""
    yield "Answer times of SIP requests, in milliseconds"
    yield (
        f"  {'':21} {'times':>5} {'requests':>8} {'median':>7} {'99 %':>7}"
        f" {'99.9 %':>7} {'longest':>8}  99.9 % within twice healthy + 1"
    )
    for one in times:
        yield (
            f"  {one.kind:21} {one.periods:5} {one.requests:8}"
            f" {1e3 * one.median:7.2f} {1e3 * one.percentile_99:7.2f}"
            f" {1e3 * one.percentile_99_9:7.2f} {1e3 * one.longest:8.2f}"
            f"  {'yes' if one.is_within(healthy) else 'NO'}"
        )


def _growths(growths: Sequence[Growth]) -> Iterator[str]:
    yield ""
    yield "Memory in KiB, and descriptors, at quiet moments"
    if not growths:
        yield "  not judged: that takes two whole rounds of faults"
        return
    yield (
        f"  {'':23} {'first round':>11} {'last round':>10} {'peak':>8}  flat"
    )
    for growth in growths:
        unit = 1 if "descriptors" in growth.name else 1024
        yield (
            f"  {growth.name:23} {growth.warm // unit:11}"
            f" {growth.end // unit:10} {growth.peak // unit:8}"
            f"  {'yes' if growth.is_flat else 'NO'}"
        )
