# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/scenario with the real module: the examples of docs/scenarios.md, and
what a failure looks like."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.harness.process import session_members
from tools.harness.waiting import DEADLINE, wait_for

WORKSPACE = Path(__file__).absolute().parents[2]
PAGE = (WORKSPACE / "docs/scenarios.md").read_text()
EXAMPLES = WORKSPACE / "testdata/scenarios"

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(name="start")
def _start() -> Iterator[Run]:
    """Starts tools/scenario, without the build that it begins with."""
    started = []

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.scenario_run", *map(str, arguments)],
            cwd=WORKSPACE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status and the output."""
    output, _ = process.communicate(timeout=4 * DEADLINE)
    return process.returncode, output


def without_times(report: str) -> str:
    return re.sub(r"  [0-9.]+ s$", "", report, flags=re.MULTILINE)


def documented_runs() -> list[tuple[list[str], str]]:
    """The arguments and the report of each example of the page."""
    blocks = re.findall(r"```console\n\$ (.*)\n([^`]*)```", PAGE)
    return [(shlex.split(command), report) for command, report in blocks]


def test_the_page_has_every_example() -> None:
    commands = [" ".join(words) for words, _ in documented_runs()]
    examples = sorted(path.name for path in EXAMPLES.iterdir())
    assert len(commands) == len(examples) == 3
    for name in examples:
        assert any(f"testdata/scenarios/{name}/" in one for one in commands)


def test_the_examples_all_at_once(start: Run) -> None:
    running = []
    for (program, *arguments), report in documented_runs():
        assert program == "tools/scenario"
        running.append((start(*arguments), report))
    for process, report in running:
        status, output = finish(process)
        assert status == 0, output
        assert without_times(output) == without_times(report)


def test_readme_has_the_configuration_of_the_first_example() -> None:
    configuration = (EXAMPLES / "readme/kamailio.cfg").read_text()
    readme = (WORKSPACE / "README.md").read_text()
    assert f"\n```\n{configuration}```\n" in readme


def test_a_failure(start: Run, tmp_path: Path) -> None:
    scenario = tmp_path / "failing.yaml"
    scenario.write_text(
        "broker: private\n"
        "steps:\n"
        "  - sip: MESSAGE\n"
        "  - expect_publish: {topic: sip/requests, qos: 2, within: 1s}\n"
        "  - expect_log: never reached\n"
    )
    report = tmp_path / "report.xml"
    process = start(
        *("--config", EXAMPLES / "readme/kamailio.cfg"),
        *("--junit", report, scenario),
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("ok      steps[0]"):
        assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    started = [int(pid) for pid in children.read_text().split()]
    assert started
    status, output = finish(process)
    assert status == 1
    assert (
        "        expected: publish: topic sip/requests, QoS 2, accepted, "
        "within 1 s\n"
        "        instead:  publish, topic sip/requests, payload "
        "'MESSAGE from 127.0.0.1', QoS 1, accepted\n"
    ) in output
    assert "kamailio (runs), end of its log:" in output
    assert 'failures="1"' in report.read_text()
    wait_for(
        lambda: not any(map(session_members, started)),
        "the end of what was started",
    )


def test_a_configuration_that_kamailio_refuses(
    start: Run, tmp_path: Path
) -> None:
    configuration = tmp_path / "kamailio.cfg"
    configuration.write_text(
        "loadmodule MQTT_MODULE\n"
        'modparam("mqtt", "host", MQTT_HOST)\n'
        'modparam("mqtt", "port", PORT)\n'
        "request_route { drop; }\n"
    )
    status, output = finish(
        start(
            *("--config", configuration, "--define", "PORT=70000"),
            EXAMPLES / "no_broker/scenario.yaml",
        )
    )
    assert status == 2
    assert 'parameter "port": value "70000": must be from 1 to 65535' in output
