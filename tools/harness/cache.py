# SPDX-License-Identifier: GPL-3.0-or-later
"""Where tools/ keep what is dear to make and may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """As tools/setup has it."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "kamailio-mqtt"
