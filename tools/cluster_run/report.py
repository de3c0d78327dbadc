# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run."""

from __future__ import annotations

from collections.abc import Iterator

from tools.cluster_run.accounts import Account
from tools.cluster_run.run import Result


def passed(result: Result) -> bool:
    """Nothing was lost, and every node had its part of the work as long as it
    lived."""
    return (
        not result.out.lost
        and not result.inbound.lost
        and all(result.published)
        and all(result.phases[0].handled)
        and all(
            count > 0
            for phase in result.phases
            for node, count in enumerate(phase.handled)
            if node != result.killed
        )
    )


def text(result: Result) -> str:
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    nodes = range(len(result.published))
    yield (
        f"{result.seconds:.0f} s, {len(nodes)} Kamailio nodes on"
        f" {len(nodes)} broker nodes"
    )
    yield ""
    yield "Messages to Kamailio, handled by each node"
    names = [f"kamailio {node + 1}" for node in nodes]
    yield f"  {'':25}" + "".join(f"{name:>18}" for name in names)
    for phase in result.phases:
        cells = [
            f"{phase.handled[node]:10} = {phase.share(node):3.0f} %"
            for node in nodes
        ]
        yield f"  {phase.name:25}" + "".join(f"{cell:>18}" for cell in cells)
    yield ""
    yield "Messages from SIP, accepted by each node"
    yield f"  {'':25}" + "".join(f"{count:18}" for count in result.published)
    yield (
        "  kamailio 1 had another broker"
        f" {result.failover_seconds:.1f} s after the kill of its own"
    )
    yield ""
    yield f"  {'':34}{'to Kamailio':>12}{'from SIP':>12}"
    for name, value in (
        ("acknowledged to the sender", lambda of: of.sent),
        ("received", lambda of: of.received),
        ("  of these twice", lambda of: len(of.twice)),
        ("kept by the cluster for the killed", lambda of: len(of.recovered)),
        ("held by the killed Kamailio", lambda of: len(of.held)),
        ("LOST", lambda of: len(of.lost)),
    ):
        yield (
            f"  {name:34}{value(result.inbound):12}{value(result.out):12}"
        )
    yield ""
    for name, of in (
        ("Messages to Kamailio", result.inbound),
        ("Messages from SIP", result.out),
    ):
        yield from _numbers(name, of)
    yield _verdict(result)


def _verdict(result: Result) -> str:
    if not passed(result):
        return "FAILED"
    died = len(result.inbound.held) + len(result.out.held)
    if died > 0:
        return f"Nothing was lost but {died} that died with their Kamailio."
    return "Nothing was lost."


def _numbers(name: str, of: Account) -> Iterator[str]:
    if of.lost:
        listed = ", ".join(map(str, sorted(of.lost)[:20]))
        yield f"{name} that were lost: {listed}"
