# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of tools/package, once the module is built."""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.harness.module_under_test import module_under_test
from tools.package_run import sources
from tools.package_run.deb import build_deb, machine_layout
from tools.package_run.install_check import check_installation
from tools.package_run.second_build import differences, second_build
from tools.package_run.versions import read_versions

_WORKSPACE = Path(__file__).absolute().parents[2]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/package",
        description="Makes the Debian package of the module.",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=_WORKSPACE / "dist",
        metavar="FOLDER",
        help="where to put it (default: dist/)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="build it twice and compare, and install, use and remove it in a"
        " fresh Debian system; needs root, and some minutes",
    )
    return parser.parse_args()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_bytes(deb: Path) -> None:
    print(
        "\n== The same again, from a clone in another folder, all compiled"
        " anew",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as directory:
        other = second_build(_WORKSPACE, Path(directory))
        print(f"   {_sha256(deb)}  the first time")
        print(f"   {_sha256(other)}  the second time")
        if deb.read_bytes() != other.read_bytes():
            raise AssertionError(
                "the two packages differ in "
                + (", ".join(differences(deb, other)) or "their control data")
            )
    print("   the same bytes")


def _check_lintian(deb: Path) -> None:
    print("\n== lintian", flush=True)
    # It leaves a file in the folder for temporary ones.
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["lintian", "--allow-root", "--fail-on", "error,warning", deb],
            env=os.environ | {"TMPDIR": directory},
            check=True,
        )
    print("   no error and no warning")


def _package(arguments: argparse.Namespace) -> int:
    changes = sources.changes(_WORKSPACE)
    if changes:
        print("Not as committed:", *changes, sep="\n   ", file=sys.stderr)
        if arguments.check:
            print("tools/package: commit that first", file=sys.stderr)
            return 1
    module = module_under_test()
    versions = read_versions(_WORKSPACE, module)
    deb = build_deb(
        _WORKSPACE,
        module,
        sources.epoch(_WORKSPACE),
        arguments.output.absolute(),
    )
    path = os.path.relpath(deb)
    print(f"\n== Made {path}")
    print(f"   version {versions.package}, for Kamailio {versions.kamailio}")
    print(f"   install it: sudo apt-get install ./{path}", flush=True)
    if arguments.check:
        _check_lintian(deb)
        _check_bytes(deb)
        check_installation(deb, versions.module, machine_layout())
        print("\nDone: the package is in order.")
    return 0


def main() -> int:
    # As Ctrl-C: what runs is stopped, and temporary folders go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _package(_arguments())
    except KeyboardInterrupt:
        print("\ntools/package: interrupted", file=sys.stderr)
        return 130
    except (
        AssertionError,
        OSError,
        RuntimeError,
        ValueError,
        subprocess.CalledProcessError,
    ) as error:
        print(f"\ntools/package: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
