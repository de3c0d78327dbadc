# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run as other users."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.harness.process import program_environment
from tools.harness.waiting import DEADLINE


@dataclass(frozen=True)
class Account:
    """A user by its numbers, which need not have names: the user, its group,
    and further groups that it is in."""

    user: int
    group: int
    groups: tuple[int, ...] = ()

    def wrapper(self) -> list[str]:
        """A command that runs the command of its last arguments as that user.
        Only root may."""
        groups = ",".join(map(str, self.groups))
        return [
            "setpriv",
            f"--reuid={self.user}",
            f"--regid={self.group}",
            f"--groups={groups}" if groups else "--clear-groups",
        ]

    def run(
        self, command: Sequence[str | Path]
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end, with what sudo allows."""
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        return subprocess.run(
            [*sudo, *self.wrapper(), *command],
            capture_output=True,
            env=program_environment(),
            text=True,
            timeout=2 * DEADLINE,
        )
