# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs rows, each with its subjects in turn, so that what else the machine does
meets all of them alike."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench_run.figures import Measurement
from tools.bench_run.rows import Load, Row
from tools.harness.ending import FAILURES
from tools.harness.environment import Environment


@dataclass
class RowResult:
    row: Row
    # By subject, a measurement of each run that did not fail.
    measurements: dict[str, list[Measurement]]
    failures: list[str] = field(default_factory=list)

    def values(self, subject: str, figure: str) -> list[float]:
        return [
            measurement[figure]
            for measurement in self.measurements.get(subject, [])
            if figure in measurement
        ]


@dataclass
class Results:
    machine: str
    runs: int
    load: Load
    seconds: float = 0.0
    rows: list[RowResult] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        return [text for result in self.rows for text in result.failures]


def run(
    rows: Sequence[Row],
    *,
    runs: int,
    load: Load,
    report: Callable[[str], None],
) -> Results:
    """`report` gets a line for each measurement."""
    results = Results(_machine(), runs, load)
    count = runs * sum(len(row.subjects) for row in rows)
    begin = time.monotonic()
    done = itertools.count(1)

    def tell(row: Row, what: str) -> None:
        clock = int(time.monotonic() - begin)
        report(
            f"{clock // 60:2}:{clock % 60:02}  {next(done):3} of {count}"
            f"  {row.name}, {what}"
        )

    for row in rows:
        result = RowResult(row, {subject: [] for subject in row.subjects})
        results.rows.append(result)
        turns = list(_turns(row.subjects, runs))
        for batch in [turns] if row.waits_together else [[t] for t in turns]:
            with contextlib.ExitStack() as environments:
                begun = []
                for number, subject in batch:
                    tell(row, f"run {number}, {subject}")
                    with _failures(result, subject, report):
                        environment = Environment()
                        environments.enter_context(environment)
                        rest = row.begin_run(environment, subject, load)
                        begun.append((subject, rest))
                for subject, rest in begun:
                    with _failures(result, subject, report):
                        result.measurements[subject].append(rest())
    results.seconds = time.monotonic() - begin
    return results


@contextlib.contextmanager
def _failures(
    result: RowResult, subject: str, report: Callable[[str], None]
) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        result.failures.append(f"{result.row.name}, {subject}: {error}")
        report(f"       failed: {error}")


def _turns(subjects: Sequence[str], runs: int) -> Iterator[tuple[int, str]]:
    """Each run begins with another subject."""
    for number in range(runs):
        first = number % len(subjects)
        for subject in (*subjects[first:], *subjects[:first]):
            yield number + 1, subject


def _machine() -> str:
    information = Path("/proc/cpuinfo").read_text()
    model = next(
        (
            line.partition(":")[2].strip()
            for line in information.splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    version = subprocess.run(
        ["kamailio", "-v"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.split()[2]
    return (
        f"{model}, {len(os.sched_getaffinity(0))} processors, "
        f"Linux {platform.release()}, Kamailio {version}"
    )
