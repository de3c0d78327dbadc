# SPDX-License-Identifier: GPL-3.0-or-later
"""tools/scenario with the real module: the examples of docs/scenarios.md, and
what a failure looks like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kamailio_module.integration_tests.scenario_program import (
    WORKSPACE,
    ScenarioRuns,
    documented_runs,
    finish,
)
from tools.harness.process import session_members
from tools.harness.waiting import wait_for

DOCUMENTED = documented_runs(WORKSPACE / "docs/scenarios.md")
EXAMPLES = WORKSPACE / "testdata/scenarios"


@pytest.fixture(name="runs")
def _runs() -> Iterator[ScenarioRuns]:
    runs = ScenarioRuns()
    yield runs
    runs.close()


def test_the_page_has_every_example() -> None:
    commands = [" ".join(run.arguments) for run in DOCUMENTED]
    examples = sorted(path.name for path in EXAMPLES.iterdir())
    assert len(commands) == len(examples) == 3
    for name in examples:
        assert any(f"testdata/scenarios/{name}/" in one for one in commands)


def test_the_examples_all_at_once(runs: ScenarioRuns) -> None:
    runs.check(DOCUMENTED)


def test_readme_has_the_configuration_of_the_first_example() -> None:
    configuration = (EXAMPLES / "readme/kamailio.cfg").read_text()
    readme = (WORKSPACE / "README.md").read_text()
    assert f"\n```\n{configuration}```\n" in readme


def test_a_failure(runs: ScenarioRuns, tmp_path: Path) -> None:
    scenario = tmp_path / "failing.yaml"
    scenario.write_text(
        "broker: private\n"
        "steps:\n"
        "  - sip: MESSAGE\n"
        "  - expect_publish: {topic: sip/requests, qos: 2, within: 1s}\n"
        "  - expect_log: never reached\n"
    )
    report = tmp_path / "report.xml"
    process = runs.start(
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
    runs: ScenarioRuns, tmp_path: Path
) -> None:
    configuration = tmp_path / "kamailio.cfg"
    configuration.write_text(
        "loadmodule MQTT_MODULE\n"
        'modparam("mqtt", "host", MQTT_HOST)\n'
        'modparam("mqtt", "port", PORT)\n'
        "request_route { drop; }\n"
    )
    status, output = finish(
        runs.start(
            *("--config", configuration, "--define", "PORT=70000"),
            EXAMPLES / "no_broker/scenario.yaml",
        )
    )
    assert status == 2
    assert 'parameter "port": value "70000": must be from 1 to 65535' in output
