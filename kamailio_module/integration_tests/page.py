# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the documentation, as their tests read them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.harness.process import program_environment
from tools.harness.waiting import DEADLINE

WORKSPACE = Path(__file__).absolute().parents[2]

# What a page leaves out of what a command prints.
OMISSION = "..."


@dataclass(frozen=True)
class Block:
    """What stands between two lines of three backquotes."""

    line: int
    language: str
    text: str


class Page:
    """A page in Markdown; `path` is that in the workspace."""

    def __init__(self, path: str) -> None:
        self.name = Path(path).name
        self.text = (WORKSPACE / path).read_text()

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(
                self.text.count("\n", 0, found.start()) + 1,
                found[1],
                found[2],
            )
            for found in re.finditer(
                r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL
            )
        ]

    @property
    def _outline(self) -> str:
        """The text without what looks like a heading in blocks of code."""
        return re.sub(
            r"^```.*?^```$",
            lambda found: found[0].replace("\n#", "\n "),
            self.text,
            flags=re.MULTILINE | re.DOTALL,
        )

    def section(self, heading: str) -> str:
        """A section, with those below it."""
        level = heading.partition(" ")[0]
        found = re.search(
            rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)",
            self._outline,
            re.MULTILINE | re.DOTALL,
        )
        assert found, heading
        return self.text[found.start(1) : found.end(1)]

    @property
    def anchors(self) -> set[str]:
        """What links can lead to."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(
                r"^#+ (.*)$", self._outline, re.MULTILINE
            )
        }


def check_links(page: Page, others: Iterable[Page] = ()) -> None:
    """All links to a section of the page or of the others lead somewhere,
    and there is one."""
    anchors = {each.name: each.anchors for each in (page, *others)}
    links = re.findall(r"\]\((?:\w+/)*([\w.]*)#([^)]*)\)", page.text)
    assert links
    for name, anchor in links:
        assert anchor in anchors[name or page.name], f"{name}#{anchor}"


def check_tables(page: Page) -> None:
    """All rows stand below a heading: else they are no table, but text."""
    tables = re.findall(r"(?:^\|.*\n)+", page.text, re.MULTILINE)
    assert tables
    for table in tables:
        _, *below = table.splitlines()
        assert below and re.fullmatch(r"\|(?: --- \|)+", below[0]), table


def rows(text: str) -> list[list[str]]:
    """The cells of all tables in a text, heads included."""
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]


def normalised(text: str, varying: Sequence[tuple[str, str]] = ()) -> str:
    """With what differs from run to run, a pattern, replaced."""
    for pattern, replacement in varying:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text.strip()


def pattern_of(text: str, varying: Sequence[tuple[str, str]] = ()) -> str:
    """Of what fits a text of the page."""
    parts = normalised(text, varying).split(OMISSION)
    return ".*?".join(map(re.escape, parts))


def fits(
    output: str, text: str, varying: Sequence[tuple[str, str]] = ()
) -> bool:
    """Whether a command has printed what a page says."""
    pattern = pattern_of(text, varying)
    found = re.fullmatch(pattern, normalised(output, varying), re.DOTALL)
    return found is not None


def run_command(
    command: Sequence[str], directory: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What a reader does in a terminal; its errors are in the output."""
    return subprocess.run(
        command,
        cwd=directory,
        env=program_environment(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * DEADLINE,
    )
