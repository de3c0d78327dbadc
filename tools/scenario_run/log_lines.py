# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a log that grows."""

from __future__ import annotations

from pathlib import Path


class LogLines:
    """Reads each line once, when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def new(self) -> list[str]:
        """The lines that have come since the last call."""
        with self._path.open("rb") as log:
            log.seek(self._position)
            complete = log.read().rpartition(b"\n")
        self._position += len(complete[0]) + len(complete[1])
        text = complete[0].decode(errors="replace")
        return text.split("\n") if complete[1] else []
