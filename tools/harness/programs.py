# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that tools/setup builds where a machine has none."""

from __future__ import annotations

import shutil

from tools.harness.cache import cache_directory
from tools.harness.process import program_environment


def program_path(name: str, *, installed_by: str = "tools/setup") -> str:
    """The one on the PATH, or the one that tools/setup has built."""
    built = cache_directory() / "bin"
    path = program_environment()["PATH"] + f":{built}"
    found = shutil.which(name, path=path)
    assert found, f"no {name}: run {installed_by}"
    return found
