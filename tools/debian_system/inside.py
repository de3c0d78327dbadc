# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a folder the root of the file system and becomes a program in it,
with an environment of its own.

Runs in a mount namespace of its own (unshare): no mount made here is seen
outside, and all of them end with the last process inside.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
from pathlib import Path

# sys/mount.h.
_MNT_DETACH = 2


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _bind(root: Path, source: Path, target: str, *, writable: bool) -> None:
    place = root / target.lstrip("/")
    if source.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    _mount("--bind", source, place)
    if not writable:
        _mount("-o", "remount,bind,ro", place)


def _change_root(root: Path) -> None:
    """Not chroot(2): who is in there cannot make user namespaces, as Bazel's
    sandbox does."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(root)
    # The old root is mounted over the new one, and taken away from there
    # (pivot_root(2)).
    if libc.pivot_root(b".", b".") or libc.umount2(b".", _MNT_DETACH):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(root))
    os.chdir("/")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind", nargs=2, action="append", default=[])
    parser.add_argument("--read-only", nargs=2, action="append", default=[])
    parser.add_argument("--inherit", action="append", default=[])
    parser.add_argument("--variable", action="append", default=[])
    parser.add_argument("--directory", required=True)
    parser.add_argument("root", type=Path)
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    root = arguments.root

    _mount("--bind", root, root)  # pivot_root wants a mount point.
    _mount("-t", "proc", "proc", root / "proc")
    _mount("-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    _mount("--rbind", "/dev", root / "dev")
    for source, target in arguments.bind:
        _bind(root, Path(source), target, writable=True)
    for source, target in arguments.read_only:
        _bind(root, Path(source), target, writable=False)
    _change_root(root)
    os.chdir(arguments.directory)
    environment = {
        name: os.environ[name]
        for name in arguments.inherit
        if name in os.environ
    }
    for variable in arguments.variable:
        name, _, value = variable.partition("=")
        environment[name] = value
    os.execvpe(arguments.command[0], arguments.command, environment)


if __name__ == "__main__":
    main()
