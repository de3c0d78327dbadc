# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds everything a second time, elsewhere, to compare."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tools.debian_system.commands import run_isolated
from tools.package_run import sources
from tools.package_run.deb import build_deb, package_files


def second_build(workspace: Path, directory: Path) -> Path:
    """The package of the newest commit, from a clone in another folder, with
    nothing that was compiled before. Returns its path, in `directory`."""
    with tempfile.TemporaryDirectory(prefix="mqtt_second_build_") as name:
        clone, outputs = Path(name, "clone"), Path(name, "bazel")
        sources.clone(workspace, clone)
        run_isolated(
            ["env", f"--chdir={clone}"]
            + ["bazel", "--batch", f"--output_base={outputs}", "build"]
            + ["--disk_cache=", "--symlink_prefix=built-"]
            + ["//kamailio_module:mqtt.so"],
            Path(name, "log"),
        )
        module = clone / "built-bin/kamailio_module/mqtt.so"
        return build_deb(clone, module, sources.epoch(clone), directory)


def differences(one: Path, other: Path) -> list[str]:
    """The files in which two packages differ, be it in a line of `dpkg-deb
    --contents` or in what they hold."""
    entries = [package_files(deb) for deb in (one, other)]
    return sorted(
        name
        for name in entries[0].keys() | entries[1].keys()
        if entries[0].get(name) != entries[1].get(name)
    )
