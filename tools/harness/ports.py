# SPDX-License-Identifier: GPL-3.0-or-later
"""Free ports for programs that cannot bind to port 0.

A port is taken from below the range that the kernel gives out by itself, and
stays reserved for this process: the reservation is a bound abstract unix
socket, which has the same scope as the port (the network namespace) and goes
away with the process.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 10000
_ATTEMPTS = 1000

_reservations: list[socket.socket] = []


def _lowest_ephemeral_port() -> int:
    path = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return max(int(path.read_text().split()[0]), _LOWEST + 1000)


def _reserve(port: int) -> bool:
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0kamailio_mqtt_harness_port_{port}")
    except OSError:
        reservation.close()
        return False
    _reservations.append(reservation)
    return True


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As servers do: connections in TIME_WAIT don't count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


def free_port() -> int:
    """A port that is free for TCP and UDP, and never given out twice."""
    for _ in range(_ATTEMPTS):
        port = random.randrange(_LOWEST, _lowest_ephemeral_port())
        if _reserve(port) and _is_free(port):
            return port
    raise AssertionError(f"found no free port in {_ATTEMPTS} attempts")
