# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as its user sees it, with a program in Kamailio's place that can
fail in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools.harness.process import session_members
from tools.harness.waiting import DEADLINE, wait_for

PASSING = """
steps:
  - expect_connection: connected
  - inject: {topic: commands/a, payload: hello, qos: 1}
  - expect_message: {topic: commands/a, origin: injected}
  - expect_publish: {topic: answers, payload: hello, outcome: acknowledged}
  - expect_no_publish: {within: 50ms}
  - expect_log: "runs: commands/a$"
  - expect_subscription: {topic_filter: commands/1, qos: 1}
  - expect_subscription: {topic_filter: other, state: absent}
  - reconnect: abrupt
  - expect_event: {kind: disconnected, reason_matches: "^asked"}
  - expect_event: {kind: connected, in_order: true}
"""

WITH_BROKER = """
broker: private
steps:
  - publish: {topic: a, payload_json: [1], qos: 1}
  - expect_delivered: {topic_filter: +, payload_json: [1], qos: 1}
  - broker: stop
  - broker: start
  - publish: {topic: a, payload_base64: AP8=, qos: 0}
  - expect_delivered: {topic: a, payload_base64: AP8=, in_order: true}
  - broker: freeze
  - broker: resume
  - publish: {topic: b, qos: 2, retain: true}
  - expect_delivered: {topic: b, payload: "", qos: 2}
"""


class Command:
    """tools/scenario in a directory of its own, where "kamailio" is
    fake_kamailio.py."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: list[subprocess.Popen[str]] = []
        program = directory / "bin/kamailio"
        program.parent.mkdir()
        program.write_text(
            f"#!/bin/sh\nexec {sys.executable} "
            '-m tools.scenario_run.fake_kamailio "$@"\n'
        )
        program.chmod(0o755)
        (directory / "mqtt.so").touch()

    def start(
        self, scenario: str, *options: str, configuration: str = ""
    ) -> subprocess.Popen[str]:
        (self.directory / "fake.cfg").write_text(configuration)
        (self.directory / "test.yaml").write_text(scenario)
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        python_path = os.pathsep.join(sys.path)
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.scenario_run"]
            + ["--config", "fake.cfg", "--module", "mqtt.so"]
            + [*options, "test.yaml"],
            cwd=self.directory,
            env=os.environ | {"PATH": path, "PYTHONPATH": python_path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._processes.append(process)
        return process

    def run(
        self, scenario: str, *options: str, configuration: str = ""
    ) -> tuple[int, str]:
        """The exit status and the output."""
        process = self.start(scenario, *options, configuration=configuration)
        output, _ = process.communicate(timeout=2 * DEADLINE)
        return process.returncode, output

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture(name="command")
def _command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path)
    yield command
    command.close()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in found.split()]


@pytest.mark.parametrize("scenario", [PASSING, WITH_BROKER])
def test_all_steps_pass(command: Command, scenario: str) -> None:
    status, output = command.run(scenario, "--junit", "report.xml")
    assert status == 0, output
    assert "1 passed, 0 failed" in output
    assert "FAILED" not in output
    suite = ElementTree.parse(command.directory / "report.xml").find("*")
    assert suite is not None
    assert suite.attrib["failures"] == "0"
    # Each step, and the start and the stop of Kamailio.
    assert int(suite.attrib["tests"]) == scenario.count("  - ") + 2


@pytest.mark.parametrize(
    ("step", "expected", "instead"),
    [
        (
            "expect_publish: {topic: other, within: 50ms}",
            "publish: topic other, accepted, within 0.05 s",
            "publish, topic answers, payload 'hello', QoS 0, accepted",
        ),
        (
            "expect_no_publish: {topic: answers}",
            "no publish: topic answers",
            "publish, topic answers, payload 'hello', QoS 0, accepted",
        ),
        (
            "expect_message: {qos: 2, within: 50ms}",
            "message: QoS 2, within 0.05 s",
            "message, topic a, payload 'hello', QoS 0, origin injected",
        ),
        (
            "expect_event: {kind: connected, within: 50ms}",
            "event: connected, within 0.05 s",
            "nothing that an earlier step has not taken",
        ),
        (
            "expect_log: {matches: missing, within: 50ms}",
            "log line that matches missing, within 0.05 s",
            "no such line",
        ),
        (
            "expect_connection: {state: waiting, within: 50ms}",
            "connection state waiting, within 0.05 s",
            "connected",
        ),
        (
            "expect_subscription: {topic_filter: commands/0, qos: 2, "
            "within: 50ms}",
            "subscription: commands/0, QoS 2, active, within 0.05 s",
            "QoS 1, active",
        ),
        (
            "expect_subscription: {topic_filter: other, within: 50ms}",
            "subscription: other, active, within 0.05 s",
            "absent",
        ),
        ("inject: {topic: b, expect_result: failed}", "result failed", "done"),
        (
            "control_publish: {topic: b}",
            "outcome accepted",
            "RESOURCE_EXHAUSTED: the queue is full",
        ),
        (
            "sip: {method: OPTIONS, expect_status: 200, within: 50ms}",
            "status 200",
            "no final response within 0.05 s",
        ),
    ],
)
def test_a_step_fails(
    command: Command, step: str, expected: str, instead: str
) -> None:
    status, output = command.run(
        "steps:\n"
        "  - inject: {topic: a, payload: hello}\n"
        f"  - {step}\n"
        "  - expect_log: never reached\n"
    )
    assert status == 1
    assert (
        f"        expected: {expected}\n        instead:  {instead}\n" in output
    )
    assert "\nnot run steps[2] expect_log: never reached\n" in output
    assert "end of its log:\n        the event route runs: a\n" in output
    assert "0 passed, 1 failed" in output


@pytest.mark.parametrize(
    ("configuration", "status", "text"),
    [
        ("refuse", 2, "CRITICAL: parse error in config file"),
        ("die", 1, "instead:  it ended with exit code 3"),
        ("lose", 1, "7 were lost: more came than this program can read"),
        ("stuck", 1, "instead:  exit code 1"),
    ],
)
def test_kamailio_fails(
    command: Command, configuration: str, status: int, text: str
) -> None:
    result = command.run(PASSING, configuration=configuration)
    assert result[0] == status
    assert text in result[1]


def test_a_wrong_scenario_starts_nothing(command: Command) -> None:
    status, output = command.run(
        "steps: [inject: {topic: a, qos: 3}]", "--junit", "report.xml"
    )
    assert status == 2
    assert output == (
        "test.yaml: steps[0].inject.qos: 3: must be 0, 1 or 2\n"
    )
    assert not (command.directory / "report.xml").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--config", "absent.cfg"], "absent.cfg: there is no such file"),
        (["--module", "absent.so"], "absent.so: there is no such file"),
        (["--define", "A"], "A: must be NAME=VALUE"),
        (["--junit", "absent/x.xml"], "absent/x.xml: is not a place for a fi"),
        (["--broker", "public"], "invalid choice: 'public'"),
        (["absent.yaml"], "absent.yaml: [Errno 2] No such file"),
    ],
)
def test_wrong_use(command: Command, options: list[str], text: str) -> None:
    status, output = command.run(PASSING, *options)
    assert status == 2
    assert text in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(
    command: Command, number: signal.Signals
) -> None:
    process = command.start(
        "broker: private\nsteps:\n"
        "  - inject: {topic: a}\n"
        "  - expect_log: {matches: never, within: 10m}\n"
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("ok      steps[0]"):
        assert process.poll() is None
    # The broker, Kamailio and the watchdog.
    started = children(process.pid)
    assert len(started) == 3
    process.send_signal(number)
    assert process.wait(DEADLINE) == 128 + number
    wait_for(
        lambda: not any(map(session_members, started)),
        "the end of what was started",
    )
