# SPDX-License-Identifier: GPL-3.0-or-later
"""A run: load, the kill of a Kamailio and of a broker, and the accounts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.cluster_run.accounts import Account, Phase, account
from tools.cluster_run.scene import NODES, Node, Scene
from tools.harness.environment import Environment
from tools.harness.waiting import DEADLINE, Timeout, wait_for

# By index. The broker is the one that the first Kamailio is connected to.
_KILLED_KAMAILIO = NODES - 1
_KILLED_BROKER = 0

# Seconds.
_PROGRESS_INTERVAL = 5.0
_QUIET_TIME = 3.0
_LONGEST_FAILOVER = 60.0


@dataclass
class Result:
    seconds: float
    failover_seconds: float  # Of the Kamailio whose broker was killed.
    phases: list[Phase]
    published: list[int]
    inbound: Account
    out: Account
    killed: int  # The Kamailio, by index.


class Run:
    """Everything is started when it is made."""

    def __init__(
        self, environment: Environment, *, rate: float, phase_seconds: float
    ) -> None:
        self._rate = rate
        self._phase_seconds = phase_seconds
        self._start = time.monotonic()
        self._phases: list[Phase] = []
        self._failover_seconds = 0.0
        self._scene = Scene(environment)

    def run(self) -> Result:
        scene = self._scene
        dead = scene.nodes[_KILLED_KAMAILIO]
        scene.flow(self._rate)
        self._pass_phase("all nodes")
        self._pass_phase(f"{dead.client_id} killed", dead.kill)
        self._pass_phase(
            f"{scene.brokers[_KILLED_BROKER].name} killed too",
            self._kill_broker,
        )
        self._say("the load stops")
        scene.pause()
        self._settle()
        return self._result(dead)

    def _kill_broker(self) -> None:
        """And waits until the Kamailio that had it has another one."""
        ledger = self._scene.nodes[_KILLED_BROKER].ledger
        connects = ledger["connects"]
        killed_at = time.monotonic()
        self._scene.brokers[_KILLED_BROKER].kill()
        ledger.wait(
            "another broker",
            lambda: ledger["connects"] > connects,
            deadline=_LONGEST_FAILOVER,
        )
        self._failover_seconds = time.monotonic() - killed_at

    def _pass_phase(
        self, name: str, event: Callable[[], None] = lambda: None
    ) -> None:
        """The time from an event on."""
        before = self._handled_by_each()
        event()
        end = time.monotonic() + self._phase_seconds
        while (left := end - time.monotonic()) > 0:
            self._say(name)
            time.sleep(min(left, _PROGRESS_INTERVAL))
        self._phases.append(
            Phase(
                name,
                [
                    now - then
                    for now, then in zip(self._handled_by_each(), before)
                ],
            )
        )

    def _handled_by_each(self) -> list[int]:
        return [len(set(node.handled())) for node in self._scene.nodes]

    def _settle(self) -> None:
        """Waits for what is on its way."""
        for node in self._scene.nodes:
            if node.alive:
                node.ledger.wait_delivered()
        seen = [-1]
        quiet_since = time.monotonic()

        def quiet() -> bool:
            nonlocal quiet_since
            now = len(self._scene.handled()) + len(self._scene.observed())
            if now != seen[-1]:
                seen.append(now)
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > _QUIET_TIME

        wait_for(quiet, "the last message", deadline=2 * DEADLINE)

    def _recovered(self, dead: Node) -> list[int]:
        client = self._scene.collect(dead)
        numbers = []
        while True:
            try:
                message = client.wait_message(deadline=_QUIET_TIME)
            except Timeout:
                return numbers
            numbers.append(int(message.payload))

    def _result(self, dead: Node) -> Result:
        scene = self._scene
        loads = scene.sip_loads
        unacknowledged = (
            set(loads[_KILLED_KAMAILIO].sent) - dead.recorder.out_acknowledged
        )
        return Result(
            seconds=time.monotonic() - self._start,
            failover_seconds=self._failover_seconds,
            phases=self._phases,
            published=[len(load.sent) for load in loads],
            inbound=account(
                scene.sent(),
                scene.handled(),
                held=dead.recorder.inbound_acknowledged,
                recovered=self._recovered(dead),
            ),
            out=account(
                scene.accepted(), scene.observed(), held=unacknowledged
            ),
            killed=_KILLED_KAMAILIO,
        )

    def _say(self, what: str) -> None:
        scene = self._scene
        print(
            f"{time.monotonic() - self._start:5.0f} s"
            f"  to Kamailio {len(scene.sent()):6},"
            f" handled {len(scene.handled()):6}"
            f"  from SIP {len(scene.accepted()):6},"
            f" observed {len(scene.observed()):6}  {what}",
            flush=True,
        )
