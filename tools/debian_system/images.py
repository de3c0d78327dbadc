# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes Debian systems, from archives that are kept for a week."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.debian_system import mirrors
from tools.debian_system.commands import run_isolated
from tools.debian_system.system import DebianSystem
from tools.harness.cache import cache_directory

# An older archive is made anew, with the updates since then.
_LONGEST_AGE = 7 * 24 * 3600.0

_SCRIPTS = Path("/usr/share/debootstrap/scripts")

# Whom this machine trusts: it may reach its mirrors through a proxy of its own.
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Packages that are installed start no service: see invoke-rc.d(8).
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


@contextlib.contextmanager
def fresh_system(
    suite: str, packages: Sequence[str] = ()
) -> Iterator[DebianSystem]:
    """A minimal system of a suite such as "bookworm", with these packages
    added. At the end its folder goes.

    The first time this takes minutes; what it makes is kept in the user's
    cache.
    """
    _check(suite, packages)
    with _folder() as system:
        _unpack(_archive(suite, packages), system.root)
        shutil.copyfile("/etc/resolv.conf", system.root / "etc/resolv.conf")
        yield system


def archive_name(suite: str, packages: Sequence[str]) -> str:
    """The same for the same packages, in whatever order."""
    if not packages:
        return f"{suite}.tar.gz"
    names = " ".join(sorted(set(packages)))
    return f"{suite}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.tar.gz"


def _check(suite: str, packages: Sequence[str]) -> None:
    for package in packages:
        if not re.fullmatch("[a-z0-9][a-z0-9+.-]+", package):
            raise ValueError(f"{package!r} is no name of a package")
    if not re.fullmatch("[a-z]+", suite):
        raise ValueError(f"{suite!r} is no name of a suite")
    if os.geteuid() != 0:
        raise PermissionError("a Debian system in a folder needs root")
    if not _SCRIPTS.is_dir():
        raise FileNotFoundError("no debootstrap: run tools/setup --package")
    if not (_SCRIPTS / suite).exists():
        raise ValueError(f"debootstrap knows no suite {suite!r}")


@contextlib.contextmanager
def _folder() -> Iterator[DebianSystem]:
    with tempfile.TemporaryDirectory(prefix="mqtt_debian_") as name:
        root, logs = Path(name, "root"), Path(name, "logs")
        root.mkdir()
        logs.mkdir()
        with contextlib.closing(DebianSystem(root, logs)) as system:
            yield system


def _archive(suite: str, packages: Sequence[str]) -> Path:
    path = cache_directory() / "debian" / archive_name(suite, packages)
    if path.exists() and _is_young(path):
        return path
    with _folder() as system:
        if packages:
            _unpack(_archive(suite, ()), system.root)
            system.update()
            system.install(*packages)
        else:
            _bootstrap(suite, system.root)
            system.update()
            system.run("apt-get", "--quiet", "--yes", "dist-upgrade")
        system.run("apt-get", "clean")
        _pack(system.root, path)
    _remove_old_archives(path.parent)
    return path


def _is_young(archive: Path) -> bool:
    return time.time() - archive.stat().st_mtime < _LONGEST_AGE


def _remove_old_archives(folder: Path) -> None:
    for archive in folder.glob("*.tar.gz"):
        if not _is_young(archive):
            archive.unlink()


def _bootstrap(suite: str, root: Path) -> None:
    sources = mirrors.machine_mirrors()
    _run(
        ["debootstrap", "--variant=minbase", f"--keyring={mirrors.KEYRING}"]
        + [suite, str(root), sources.archive]
    )
    apt = root / "etc/apt"
    (apt / "sources.list").write_text(mirrors.sources_list(suite, sources))
    way = mirrors.machine_way_to_mirrors()
    if _CERTIFICATES.exists():
        shutil.copyfile(_CERTIFICATES, apt / "machine.crt")
        way += 'Acquire::https::CaInfo "/etc/apt/machine.crt";\n'
    (apt / "apt.conf.d/90machine").write_text(way)
    no_services = root / "usr/sbin/policy-rc.d"
    no_services.write_text(_NO_SERVICES)
    no_services.chmod(0o755)


def _pack(root: Path, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as directory:
        partial = Path(directory, archive.name)
        _run(
            ["tar", "--create", "--use-compress-program=gzip -1"]
            + ["--file", str(partial), "--numeric-owner", "--xattrs"]
            + ["--directory", str(root), "."]
        )
        partial.rename(archive)


def _unpack(archive: Path, root: Path) -> None:
    _run(
        ["tar", "--extract", "--file", str(archive), "--numeric-owner"]
        + ["--xattrs", "--xattrs-include=*", "--directory", str(root)]
    )


def _run(command: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run_isolated(command, Path(directory, "log"))
