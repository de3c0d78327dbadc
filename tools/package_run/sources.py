# SPDX-License-Identifier: GPL-3.0-or-later
"""What git knows of the sources."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# https://reproducible-builds.org/specs/source-date-epoch/
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"


def epoch(workspace: Path) -> int:
    """The time of the newest commit, unless SOURCE_DATE_EPOCH says another,
    as it must where there is no git repository."""
    text = os.environ.get(EPOCH_VARIABLE)
    if text is None:
        if not _is_repository(workspace):
            raise ValueError(f"no git repository: set {EPOCH_VARIABLE}")
        text = _git(workspace, "log", "-1", "--format=%ct")
    if not text.strip().isdecimal():
        raise ValueError(f"{EPOCH_VARIABLE}={text!r} is no count of seconds")
    return int(text)


def changes(workspace: Path) -> list[str]:
    """Files that are not as the newest commit has them; none where there is no
    git repository."""
    if not _is_repository(workspace):
        return []
    return _git(workspace, "status", "--porcelain").splitlines()


def clone(workspace: Path, target: Path) -> None:
    """The newest commit, in another folder."""
    _git(workspace, "clone", "--quiet", str(workspace), str(target))


def _is_repository(workspace: Path) -> bool:
    return (workspace / ".git").exists()


def _git(workspace: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", workspace, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
