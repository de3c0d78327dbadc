# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/examples.md: each example is there, passes `kamailio -c`, and does what
its scenario says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from kamailio_module.integration_tests.examples import EXAMPLES, example
from kamailio_module.integration_tests.scenario_program import (
    WORKSPACE,
    ScenarioRuns,
    documented_runs,
)
from tools.harness.environment import Environment

PAGE = WORKSPACE / "docs/examples.md"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/kamailio.cfg"))
# But what Bazel puts beside a Python script.
FILES = [
    path
    for path in EXAMPLES.glob("*/*")
    if path.is_file() and path.name != "__init__.py"
]


@pytest.fixture(name="runs")
def _runs() -> Iterator[ScenarioRuns]:
    runs = ScenarioRuns()
    yield runs
    runs.close()


def test_the_page_links_every_file() -> None:
    links = re.findall(r"\(\.\./testdata/examples/([^)]+)\)", PAGE.read_text())
    assert set(links) == {str(path.relative_to(EXAMPLES)) for path in FILES}


def test_what_the_page_quotes_is_in_a_file() -> None:
    sources = "\n".join(path.read_text() for path in FILES)
    quotes = re.findall(
        r"```(?:cfg|lua|python)\n([^`]*)```", PAGE.read_text()
    )
    assert quotes
    for quote in quotes:
        assert quote in sources


@pytest.mark.parametrize("name", NAMES)
def test_kamailio_accepts_it(environment: Environment, name: str) -> None:
    certificates = environment.certificates
    files = {
        "CA_FILE": certificates.ca,
        "CERTIFICATE": certificates.certificate("client"),
        "PRIVATE_KEY": certificates.private_key("client"),
    }
    kamailio = environment.kamailio(
        example(name, **{each: str(path) for each, path in files.items()})
    )
    result = kamailio.check()
    assert result.exit_code == 0, result.output
    assert "ERROR" not in result.output


def test_the_scenarios_all_at_once(runs: ScenarioRuns) -> None:
    documented = documented_runs(PAGE)
    scenarios = [str(path) for path in EXAMPLES.glob("*/scenario.yaml")]
    for path in scenarios:
        assert any(
            path.endswith(run.arguments[-1]) for run in documented
        ), f"{path} is not on the page"
    runs.check(documented)
