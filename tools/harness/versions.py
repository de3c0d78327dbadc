# SPDX-License-Identifier: GPL-3.0-or-later
"""Of what is installed, where a test must know."""

from __future__ import annotations

import ctypes
import re
import subprocess


def kamailio_version() -> tuple[int, ...]:
    """Such as (5, 6, 3)."""
    output = subprocess.run(
        ["kamailio", "-v"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    found = re.search(r"kamailio (\d+)\.(\d+)\.(\d+)", output)
    assert found is not None, output
    return tuple(map(int, found.groups()))


def libmosquitto_version() -> tuple[int, ...]:
    """Such as (2, 0, 11). mosquitto comes from the same sources."""
    numbers = [ctypes.c_int() for _ in range(3)]
    library = ctypes.CDLL("libmosquitto.so.1")
    library.mosquitto_lib_version(*map(ctypes.byref, numbers))
    return tuple(number.value for number in numbers)
