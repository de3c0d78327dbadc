# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs sipp, a SIP client that is none of ours."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.harness.ports import free_port
from tools.harness.process import program_environment
from tools.harness.waiting import DEADLINE


@dataclass(frozen=True)
class SippResult:
    exit_code: int  # 0 where every call went as the scenario says.
    output: str


def run_sipp(
    scenario: Path,
    sip_port: int,
    *,
    host: str = "127.0.0.1",
    calls: int = 1,
    rate: int = 10,
    keys: Mapping[str, str] | None = None,
    timeout: int = int(DEADLINE),
) -> SippResult:
    """Runs a scenario file `calls` times, `rate` a second.

    `keys` replaces [NAME] in the scenario's messages. After `timeout` seconds
    it fails.
    """
    arguments = ["sipp", f"{host}:{sip_port}", "-sf", str(scenario)]
    arguments += ["-i", host, "-p", str(free_port()), "-nostdin"]
    arguments += ["-m", str(calls), "-r", str(rate)]
    arguments += ["-timeout", f"{timeout}s", "-timeout_error"]
    for name, value in (keys or {}).items():
        arguments += ["-key", name, value]
    result = subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=program_environment(),
        timeout=timeout + DEADLINE,
        check=False,
    )
    return SippResult(
        result.returncode, result.stdout.decode(errors="replace")
    )
