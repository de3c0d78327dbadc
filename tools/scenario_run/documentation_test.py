# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/scenarios.md names every step and every key, with the right defaults."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tools.scenario_run import schema, values
from tools.scenario_run.errors import ValueRefused
from tools.scenario_run.steps import KINDS, Step

PAGE = (
    Path(__file__).absolute().parents[2] / "docs/scenarios.md"
).read_text()


def section(heading: str) -> str:
    found = re.search(
        rf"^### {heading}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def rows(heading: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(heading).splitlines()
        if line.startswith("| `")
    ]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def documented(kind: type[Step]) -> dict[str, str]:
    """The default of each key, as the page has it."""
    return {
        name: row[2] for row in rows(kind.KEY) for name in names(row[0])
    }


def test_every_step_is_documented_once() -> None:
    headings = re.findall(r"^### ([a-z_]+)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_key_is_documented(kind: type[Step]) -> None:
    assert set(documented(kind)) == set(schema.keys(kind))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_defaults(kind: type[Step]) -> None:
    cells = documented(kind)
    for name, field in schema.keys(kind).items():
        text, *_ = names(cells[name]) or [cells[name]]
        required = field.default is dataclasses.MISSING
        assert text.startswith("required") == required, name
        assert ("main" in cells[name]) == (name == kind.MAIN_KEY), name
        if isinstance(field.default, bool):
            assert text == str(field.default).lower(), name
        elif isinstance(field.default, float):
            assert values.duration(text, name) == field.default
        elif isinstance(field.default, (str, int)):
            assert text == str(field.default), name


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_value_of_a_choice_is_accepted(kind: type[Step]) -> None:
    for row in rows(kind.KEY):
        if not row[1].startswith("`"):
            continue
        (name,) = names(row[0])
        reader = schema.keys(kind)[name].metadata["reader"]
        for choice in names(row[1]):
            assert reader(choice, name) == choice


def test_every_outcome_is_documented() -> None:
    table = PAGE.partition("#### Outcomes\n")[2].partition("\n### ")[0]
    for kind, key in (
        ("expect_publish", "outcome"),
        ("control_publish", "expect_outcome"),
    ):
        reader = schema.keys(KINDS[kind])[key].metadata["reader"]
        outcomes = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
        assert [reader(name, key) for name in outcomes] == outcomes
        with pytest.raises(ValueRefused) as error:
            reader("none", key)
        assert str(error.value).endswith(": " + ", ".join(outcomes))
