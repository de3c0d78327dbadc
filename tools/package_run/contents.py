# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files the package holds, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.package_run.markdown import packaged_page

PACKAGE = "kamailio-mqtt-grpc-module"

_DOCUMENTATION = f"usr/share/doc/{PACKAGE}"

PROTO_FOLDER = f"usr/share/{PACKAGE}/proto"

# Whole folders: what is added to them comes along.
_FOLDERS = {
    "docs": f"{_DOCUMENTATION}/docs",
    "testdata/demo": f"{_DOCUMENTATION}/examples/demo",
    "testdata/examples": f"{_DOCUMENTATION}/examples",
    "testdata/monitoring": f"{_DOCUMENTATION}/examples/monitoring",
    "testdata/scenarios": f"{_DOCUMENTATION}/examples/scenarios",
}
_FILES = {
    "ARCHITECTURE.md": f"{_DOCUMENTATION}/ARCHITECTURE.md",
    "README.md": f"{_DOCUMENTATION}/README.md",
    "tools/package_run/debian/copyright": f"{_DOCUMENTATION}/copyright",
    "control_api/kamailio/mqtt/v1/mqtt_control.proto": (
        f"{PROTO_FOLDER}/kamailio/mqtt/v1/mqtt_control.proto"
    ),
}

# What the package holds in another form.
_INSTEAD = {
    "CHANGELOG.md": f"{_DOCUMENTATION}/changelog.gz",
    "LICENSE": f"{_DOCUMENTATION}/copyright",
}

# Where examples and pages look for a module that a person has built.
_BUILT_MODULES = "/usr/local/lib/kamailio/modules"


@dataclass(frozen=True)
class Layout:
    """Paths that depend on the machine, such as x86_64-linux-gnu."""

    multiarch: str

    @property
    def module_folder(self) -> str:
        return f"usr/lib/{self.multiarch}/kamailio-mqtt/modules"

    @property
    def module(self) -> str:
        return f"{self.module_folder}/mqtt.so"

    @property
    def stock_module_folder(self) -> str:
        return f"usr/lib/{self.multiarch}/kamailio/modules"


def _sources(workspace: Path) -> Iterator[tuple[Path, str]]:
    for name, target in _FILES.items():
        yield workspace / name, target
    for name, target in _FOLDERS.items():
        folder = workspace / name
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            hidden = any(
                part.startswith((".", "__")) or part.endswith("~")
                for part in inside.parts
            )
            if path.is_file() and not hidden and path.name != "BUILD.bazel":
                yield path, f"{target}/{inside}"


def _place(source: str) -> str | None:
    """Where the package has a file or folder of the sources."""
    for folder, target in _FOLDERS.items():
        if source == folder or source.startswith(f"{folder}/"):
            return target + source.removeprefix(folder)
    return (_FILES | _INSTEAD).get(source)


def texts(workspace: Path, layout: Layout) -> Iterator[tuple[str, bytes]]:
    """All files but the module and the change logs: path without its leading
    slash, and content."""
    for path, target in _sources(workspace):
        yield target, _content(workspace, path, target, layout)
    yield f"{_DOCUMENTATION}/README.Debian", _readme(workspace, layout)


def _content(
    workspace: Path, path: Path, target: str, layout: Layout
) -> bytes:
    modules = f"/{layout.module_folder}"
    if path.suffix == ".cfg":
        text = path.read_text().replace(_BUILT_MODULES, modules)
    elif path.suffix == ".md":
        text = packaged_page(
            path.read_text(),
            source=path.relative_to(workspace).as_posix(),
            target=target,
            place=_place,
            built=_BUILT_MODULES,
            packaged=modules,
        )
    else:
        return path.read_bytes()
    return text.encode()


def change_log(name: str) -> str:
    return f"{_DOCUMENTATION}/{name}.gz"


def _readme(workspace: Path, layout: Layout) -> bytes:
    path = workspace / "tools/package_run/debian/README.Debian"
    text = path.read_text()
    for name, value in (
        ("@MODULE@", layout.module),
        ("@FOLDER@", layout.module_folder),
        ("@STOCK_FOLDER@", layout.stock_module_folder),
        ("@PROTO@", PROTO_FOLDER),
    ):
        text = text.replace(name, f"/{value}")
    return text.encode()
