# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a suite, and the table of all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# Column -> the package whose version it shows.
PACKAGES = {
    "Kamailio": "kamailio",
    "libmosquitto": "libmosquitto-dev",
    "gRPC": "libgrpc++-dev",
    "Bazel": "bazel-bootstrap",
}

_LAST_LINE = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)


@dataclass
class Result:
    suite: str
    # By name of the package, as dpkg has them.
    versions: dict[str, str] = field(default_factory=dict)
    is_set_up: bool = False
    is_built: bool = False
    passed: int = 0
    failed: int = 0

    @property
    def is_good(self) -> bool:
        return self.is_built and self.passed > 0 and self.failed == 0

    def count_tests(self, log: str) -> None:
        """Takes the numbers from what tools/test has printed."""
        counts = _LAST_LINE.findall(log)
        if counts:
            self.passed, self.failed = map(int, counts[-1])


def upstream_version(version: str) -> str:
    """1:7.7.1+ds-8 is 7.7.1 for those who wrote it."""
    return re.sub(r"^\d+:|[-+~].*", "", version)


def table(results: Sequence[Result]) -> str:
    """In Markdown."""
    rows = [
        ["Debian", *PACKAGES, "setup", "build", "passed", "failed"],
        ["---"] * (len(PACKAGES) + 5),
    ]
    for result in results:
        rows.append(
            [
                result.suite,
                *(
                    upstream_version(result.versions.get(package, "?"))
                    for package in PACKAGES.values()
                ),
                "ok" if result.is_set_up else "failed",
                "ok" if result.is_built else "failed",
                str(result.passed),
                str(result.failed),
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
