# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a Debian system gets its packages from: where this machine does."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# Suites that get no security updates of their own.
_ROLLING = ("sid", "unstable", "experimental")

# What apt needs to reach a mirror: proxies, and whether to believe this
# machine's clock.
_WAY_TO_MIRRORS = re.compile(
    r"^Acquire::(https?|Check-Date|Check-Valid-Until)[: ].*;$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Mirrors:
    archive: str
    security: str | None


def parse_index_targets(text: str) -> Mirrors:
    """From lines "LABEL URI", as apt-get indextargets prints them."""
    found = dict(
        line.split(" ", 1) for line in reversed(text.splitlines()) if line
    )
    if "Debian" not in found:
        raise RuntimeError(
            "apt knows no archive of Debian's: run apt-get update as root"
        )
    return Mirrors(found["Debian"], found.get("Debian-Security"))


def machine_mirrors() -> Mirrors:
    """The mirrors that apt has enabled on this machine."""
    return parse_index_targets(
        subprocess.run(
            ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"]
            + ["Created-By: Packages", "Origin: Debian", "Component: main"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )


def sources_list(suite: str, mirrors: Mirrors) -> str:
    """The text of an /etc/apt/sources.list."""
    entries = [(mirrors.archive, suite)]
    if suite not in _ROLLING:
        entries.append((mirrors.archive, f"{suite}-updates"))
        if mirrors.security is not None:
            entries.append((mirrors.security, f"{suite}-security"))
    return "".join(
        f"deb [signed-by={KEYRING}] {uri} {name} main\n"
        for uri, name in entries
    )


def way_to_mirrors(configuration: str) -> str:
    """Of what apt-config dump prints, how to reach mirrors."""
    return "".join(
        f"{match[0]}\n" for match in _WAY_TO_MIRRORS.finditer(configuration)
    )


def machine_way_to_mirrors() -> str:
    """The part of this machine's apt configuration that says how to reach
    mirrors."""
    return way_to_mirrors(
        subprocess.run(
            ["apt-config", "dump"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )
