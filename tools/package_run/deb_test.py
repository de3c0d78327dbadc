# SPDX-License-Identifier: GPL-3.0-or-later
"""The package of the module that Bazel has built, as it is in a file; whether
it can be used is what `tools/package --check` tells."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.harness.module_under_test import module_under_test
from tools.package_run.contents import PACKAGE
from tools.package_run.deb import build_deb, machine_layout, package_files

_WORKSPACE = Path(__file__).absolute().parents[2]
_EPOCH = 1700000000
_DOCUMENTATION = f"usr/share/doc/{PACKAGE}"


@dataclass(frozen=True)
class _Package:
    path: Path
    files: dict[str, tuple[str, bytes]]

    def content(self, name: str) -> bytes:
        return self.files[f"./{name}"][1]

    def field(self, name: str) -> str:
        return subprocess.run(
            ["dpkg-deb", "--field", self.path, name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> _Package:
    directory = tmp_path_factory.mktemp("package")
    path = build_deb(_WORKSPACE, module_under_test(), _EPOCH, directory)
    return _Package(path, package_files(path))


def _control_archive(package: _Package, directory: Path) -> Path:
    subprocess.run(
        ["dpkg-deb", "--control", package.path, directory], check=True
    )
    return directory


def test_the_same_sources_elsewhere_give_the_same_bytes(
    package: _Package, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(
        _WORKSPACE,
        elsewhere,
        # Not what a work tree has in addition.
        ignore=shutil.ignore_patterns(".git", "bazel-*", "dist"),
        copy_function=shutil.copyfile,
    )
    module = shutil.copyfile(module_under_test(), tmp_path / "mqtt.so")
    before = os.umask(0o077)
    try:
        again = build_deb(elsewhere, module, _EPOCH, tmp_path / "output")
    finally:
        os.umask(before)
    assert again.name == package.path.name
    assert again.read_bytes() == package.path.read_bytes()


def test_it_needs_exactly_the_kamailio_that_it_was_built_for(
    package: _Package,
) -> None:
    depends = package.field("Depends").split(", ")
    (exact,) = re.findall(
        r"~kamailio(\d+\.\d+\.\d+)$", package.field("Version")
    )
    assert f"kamailio (>= {exact})" in depends
    (older,) = [each for each in depends if each.startswith("kamailio (<< ")]
    assert older.startswith("kamailio (<< " + exact.rpartition(".")[0])


def test_it_needs_the_libraries_that_it_is_linked_to(
    package: _Package,
) -> None:
    depends = package.field("Depends")
    for library in ("libgrpc++", "libmosquitto", "libev", "libprotobuf"):
        assert re.search(rf", {re.escape(library)}[0-9.]+(t64)? \(>= ", depends)


def test_its_version_is_that_of_the_module(package: _Package) -> None:
    version = (_WORKSPACE / "VERSION").read_text().strip()
    assert package.field("Version").startswith(f"{version}-1~kamailio")


def test_nothing_runs_when_it_is_installed(
    package: _Package, tmp_path: Path
) -> None:
    archive = _control_archive(package, tmp_path / "control")
    assert {path.name for path in archive.iterdir()} == {"control", "md5sums"}


def test_each_file_has_its_sum(package: _Package, tmp_path: Path) -> None:
    archive = _control_archive(package, tmp_path / "control")
    sums = {}
    for line in (archive / "md5sums").read_text().splitlines():
        value, name = line.split("  ")
        sums[name] = value
    assert sums == {
        name.removeprefix("./"): hashlib.md5(content).hexdigest()
        for name, (description, content) in package.files.items()
        if description.startswith("file ")
    }


def test_all_belongs_to_root_and_has_the_time_of_the_sources(
    package: _Package,
) -> None:
    descriptions = {description for description, _ in package.files.values()}
    assert descriptions == {
        f"folder 755 root/root {_EPOCH}",
        f"file 644 root/root {_EPOCH}",
    }


def test_the_module_lies_beside_the_stock_one(package: _Package) -> None:
    layout = machine_layout()
    assert package.content(layout.module).startswith(b"\x7fELF")
    stock = f"./{layout.stock_module_folder}"
    assert not [name for name in package.files if name.startswith(stock)]


def test_the_module_does_not_tell_where_it_was_built(
    package: _Package,
) -> None:
    module = package.content(machine_layout().module)
    assert str(_WORKSPACE).encode() not in module
    assert str(Path.home()).encode() + b"/" not in module


def test_whole_folders_come_along(package: _Package) -> None:
    for source, target in (
        ("docs", "docs"),
        ("testdata/demo", "examples/demo"),
        ("testdata/examples", "examples"),
        ("testdata/monitoring", "examples/monitoring"),
        ("testdata/scenarios", "examples/scenarios"),
    ):
        folder = _WORKSPACE / source
        expected = {
            f"./{_DOCUMENTATION}/{target}/{path.relative_to(folder)}"
            for path in folder.rglob("*")
            # Bazel makes an __init__.py in each folder of a test.
            if path.is_file()
            and path.name not in ("BUILD.bazel", "__init__.py")
        }
        assert expected and not expected - package.files.keys()


def test_the_examples_load_the_module_of_the_package(
    package: _Package,
) -> None:
    paths = {
        line
        for name, (_, content) in package.files.items()
        if name.endswith(".cfg")
        for line in content.decode().splitlines()
        if line.startswith("#!trydef MQTT_MODULE ")
    }
    module = machine_layout().module
    assert paths == {f'#!trydef MQTT_MODULE "/{module}"'}


def _pages(package: _Package) -> dict[str, str]:
    pages = {
        name: content.decode()
        for name, (_, content) in package.files.items()
        if name.endswith(".md")
    }
    assert len(pages) > 10
    return pages


def test_links_of_the_pages_lead_to_files_of_the_package(
    package: _Package,
) -> None:
    dead = set()
    for page, text in _pages(package).items():
        links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
        for link in links:
            target = posixpath.join(posixpath.dirname(page), link)
            if "://" not in link and (
                f"./{posixpath.normpath(target)}" not in package.files
            ):
                dead.add((page, link))
    assert not dead


def test_paths_in_the_pages_are_those_of_the_package(
    package: _Package,
) -> None:
    folder = re.escape(f"/{_DOCUMENTATION}/")
    named = set()
    for page, text in _pages(package).items():
        named |= set(re.findall(rf"{folder}[\w./-]*\w", text))
        assert not re.findall(r"\btestdata/\w.*", text), page
        # What is left is for a module that somebody builds.
        for line in re.findall(r".*/usr/local/lib/kamailio.*", text):
            assert line.startswith("sudo install -D "), page
    assert f"/{_DOCUMENTATION}/docs/monitoring/prometheus.yml" in named
    assert named <= {name.removeprefix(".") for name in package.files}


def test_the_rules_of_prometheus_pass_their_test_where_they_lie(
    package: _Package, tmp_path: Path
) -> None:
    subprocess.run(
        ["dpkg-deb", "--extract", package.path, tmp_path], check=True
    )
    test = "examples/monitoring/prometheus_rules_test.yml"
    subprocess.run(
        ["promtool", "test", "rules", tmp_path / _DOCUMENTATION / test],
        check=True,
    )


def test_the_readme_of_debian_names_the_places(package: _Package) -> None:
    text = package.content(f"{_DOCUMENTATION}/README.Debian").decode()
    assert f'loadmodule "/{machine_layout().module}"' in text
    assert "@" not in text


def test_the_proto_lies_where_its_import_path_says(
    package: _Package,
) -> None:
    proto = package.content(
        f"usr/share/{PACKAGE}/proto/kamailio/mqtt/v1/mqtt_control.proto"
    ).decode()
    assert "package kamailio.mqtt.v1;" in proto
