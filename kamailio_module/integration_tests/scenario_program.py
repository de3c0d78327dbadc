# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/scenario as a program, and the runs of it that a page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tools.harness.waiting import DEADLINE

WORKSPACE = Path(__file__).absolute().parents[2]


@dataclass(frozen=True)
class DocumentedRun:
    """A command of a page, and what it prints."""

    arguments: list[str]
    report: str


def documented_runs(page: Path) -> list[DocumentedRun]:
    """Every run of tools/scenario that the page shows."""
    blocks = re.findall(r"```console\n\$ (.*)\n([^`]*)```", page.read_text())
    runs = []
    for command, report in blocks:
        words = shlex.split(command.replace("$PWD", str(WORKSPACE)))
        assert words[0] == "tools/scenario"
        runs.append(DocumentedRun(words[1:], report))
    return runs


def without_times(report: str) -> str:
    return re.sub(r"  [0-9.]+ s$", "", report, flags=re.MULTILINE)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status and the output."""
    output, _ = process.communicate(timeout=4 * DEADLINE)
    return process.returncode, output


@dataclass(frozen=True)
class ScenarioRuns:
    """Runs of tools/scenario, without the build that it begins with; close()
    ends them."""

    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.scenario_run", *map(str, arguments)],
            cwd=WORKSPACE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def check(self, documented: list[DocumentedRun]) -> None:
        """Runs them all at once: they must pass, and print what the page
        shows."""
        running = [(self.start(*run.arguments), run) for run in documented]
        for process, run in running:
            status, output = finish(process)
            assert status == 0, output
            assert without_times(output) == without_times(run.report)

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()
