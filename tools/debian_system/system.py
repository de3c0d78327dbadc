# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian system in a folder, and programs that run in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.debian_system.commands import DEADLINE, run_isolated
from tools.harness.process import Process

# The home of programs inside.
HOME = "/root"

# What programs inside get of the environment of this run, beside what is
# fixed: how to reach package mirrors. A password may be in it.
_INHERITED = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
_FIXED = {
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": HOME,
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

_APT_GET = (
    "apt-get",
    "--quiet",
    "--yes",
    "--no-install-recommends",
    *("-o", "Dpkg::Use-Pty=0"),
)


@dataclass(frozen=True)
class Bind:
    """A folder or file of this machine, to be seen at `target` inside."""

    source: Path
    target: str
    writable: bool = False


class DebianSystem:
    """The system whose root is the folder `root`; the logs of what runs in it
    go to the folder `logs`, which is outside.

    Its network is this machine's. Packages that are installed in it start no
    service. close() ends what was started in it.
    """

    def __init__(self, root: Path, logs: Path) -> None:
        self.root = root
        self._logs = logs
        self._numbers = itertools.count(1)
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        self._stack.close()

    def run(
        self,
        *arguments: str,
        binds: Sequence[Bind] = (),
        directory: str = "/",
        environment: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        deadline: float = DEADLINE,
    ) -> str:
        """Runs a command to its end, and ends everything that it has started;
        returns its output, which `log_path` gets while it runs."""
        return run_isolated(
            self._command(arguments, binds, directory, environment),
            log_path or self._new_log(arguments[0]),
            program=arguments,
            deadline=deadline,
        )

    def start(
        self,
        *arguments: str,
        binds: Sequence[Bind] = (),
        directory: str = "/",
        environment: Mapping[str, str] | None = None,
    ) -> Process:
        """Starts a program. The process is the program itself, so that it gets
        the signals that are sent to it."""
        process = Process(
            ["unshare", "--mount"]
            + self._command(arguments, binds, directory, environment),
            self._new_log(arguments[0]),
            environment={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._stack.callback(process.close)
        return process

    def update(self) -> None:
        """Fetches the package lists."""
        self.run(*_APT_GET, "update")

    def install(self, *packages: str) -> str:
        """Installs packages of these names, or in files of these paths; returns
        what apt-get says."""
        return self.run(*_APT_GET, "install", *packages)

    def purge(self, *packages: str) -> str:
        return self.run(*_APT_GET, "purge", *packages)

    def _new_log(self, program: str) -> Path:
        name = Path(program).name
        return self._logs / f"{next(self._numbers)}-{name}.log"

    def _command(
        self,
        arguments: Sequence[str],
        binds: Sequence[Bind],
        directory: str,
        environment: Mapping[str, str] | None,
    ) -> list[str]:
        command = [sys.executable, "-B", "-m", "tools.debian_system.inside"]
        for bind in binds:
            option = "--bind" if bind.writable else "--read-only"
            command += [option, str(bind.source), bind.target]
        for name in _INHERITED:
            command += ["--inherit", name]
        for name, value in (_FIXED | dict(environment or {})).items():
            command += ["--variable", f"{name}={value}"]
        return [
            *command,
            *("--directory", directory, str(self.root), "--"),
            *arguments,
        ]
