# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends what a killed run has left behind.

Reads lines from standard input: "+PID" registers a session, "-PID" takes it
back. At the end of input, when the run is over, however that came, it ends the
sessions that are still registered.
"""

from __future__ import annotations

import signal
import sys

from tools.harness.process import kill_session


def main() -> None:
    # An interrupt in the terminal is the run's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sessions: set[int] = set()
    for line in sys.stdin:
        session = int(line[1:])
        if line[0] == "+":
            sessions.add(session)
        else:
            sessions.discard(session)
    for session in sessions:
        kill_session(session)


if __name__ == "__main__":
    main()
