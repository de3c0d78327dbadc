# SPDX-License-Identifier: GPL-3.0-or-later
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.harness.process import Process, session_members, suspend
from tools.harness.waiting import wait_for


def _shell(script: str, directory: Path) -> Process:
    return Process(["sh", "-c", script], directory / "log")


def test_the_log_has_both_streams(tmp_path: Path) -> None:
    process = _shell("echo out; echo err >&2; exit 3", tmp_path)
    assert process.wait() == 3
    assert process.log() == "out\nerr\n"
    process.close()


def test_a_restart_continues_the_file_and_has_its_own_log(
    tmp_path: Path,
) -> None:
    for word in ("first", "second"):
        process = _shell(f"echo {word}", tmp_path)
        process.wait()
        assert process.log() == f"{word}\n"
        process.close()
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_waiting_for_a_log_line_fails_at_once_when_it_ends(
    tmp_path: Path,
) -> None:
    process = _shell("echo something; exit 1", tmp_path)
    with pytest.raises(AssertionError, match="ended before 'else' in the log"):
        process.wait_for_log("else")
    process.close()


def test_one_that_gives_way_has_the_lowest_priority(tmp_path: Path) -> None:
    process = Process(["sleep", "1000"], tmp_path / "log", gives_way=True)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
    autogroup = Path(f"/proc/{process.pid}/autogroup")
    assert not autogroup.exists() or "nice 19" in autogroup.read_text()
    process.close()


def test_stop_gives_the_exit_code_of_the_handler(tmp_path: Path) -> None:
    process = _shell(
        "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done",
        tmp_path,
    )
    process.wait_for_log("ready")
    assert process.stop() == 5
    process.close()


def test_stop_reaches_a_stopped_process(tmp_path: Path) -> None:
    process = _shell("echo ready; exec sleep 1000", tmp_path)
    process.wait_for_log("ready")
    process.signal(signal.SIGSTOP)
    assert process.stop() == -signal.SIGTERM
    process.close()


def test_suspended_process_does_nothing(tmp_path: Path) -> None:
    process = _shell("while :; do echo runs; sleep 0.01; done", tmp_path)
    process.wait_for_log("runs")
    suspend(process.pid)
    log = process.log()
    assert process.log() == log
    process.signal(signal.SIGCONT)
    process.wait_until(lambda: process.log() != log, "it runs again")
    process.close()


def test_close_ends_descendants_that_outlived_their_parent(
    tmp_path: Path,
) -> None:
    process = _shell("sleep 1000 & sleep 1000 & echo started", tmp_path)
    process.wait()
    assert len(session_members(process.pid)) == 2
    process.close()
    assert session_members(process.pid) == []


def test_nothing_outlives_a_killed_run(tmp_path: Path) -> None:
    program = (
        "import pathlib, signal\n"
        "from tools.harness.process import Process\n"
        "process = Process(['sh', '-c', 'sleep 1000 & sleep 1000'],"
        f" pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "print(process.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    ) as run:
        assert run.stdout is not None
        session = int(run.stdout.readline())
        wait_for(lambda: len(session_members(session)) == 3, "both children")
        run.kill()
    wait_for(lambda: not session_members(session), "the watchdog")


def test_an_interrupt_at_a_start_leaves_nothing_running(
    tmp_path: Path,
) -> None:
    # The signal comes when the program runs and Process() has not returned.
    program = (
        "import os, pathlib, signal, subprocess\n"
        "from tools.harness.process import Process\n"
        "popen = subprocess.Popen\n"
        "def interrupted(arguments, **options):\n"
        "    process = popen(arguments, **options)\n"
        "    if arguments[0] == 'sleep':\n"
        "        print(process.pid, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return process\n"
        "subprocess.Popen = interrupted\n"
        f"Process(['sleep', '1000'], pathlib.Path({str(tmp_path / 'log')!r}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert run.stderr.endswith(b"KeyboardInterrupt\n")
    session = int(run.stdout)
    wait_for(lambda: not session_members(session), "the watchdog")
