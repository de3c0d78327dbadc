# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.package_run.versions import Versions, kamailio_of, read_versions

_MODULE = b"\x7fELF\0mqtt\0kamailio 5.6.3 (x86_64/linux)\0flags\0"


def _is_older(one: str, other: str) -> bool:
    command = ["dpkg", "--compare-versions", one, "lt", other]
    return subprocess.run(command, check=False).returncode == 0


def test_a_module_says_for_which_kamailio_it_is() -> None:
    assert kamailio_of(_MODULE) == "5.6.3"
    # The same string twice is no doubt.
    assert kamailio_of(_MODULE + _MODULE) == "5.6.3"


@pytest.mark.parametrize(
    "module", [b"", _MODULE + b"\0kamailio 6.0.1 (x86_64/linux)\0"]
)
def test_a_module_that_leaves_it_open_is_refused(module: bytes) -> None:
    with pytest.raises(ValueError, match="for which Kamailio"):
        kamailio_of(module)


@pytest.mark.parametrize(
    "revision",
    ["5.6.3-2", "5.6.3-2+deb12u9", "5.6.3-2~bpo11+1", "5.6.3+bpo12"],
)
def test_every_revision_of_the_same_kamailio_will_do(revision: str) -> None:
    versions = Versions("0.1.0", "5.6.3")
    assert not _is_older(revision, versions.kamailio)
    assert _is_older(revision, versions.next_kamailio)


@pytest.mark.parametrize("other", ["5.6.4-1", "5.6.4~rc1-1", "6.0.1-1"])
def test_a_newer_kamailio_will_not(other: str) -> None:
    assert not _is_older(other, Versions("0.1.0", "5.6.3").next_kamailio)


def test_packages_sort_by_module_and_then_by_kamailio() -> None:
    packages = [
        Versions("0.1.0", "5.6.3").package,
        Versions("0.1.0", "6.0.1").package,
        "0.1.0-1",  # Debian's own, if there ever is one.
        Versions("0.2.0", "5.6.3").package,
    ]
    for older, newer in zip(packages, packages[1:]):
        assert _is_older(older, newer)


def test_the_file_with_the_version_holds_nothing_else(tmp_path: Path) -> None:
    module = tmp_path / "mqtt.so"
    module.write_bytes(_MODULE)
    (tmp_path / "VERSION").write_text("1.2.3\n")
    assert read_versions(tmp_path, module) == Versions("1.2.3", "5.6.3")
    (tmp_path / "VERSION").write_text("1.2-beta\n")
    with pytest.raises(ValueError, match="VERSION holds '1.2-beta'"):
        read_versions(tmp_path, module)
