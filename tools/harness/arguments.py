# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of command line arguments."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """An integer above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not above 0")
    return value
