# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that leave nothing behind: no process, and no mount."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.harness.process import Process

# Seconds for a command, unless told otherwise: apt-get may have much to fetch.
DEADLINE = 1800.0


class CommandFailed(RuntimeError):
    """A command ended with another status than 0."""


def run_isolated(
    command: Sequence[str],
    log_path: Path,
    *,
    program: Sequence[str] | None = None,
    deadline: float = DEADLINE,
) -> str:
    """Runs a command in namespaces of its own; returns its output, which
    `log_path` gets while it runs. `program` is what to call it in an error."""
    process = Process(
        # --kill-child: the first process inside, and so all of them, die with
        # unshare, which is what Process ends.
        ["unshare", "--mount", "--ipc", "--pid", "--fork", "--kill-child"]
        + ["--mount-proc", *command],
        log_path,
        environment={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        status = process.wait(deadline=deadline)
    finally:
        process.close()
    if status != 0:
        raise CommandFailed(
            f"{shlex.join(program or command)}: exit status {status}\n"
            + process.log_tail()
        )
    return process.log()
