# SPDX-License-Identifier: GPL-3.0-or-later
"""How the run of a tool ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType
from typing import NoReturn

# What is raised where an expectation fails, or a program that was started: it
# is a result of the run, and not the end of the tool.
FAILURES = (
    AssertionError,
    OSError,
    ValueError,
    subprocess.SubprocessError,
)

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


def end_on_signals() -> None:
    """From now on Ctrl-C and SIGTERM end the run, with what it has started and
    its folders, and exit status 128 + number. A second signal changes
    nothing."""
    for number in _NUMBERS:
        signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> NoReturn:
    for each in _NUMBERS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
