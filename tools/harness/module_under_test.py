# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the module is that the tests load into Kamailio."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "MQTT_MODULE_UNDER_TEST"

_IN_WORKSPACE = Path("kamailio_module/mqtt.so")


def built_trees() -> list[Path]:
    """Where Bazel may have put what it built: the runfiles of a Bazel test,
    which mirror the workspace, or bazel-bin."""
    workspace = Path(__file__).absolute().parents[2]
    return [workspace, workspace / "bazel-bin"]


def module_under_test() -> Path:
    """The module that MQTT_MODULE_UNDER_TEST names, else the one that Bazel
    built: from the runfiles of a Bazel test, from bazel-bin elsewhere."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        candidates = [Path(chosen)]
    else:
        candidates = [tree / _IN_WORKSPACE for tree in built_trees()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    raise AssertionError(
        f"no module at {' or '.join(map(str, candidates))}: build "
        f"//kamailio_module:mqtt.so or set {VARIABLE}"
    )
