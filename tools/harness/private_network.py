# SPDX-License-Identifier: GPL-3.0-or-later
"""A network of its own for a test that breaks the name service.

The test runs in a new process, with namespaces where the loopback interface is
all there is, /etc/resolv.conf names 127.0.0.1, and /etc/hosts is a file that
may be written:

    def test_something(request: pytest.FixtureRequest) -> None:
        if not private_network.inside():
            private_network.run(request)
            return
        ...

It needs no privileges where the kernel lets anybody make user namespaces.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_VARIABLE = "HARNESS_PRIVATE_NETWORK"

_HOSTS = Path("/etc/hosts")

# linux/sockios.h, linux/if.h.
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def inside() -> bool:
    return _VARIABLE in os.environ


def run(request: pytest.FixtureRequest) -> None:
    """Runs the test that makes the request, and fails if it fails."""
    result = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", sys.executable]
        + ["-m", "tools.harness.private_network"]
        + [f"{request.path}::{request.node.name}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ
        | {_VARIABLE: "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert result.returncode == 0, result.stdout.decode(errors="replace")


def add_host(name: str, address: str) -> None:
    """Makes a name known, to who is inside."""
    assert inside()
    with _HOSTS.open("a") as file:
        file.write(f"{address} {name}\n")


def _set_up(directory: Path) -> None:
    request = struct.pack("16sh", b"lo", _IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
    for name, text in (
        ("hosts", f"127.0.0.1 localhost {socket.gethostname()}\n"),
        ("resolv.conf", "nameserver 127.0.0.1\n"),
    ):
        (directory / name).write_text(text)
        subprocess.run(
            ["mount", "--bind", directory / name, Path("/etc", name)],
            check=True,
        )


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        _set_up(Path(directory))
        return pytest.main(["-p", "no:cacheprovider", sys.argv[1]])


if __name__ == "__main__":
    sys.exit(main())
