# SPDX-License-Identifier: GPL-3.0-or-later
"""grpcurl, as a person calls it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.harness.process import program_environment
from tools.harness.programs import program_path
from tools.harness.waiting import DEADLINE

SERVICE = "kamailio.mqtt.v1.MqttControl"

# The number of the status of each error that grpcurl exits with, less 64.
STATUS_NUMBERS = {
    "InvalidArgument": 3,
    "DeadlineExceeded": 4,
    "NotFound": 5,
    "ResourceExhausted": 8,
    "Aborted": 10,
    "Unavailable": 14,
}


def grpcurl_path() -> str:
    return program_path("grpcurl")


def parse_messages(output: str) -> list[Any]:
    """The JSON values that grpcurl prints one after the other."""
    decoder = json.JSONDecoder()
    values = []
    rest = output.lstrip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


@dataclass(frozen=True)
class GrpcurlResult:
    exit_code: int
    output: str
    errors: str

    @property
    def messages(self) -> list[Any]:
        """The JSON values of a successful call."""
        assert self.exit_code == 0, self.errors
        return parse_messages(self.output)

    @property
    def message(self) -> Any:
        (message,) = self.messages
        return message

    def has_failed_with(self, status: str) -> bool:
        return (
            self.exit_code == 64 + STATUS_NUMBERS[status]
            and f"Code: {status}\n" in self.errors
        )


class Grpcurl:
    """Calls of the control service at an address: the path of a unix socket
    or "host:port"."""

    def __init__(self, address: str | Path, options: Sequence[str] = ()) -> None:
        unix = isinstance(address, Path)
        self._address = str(address)
        self._options = [
            "-plaintext",
            *(["-unix", "-authority", "localhost"] if unix else []),
            *options,
        ]

    def command(self, *words: str) -> list[str]:
        """With options of grpcurl before, and a verb or method after the
        address."""
        *options, last = words
        return [
            grpcurl_path(),
            *self._options,
            *("-max-time", str(DEADLINE)),
            *options,
            self._address,
            *last.split(),
        ]

    def run(self, *words: str, user: int | None = None) -> GrpcurlResult:
        done = subprocess.run(
            self.command(*words),
            capture_output=True,
            env=program_environment(),
            text=True,
            timeout=2 * DEADLINE,
            user=user,
        )
        return GrpcurlResult(done.returncode, done.stdout, done.stderr)

    def call(self, method: str, request: Any = None) -> GrpcurlResult:
        """A method of the service, with a request that becomes JSON."""
        return self.run(
            "-d", json.dumps(request or {}), f"{SERVICE}/{method}"
        )
