# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tools.debian_system.images import archive_name, fresh_system


def test_the_archive_does_not_depend_on_the_order_of_packages() -> None:
    name = archive_name("sid", ["gcc", "make"])
    assert name == archive_name("sid", ["make", "gcc", "make"])
    assert name != archive_name("sid", ["gcc"])
    assert name != archive_name("trixie", ["gcc", "make"])
    assert archive_name("sid", []) == "sid.tar.gz"


@pytest.mark.parametrize("suite", ["", "../sid", "Debian 12"])
def test_a_suite_must_be_a_name(suite: str) -> None:
    with pytest.raises(ValueError, match="is no name of a suite"):
        with fresh_system(suite):
            pass


@pytest.mark.parametrize("package", ["", "-y", "gcc make", "./x.deb"])
def test_a_package_must_be_a_name(package: str) -> None:
    with pytest.raises(ValueError, match="is no name of a package"):
        with fresh_system("sid", [package]):
            pass
