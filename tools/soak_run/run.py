# SPDX-License-Identifier: GPL-3.0-or-later
"""A soak run: faults in random order, each once in every round, with healthy
time between, and a look at the promises after each."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.harness.ending import FAILURES
from tools.harness.environment import Environment
from tools.harness.ledger import total
from tools.soak_run import promises
from tools.soak_run.faults import Fault
from tools.soak_run.figures import (
    HEALTHY,
    AnswerTimes,
    Growth,
    Period,
    answer_times,
    growths,
)
from tools.soak_run.monitor import Monitor, Sample, Sampler
from tools.soak_run.promises import Outcome
from tools.soak_run.scene import Scene

# Seconds of health between two faults. A connection that breaks within 10 s,
# time after time, makes Kamailio back off, which is to happen sometimes.
_HEALTHY_TIME = (7.0, 14.0)

# Seconds after a fault for what it has left in the network.
_SETTLING_TIME = 2.0

_PROGRESS_INTERVAL = 10.0  # Seconds.


@dataclass
class Result:
    """What a run has found."""

    seed: int
    sip_rate: int
    seconds: float = 0.0
    broken: str | None = None  # The promise that was, and how.
    logs: Path | None = None  # Kept where one was.
    outcome: Outcome = field(default_factory=Outcome)
    # The kinds of faults during which messages of QoS 2 came twice, and how
    # many: that needs a connection that breaks between PUBREL and PUBCOMP.
    exactly_once_twice: dict[str, int] = field(default_factory=dict)
    periods: list[Period] = field(default_factory=list)
    answer_times: list[AnswerTimes] = field(default_factory=list)
    # Empty where the run was too short to judge.
    growths: list[Growth] = field(default_factory=list)


class Run:
    def __init__(
        self,
        environment: Environment,
        *,
        minutes: int,
        seed: int,
        sip_rate: int,
        faults: Sequence[Fault],
    ) -> None:
        self._environment = environment
        self._start = time.monotonic()
        self._seconds = minutes * 60
        self._chance = random.Random(seed)
        self._faults = list(faults)
        self._result = Result(seed, sip_rate)
        self._now = "starting"  # What happens.
        self._fault_count = 0
        self._reported_at = 0.0
        # Of samples while nothing flowed, one list for each round.
        self._rounds: list[list[Sample]] = []
        self._scene = Scene(environment, seed=seed, sip_rate=sip_rate)
        self._sampler = Sampler(self._scene.kamailio)
        self._monitor = environment.own(
            Monitor(self._sampler, self._report_progress)
        )

    def run(self) -> Result:
        result = self._result
        try:
            self._run_faults()
            self._now = "the end"
            result.outcome = promises.check(self._scene)
            self._monitor.close()
            self._now = "stopping"
            promises.check_stop(self._scene)
        except FAILURES as error:
            result.broken = f"during: {self._now}\n{error}"
            result.logs = self._environment.keep_logs("mqtt_soak_")
        result.seconds = time.monotonic() - self._start
        result.answer_times = answer_times(
            self._scene.requests, result.periods
        )
        complete = [
            samples
            for samples in self._rounds
            if len(samples) == len(self._faults)
        ]
        if len(complete) >= 2:
            result.growths = growths(
                complete[0], complete[-1], self._monitor.samples
            )
        return result

    def _run_faults(self) -> None:
        self._scene.flow()
        self._pass_healthy_time()
        while True:
            self._rounds.append([])
            self._chance.shuffle(self._faults)
            for fault in self._faults:
                if self._elapsed() >= self._seconds:
                    return
                self._run_fault(fault)

    def _run_fault(self, fault: Fault) -> None:
        begin = time.monotonic()
        self._now = fault.name
        self._fault_count += 1
        seconds = self._chance.uniform(fault.shortest, fault.longest)
        own_chance = random.Random(self._chance.getrandbits(32))
        fault.happen(self._scene, seconds, own_chance)
        self._now = f"after: {fault.name}"
        time.sleep(_SETTLING_TIME)
        outcome = promises.check(self._scene)
        before = self._result.outcome.twice_in_all.get(2, 0)
        if (twice := outcome.twice_in_all[2] - before) > 0:
            by_kind = self._result.exactly_once_twice
            by_kind[fault.name] = by_kind.get(fault.name, 0) + twice
        self._result.outcome = outcome
        self._result.periods.append(
            Period(fault.name, begin, time.monotonic())
        )
        self._rounds[-1].append(self._sampler.sample())
        self._cut_log()
        self._scene.flow()
        self._pass_healthy_time()

    def _pass_healthy_time(self) -> None:
        begin = time.monotonic()
        self._now = HEALTHY
        time.sleep(self._chance.uniform(*_HEALTHY_TIME))
        self._result.periods.append(Period(HEALTHY, begin, time.monotonic()))

    def _cut_log(self) -> None:
        """Gives the space back that the part of the broker's log takes up
        which was read; the file keeps its size and the rest its place."""
        read = min(
            self._scene.delivered.position, self._scene.answers.position
        )
        subprocess.run(
            ["fallocate", "--punch-hole", "--length", str(read)]
            + [self._scene.broker.process.log_path],
            check=True,
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _report_progress(self, sample: Sample) -> None:
        if sample.at - self._reported_at < _PROGRESS_INTERVAL:
            return
        self._reported_at = sample.at
        counters = self._scene.ledger.read()
        print(
            f"{_clock(self._elapsed())} of {_clock(self._seconds)}"
            f"  seed {self._result.seed}"
            f"  faults {self._fault_count:3}"
            f"  accepted {total(counters, 'accepted'):7}"
            f"  queued {total(counters, 'queued'):5}"
            f"  dispatcher {sample.dispatcher.resident / (1 << 20):5.1f} MiB"
            f"  {self._now}",
            flush=True,
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:2}:{rest:02}"
