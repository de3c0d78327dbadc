# SPDX-License-Identifier: GPL-3.0-or-later
"""The configurations of docs/scaling.md, which are the ones that run here."""

from __future__ import annotations

import re
from pathlib import Path

from tools.harness.ports import free_port

_PAGE = Path(__file__).absolute().parents[2] / "docs/scaling.md"

# Those of the machines with brokers.
_ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+:\d+\b")


def configuration(name: str) -> str:
    """The text of a file, which its first line names in a comment."""
    found = re.search(
        rf"^```\w*\n#+ {re.escape(name)}\n(.*?)^```$",
        _PAGE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"{_PAGE} has no {name}"
    return found[1]


def parameters() -> dict[str, str | int]:
    """Those of the module in the page's kamailio.cfg."""
    return {
        name: int(value) if value.isdigit() else value.strip('"')
        for name, value in re.findall(
            r'^modparam\("mqtt", "(\w+)", (.*?)\)',
            configuration("kamailio.cfg"),
            re.MULTILINE,
        )
    }


class Addresses:
    """Gives each address of a broker on the page, which has machines of its
    own there, a free port of the loopback interface."""

    def __init__(self) -> None:
        self._here: dict[str, str] = {}

    def here(self, address: str) -> str:
        if address not in self._here:
            self._here[address] = f"127.0.0.1:{free_port()}"
        return self._here[address]

    def replace(self, text: str) -> str:
        """The text with the addresses of here."""
        return _ADDRESS.sub(lambda match: self.here(match[0]), text)
