# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from tools.package_run.file_list import differences, file_list


def _root(directory: Path) -> Path:
    for name in ("etc", "var/lib/dpkg", "usr/bin"):
        (directory / name).mkdir(parents=True)
    (directory / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (directory / "var/lib/dpkg/status").write_text("old\n")
    (directory / "bin").symlink_to("usr/bin")
    return directory


def test_a_root_that_nobody_has_touched_is_the_same(tmp_path: Path) -> None:
    root = _root(tmp_path)
    before = file_list(root)
    assert set(before) == {
        "bin",
        "etc",
        "etc/hosts",
        "usr",
        "usr/bin",
        "var",
        "var/lib",
    }
    assert differences(before, file_list(root)) == []


def test_what_dpkg_remembers_is_left_out(tmp_path: Path) -> None:
    root = _root(tmp_path)
    before = file_list(root)
    (root / "var/lib/dpkg/status").write_text("new\n")
    (root / "var/lib/dpkg/lock").touch()
    assert differences(before, file_list(root)) == []


def test_each_difference_is_told(tmp_path: Path) -> None:
    root = _root(tmp_path)
    before = file_list(root)
    (root / "etc/hosts").write_text("127.0.0.2 localhost\n")
    (root / "usr/bin").chmod(0o700)
    (root / "bin").unlink()
    (root / "usr/share").mkdir()
    assert differences(before, file_list(root)) == [
        "gone: bin",
        "changed: etc/hosts",
        "changed: usr/bin",
        "new: usr/share",
    ]


def test_a_link_with_another_target_has_changed(tmp_path: Path) -> None:
    root = _root(tmp_path)
    before = file_list(root)
    (root / "bin").unlink()
    (root / "bin").symlink_to("usr/sbin")
    assert differences(before, file_list(root)) == ["changed: bin"]
