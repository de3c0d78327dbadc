# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds and tests the sources in a Debian system of one suite."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.compat_run.results import PACKAGES, Result
from tools.debian_system.commands import CommandFailed
from tools.debian_system.images import fresh_system
from tools.debian_system.system import HOME, Bind, DebianSystem
from tools.harness.cache import cache_directory
from tools.harness.ending import FAILURES

# Seconds. All of it is built and tested on the few processors of one machine.
_DEADLINE = 2 * 3600.0

# Inside of the system.
_SOURCES = f"{HOME}/kamailio-mqtt"
_CACHE = f"{HOME}/.cache/kamailio-mqtt"
_KAMAILIO = f"{HOME}/kamailio"


@dataclass(frozen=True)
class Options:
    # Of `bazel test`.
    arguments: Sequence[str] = ()
    # A source tree instead of the one that Debian has.
    kamailio_source: Path | None = None
    # Whether to wait before the system goes.
    keep: bool = False


def try_suite(sources: Path, suite: str, options: Options) -> Result:
    """Tells on standard output where the log of each step is."""
    result = Result(suite)
    logs = cache_directory() / "compat" / suite
    logs.mkdir(parents=True, exist_ok=True)
    print(f"== {suite}: making the system", flush=True)
    try:
        with fresh_system(suite, _packages(sources)) as system:
            _copy_sources(sources, system.root / _SOURCES.lstrip("/"))
            _Run(system, logs, options, result).all_steps()
            if options.keep:
                print(
                    f"The system is {system.root}. Enter ends it.", flush=True
                )
                sys.stdin.readline()
    except (CommandFailed, *FAILURES) as error:
        print(f"== {suite}: {error}", flush=True)
    return result


class _Run:
    def __init__(
        self,
        system: DebianSystem,
        logs: Path,
        options: Options,
        result: Result,
    ) -> None:
        self._system = system
        self._logs = logs
        self._options = options
        self._result = result

    def all_steps(self) -> None:
        result = self._result
        result.versions = {
            package: self._version(package) for package in PACKAGES.values()
        }
        for step in ("setup", "build", "test"):
            self._log_path(step).unlink(missing_ok=True)
        result.is_set_up = self._step("setup", "tools/setup")
        if not result.is_set_up:
            return
        result.is_built = self._step(
            "build", "bazel", "build", "//kamailio_module:mqtt.so"
        )
        self._step("test", "tools/test", *self._options.arguments)
        result.count_tests(self._log_path("test").read_text())

    def _version(self, package: str) -> str:
        return self._system.run(
            "dpkg-query", "--show", "--showformat=${Version}", package
        )

    def _log_path(self, step: str) -> Path:
        return self._logs / f"{step}.log"

    def _step(self, step: str, *command: str) -> bool:
        """Returns whether it succeeded; shows the end of its log if not."""
        log_path = self._log_path(step)
        print(f"== {self._result.suite}: {step}, {log_path}", flush=True)
        # What is dear to make stays: Bazel's results, Kamailio's sources.
        cache = self._logs / "cache"
        cache.mkdir(exist_ok=True)
        binds = [Bind(cache, _CACHE, writable=True)]
        # For Go, which is to trust whom this machine trusts.
        environment = {"SSL_CERT_FILE": "/etc/apt/machine.crt"}
        source = self._options.kamailio_source
        if source is not None:
            binds.append(Bind(source, _KAMAILIO))
            environment["KAMAILIO_SOURCE"] = _KAMAILIO
        try:
            self._system.run(
                *command,
                binds=binds,
                directory=_SOURCES,
                environment=environment,
                log_path=log_path,
                deadline=_DEADLINE,
            )
        except CommandFailed as error:
            print(error, flush=True)
            return False
        return True


def _packages(sources: Path) -> list[str]:
    return subprocess.run(
        [sources / "tools/setup", "--list"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()


def _copy_sources(sources: Path, target: Path) -> None:
    """Those that git has or would add, as they are now."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=sources,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if (sources / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(sources / name, target / name)
