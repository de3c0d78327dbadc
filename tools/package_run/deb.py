# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the package, the same bytes from the same sources.

Files are sorted, belong to root and have one time, and nothing in them names
the folder in which they were made.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.package_run import contents
from tools.package_run.contents import PACKAGE, Layout
from tools.package_run.versions import Versions, read_versions

_CHANGE = """\
{package} ({version}) unstable; urgency=medium

  * Version {module} for Kamailio {kamailio}; changelog.gz tells what is new.

 -- {maintainer}  {date}
"""


def build_deb(
    workspace: Path, module: Path, epoch: int, directory: Path
) -> Path:
    """Makes the package of a built module in `directory`, and returns its
    path. `epoch` is the time of all files, in seconds since 1970."""
    versions = read_versions(workspace, module)
    with tempfile.TemporaryDirectory(prefix="mqtt_package_") as name:
        deb = _Deb(Path(name), workspace, versions, epoch)
        deb.add_module(module)
        deb.add_texts()
        deb.add_control()
        return deb.write(directory)


def package_files(deb: Path) -> dict[str, tuple[str, bytes]]:
    """Of each file and folder in a package: kind, mode, owner and time, and
    the content."""
    stream = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        return {member.name: _entry(archive, member) for member in archive}


def machine_layout() -> Layout:
    return Layout(_run(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"]).strip())


def _entry(
    archive: tarfile.TarFile, member: tarfile.TarInfo
) -> tuple[str, bytes]:
    file = archive.extractfile(member)
    kind = "file" if member.isfile() else "folder"
    owner = f"{member.uname}/{member.gname}"
    return (
        f"{kind} {member.mode:o} {owner} {member.mtime}",
        file.read() if file is not None else b"",
    )


class _Deb:
    """A package that is being made, in a folder `work` of its own."""

    def __init__(
        self, work: Path, workspace: Path, versions: Versions, epoch: int
    ) -> None:
        self._work = work
        self._workspace = workspace
        self._versions = versions
        self._epoch = epoch
        self._layout = machine_layout()
        # Where Debian's tools look for them.
        self._debian = work / "debian"
        self._tree = self._debian / "tmp"
        self._tree.mkdir(parents=True)
        self._control = (
            workspace / "tools/package_run/debian/control"
        ).read_text()
        (self._debian / "control").write_text(self._control)
        (self._debian / "changelog").write_text(self._debian_change_log())

    def add_module(self, module: Path) -> None:
        path = self._add(self._layout.module, module.read_bytes())
        # As dh_strip does.
        _run(
            ["strip", "--strip-unneeded", "--remove-section=.comment"]
            + ["--remove-section=.note", str(path)]
        )

    def add_texts(self) -> None:
        for target, content in contents.texts(self._workspace, self._layout):
            self._add(target, content)
        for name, content in (
            ("changelog", (self._workspace / "CHANGELOG.md").read_bytes()),
            ("changelog.Debian", self._debian_change_log().encode()),
        ):
            packed = subprocess.run(
                ["gzip", "-9", "--no-name"],
                input=content,
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
            self._add(contents.change_log(name), packed)

    def add_control(self) -> None:
        sums = "".join(
            f"{hashlib.md5(path.read_bytes()).hexdigest()}  {target}\n"
            for target, path in sorted(
                (str(path.relative_to(self._tree)), path)
                for path in self._tree.rglob("*")
                if path.is_file()
            )
        )
        self._add("DEBIAN/md5sums", sums.encode())
        # A module takes symbols from the program that loads it: no warnings.
        shlibs = _run(
            ["dpkg-shlibdeps", "--warnings=0", "-O"]
            + [f"debian/tmp/{self._layout.module}"],
            self._work,
        )
        (self._debian / "substvars").write_text(
            f"{shlibs}"
            f"kamailio:Version={self._versions.kamailio}\n"
            f"kamailio:NextVersion={self._versions.next_kamailio}\n"
        )
        _run(["dpkg-gencontrol"], self._work)

    def write(self, directory: Path) -> Path:
        for path in [self._tree, *self._tree.rglob("*")]:
            # Whatever the umask is.
            path.chmod(0o755 if path.is_dir() else 0o644)
            os.utime(path, (self._epoch, self._epoch))
        directory.mkdir(parents=True, exist_ok=True)
        architecture = _run(["dpkg-architecture", "-qDEB_HOST_ARCH"]).strip()
        version = self._versions.package
        deb = directory / f"{PACKAGE}_{version}_{architecture}.deb"
        # With more threads the compression depends on how many there are.
        _run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Zxz"]
            + ["--threads-max=1", str(self._tree), str(deb)],
            environment={"SOURCE_DATE_EPOCH": str(self._epoch)},
        )
        return deb

    def _add(self, target: str, content: bytes) -> Path:
        path = self._tree / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def _debian_change_log(self) -> str:
        (maintainer,) = (
            line.removeprefix("Maintainer: ")
            for line in self._control.splitlines()
            if line.startswith("Maintainer: ")
        )
        date = datetime.datetime.fromtimestamp(
            self._epoch, datetime.timezone.utc
        )
        return _CHANGE.format(
            package=PACKAGE,
            version=self._versions.package,
            module=self._versions.module,
            kamailio=self._versions.kamailio,
            maintainer=maintainer,
            date=email.utils.format_datetime(date),
        )


def _run(
    command: Sequence[str],
    directory: Path | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    return subprocess.run(
        command,
        cwd=directory,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | (environment or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
