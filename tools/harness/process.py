# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes that never outlive the run.

Every process is the leader of a session of its own, so that it and all its
descendants can be found and ended together. A watchdog process does that
where the run itself is killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.harness.waiting import DEADLINE, wait_for

_LOG_TAIL_LINES = 40


def program_environment(
    additions: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of started programs: this one's, and additions."""
    # Debian has daemons in /usr/sbin, which is not on everybody's PATH.
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return os.environ | {"PATH": path} | dict(additions or {})


def session_members(session: int) -> list[int]:
    """The process ids of the session whose leader is, or was, `session`."""
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text(errors="replace")
        except OSError:
            continue  # It ended meanwhile.
        # The command name is in parentheses and may contain anything.
        state, _, _, member_of = stat.rpartition(")")[2].split()[:4]
        if int(member_of) == session and state not in "ZX":
            members.append(int(entry))
    return members


def _status(pid: int, name: str) -> int:
    """A number from /proc/PID/status."""
    status = Path("/proc", str(pid), "status").read_text()
    match = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert match is not None
    return int(match[1])


def resident_memory(pid: int) -> int:
    """Bytes of memory that a process has in use, without what it shares."""
    return _status(pid, "RssAnon") * 1024


def peak_memory(pid: int) -> int:
    """Bytes of memory that a process has had in use at most, all in all."""
    return _status(pid, "VmHWM") * 1024


def has_slept(pid: int) -> bool:
    """Whether a process has come so far that it waited for something."""
    return _status(pid, "voluntary_ctxt_switches") > 0


def suspend(pid: int) -> None:
    """SIGSTOP; returns when none of its threads runs any more."""

    def stands_still() -> bool:
        stats = Path("/proc", str(pid), "task").glob("*/stat")
        return all(
            stat.read_text().rpartition(")")[2].split()[0] == "T"
            for stat in stats
        )

    os.kill(pid, signal.SIGSTOP)
    wait_for(stands_still, f"process {pid} to stand still")


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    stat = Path("/proc", str(pid), "stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def kill_session(session: int) -> None:
    """Ends every process of a session that this run started."""

    def gone() -> bool:
        members = session_members(session)
        for pid in members:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not members

    wait_for(gone, f"the processes of session {session} to end")


class _Watchdog:
    """Ends the registered sessions when this process dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def _tell(self, line: str) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tools.harness.watchdog"],
                stdin=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,
            )
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(line.encode())
        pipe.flush()

    def register(self, session: int) -> None:
        self._tell(f"+{session}\n")

    def unregister(self, session: int) -> None:
        self._tell(f"-{session}\n")


_watchdog = _Watchdog()


class _SignalsLater(contextlib.AbstractContextManager[None]):
    """Signals that end a run take effect after the block: what it starts is
    known to the watchdog by then."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __enter__(self) -> None:
        self._arrived: list[int] = []
        self._handlers: dict[int, Any] = {}
        # Python runs handlers in its main thread, and only there.
        if threading.current_thread() is threading.main_thread():
            for number in self._NUMBERS:
                self._handlers[number] = signal.signal(
                    number, lambda number, _: self._arrived.append(number)
                )

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for number in self._arrived:
            os.kill(os.getpid(), number)


def give_way(session: int) -> None:
    """Lets the program that leads this session give all others the processor
    first. On kernels with autogroups a niceness counts within its session only,
    and a session has its own."""
    lowest = 19  # See nice(2).
    os.setpriority(os.PRIO_PROCESS, session, lowest)
    with contextlib.suppress(FileNotFoundError):
        Path(f"/proc/{session}/autogroup").write_text(str(lowest))


class Process:
    """A started program whose standard output and error go to a log file.

    The log is appended to, so a restarted program continues it. One that
    `gives_way` leaves the processor to the others: it stands for another
    machine.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        log_path: Path,
        *,
        environment: Mapping[str, str] | None = None,
        gives_way: bool = False,
    ) -> None:
        self.name = Path(arguments[0]).name
        self.log_path = log_path
        with log_path.open("ab") as log, _SignalsLater():
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=program_environment(environment),
                start_new_session=True,
            )
            _watchdog.register(self.pid)
        if gives_way:
            give_way(self.pid)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal ended it."""
        return self._popen.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def log(self) -> str:
        """What this process has written."""
        with self.log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def log_tail(self) -> str:
        lines = self.log().splitlines()[-_LOG_TAIL_LINES:]
        state = "runs" if self.running else f"ended with {self.exit_code}"
        return "\n".join([f"{self.name} ({state}), end of its log:", *lines])

    def wait_until(
        self,
        condition: Callable[[], bool],
        what: str,
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """Waits for a condition that this process, running, fulfils."""

        def fulfilled() -> bool:
            if condition():
                return True
            if not self.running:
                raise AssertionError(
                    f"{self.name} ended before {what}\n{self.log_tail()}"
                )
            return False

        wait_for(fulfilled, what, deadline=deadline, details=self.log_tail)

    def wait_for_log(self, text: str, *, deadline: float = DEADLINE) -> None:
        self.wait_until(
            lambda: text in self.log(),
            f"{text!r} in the log of {self.name}",
            deadline=deadline,
        )

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def wait(self, *, deadline: float = DEADLINE) -> int:
        """Waits for the end and returns the exit code."""
        wait_for(
            lambda: not self.running,
            f"the end of {self.name}",
            deadline=deadline,
            details=self.log_tail,
        )
        return self._popen.returncode

    def stop(self, *, deadline: float = DEADLINE) -> int:
        """SIGTERM, and the exit code of the clean end that follows."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        return self.wait(deadline=deadline)

    def close(self) -> None:
        """Ends it and all its descendants at once, where they still run."""
        kill_session(self.pid)
        self._popen.wait()
        _watchdog.unregister(self.pid)
