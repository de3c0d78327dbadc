# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tools.debian_system.mirrors import (
    Mirrors,
    parse_index_targets,
    sources_list,
    way_to_mirrors,
)


def test_the_first_entry_of_each_archive_is_taken() -> None:
    text = """\
Debian http://one/debian/
Debian http://two/debian/
Debian-Security http://one/security/
"""
    assert parse_index_targets(text) == Mirrors(
        "http://one/debian/", "http://one/security/"
    )


def test_a_machine_may_do_without_security_updates() -> None:
    assert parse_index_targets("Debian http://one/\n").security is None


def test_a_machine_without_package_lists_is_told_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="apt-get update"):
        parse_index_targets("")


def test_a_release_has_updates() -> None:
    names = [
        line.split()[2:4]
        for line in sources_list(
            "bookworm", Mirrors("http://archive", "http://security")
        ).splitlines()
    ]
    assert names == [
        ["http://archive", "bookworm"],
        ["http://archive", "bookworm-updates"],
        ["http://security", "bookworm-security"],
    ]


def test_sid_is_all_there_is() -> None:
    mirrors = Mirrors("http://archive", "http://security")
    (line,) = sources_list("sid", mirrors).splitlines()
    assert line.endswith(" http://archive sid main")


def test_of_the_configuration_only_the_way_is_taken() -> None:
    configuration = """\
APT::Architecture "amd64";
Acquire::http "";
Acquire::http::Proxy "http://proxy:3128";
Acquire::IndexTargets::deb "";
Acquire::Check-Date "false";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";
"""
    assert way_to_mirrors(configuration).splitlines() == [
        'Acquire::http "";',
        'Acquire::http::Proxy "http://proxy:3128";',
        'Acquire::Check-Date "false";',
    ]
