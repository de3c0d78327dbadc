# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a file system, to see what an installation has left."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

# Where apt, dpkg and ldconfig write what they remember, whatever was installed;
# and what is no disk.
_LEFT_OUT = (
    "dev",
    "etc/ld.so.cache",
    "proc",
    "sys",
    "tmp",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
)


def file_list(root: Path) -> dict[str, str]:
    """Every path below a root, and what is there: kind, owner, mode, and a hash
    or target."""
    found = {}
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        names = [
            name
            for name in folders + files
            if os.path.normpath(f"{inside}/{name}") not in _LEFT_OUT
        ]
        for name in names:
            path = Path(folder, name)
            found[os.path.normpath(f"{inside}/{name}")] = _description(path)
        folders[:] = [name for name in folders if name in names]
    return found


def differences(
    before: Mapping[str, str], after: Mapping[str, str]
) -> list[str]:
    """One line for each path that is new, gone or changed."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            lines.append(f"new: {path}")
        elif path not in after:
            lines.append(f"gone: {path}")
        elif before[path] != after[path]:
            lines.append(f"changed: {path}")
    return lines


def _description(path: Path) -> str:
    status = path.lstat()
    text = f"{status.st_mode:o} {status.st_uid} {status.st_gid}"
    if path.is_symlink():
        return f"{text} {os.readlink(path)}"
    if path.is_file():
        return f"{text} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return text
