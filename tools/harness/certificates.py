# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for tests of TLS, made anew by tools/make_certificates."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).absolute().parents[1] / "make_certificates"


@dataclass(frozen=True)
class Certificates:
    """The files in the directory that make_certificates has filled."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The CA that signed all but the unrelated certificates."""
        return self.directory / "ca.pem"

    @property
    def ca_path(self) -> Path:
        """A directory with only that CA, rehashed."""
        return self.directory / "ca_path"

    @property
    def unrelated_ca(self) -> Path:
        return self.directory / "unrelated_ca.pem"

    @property
    def unrelated_ca_path(self) -> Path:
        return self.directory / "unrelated_ca_path"

    def certificate(self, name: str) -> Path:
        """`name` is server, wrong_name, expired, client or
        unrelated_client."""
        return self.directory / f"{name}.pem"

    def private_key(self, name: str) -> Path:
        return self.directory / f"{name}.key"


def make_certificates(directory: Path) -> Certificates:
    subprocess.run(
        [_SCRIPT, directory],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return Certificates(directory)
