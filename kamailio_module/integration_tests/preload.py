# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that change how a program behaves that they are loaded into."""

from __future__ import annotations

import subprocess
from pathlib import Path


def preload(source: str, directory: Path) -> dict[str, str]:
    """Compiles a file of C that stands here; returns the environment variables
    with which a program loads it."""
    library = directory / Path(source).with_suffix(".so")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
        + ["-o", library, Path(__file__).absolute().parent / source],
        check=True,
    )
    return {"LD_PRELOAD": str(library)}
