# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the package, and of the Kamailio that it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# What Kamailio compares when it loads a module (SER_FULL_VERSION), for example
# "kamailio 5.6.3 (x86_64/linux)".
_BUILT_FOR = re.compile(rb"\0kamailio (\d+(?:\.\d+)*) \([^)\0]+\)\0")


@dataclass(frozen=True)
class Versions:
    """`module` is that of the file VERSION, `kamailio` such as "5.6.3"."""

    module: str
    kamailio: str

    @property
    def package(self) -> str:
        """That of the package. Older than 0.1.0-1, should Debian ever have
        that; and newer for a newer Kamailio, as an upgrade of Debian wants."""
        return f"{self.module}-1~kamailio{self.kamailio}"

    @property
    def next_kamailio(self) -> str:
        """What sorts after every revision of this Kamailio: 5.6.3-2+deb12u1,
        5.6.3+bpo12."""
        *first, last = self.kamailio.split(".")
        return ".".join([*first, f"{int(last) + 1}~"])


def read_versions(workspace: Path, module: Path) -> Versions:
    version = (workspace / "VERSION").read_text().strip()
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise ValueError(f"VERSION holds {version!r}, not such as 1.2.3")
    return Versions(version, kamailio_of(module.read_bytes()))


def kamailio_of(module: bytes) -> str:
    """The version of the Kamailio for which a module was built."""
    found = set(_BUILT_FOR.findall(module))
    if len(found) != 1:
        raise ValueError(
            "the module does not say for which Kamailio it was built"
            f" ({len(found)} versions in it)"
        )
    return found.pop().decode()
