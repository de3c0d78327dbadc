# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated messages and stubs of the control API, wherever Bazel has put
them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

from tools.harness.module_under_test import VARIABLE, built_trees

_PACKAGE = "control_api.kamailio.mqtt.v1"


def _generated(name: str) -> ModuleType:
    trees = built_trees()
    chosen = os.environ.get(VARIABLE)
    if chosen:
        trees.append(Path(chosen).absolute().parents[1])
    for tree in trees:
        if (tree / _PACKAGE.replace(".", "/") / f"{name}.py").is_file():
            if str(tree) not in sys.path:
                sys.path.append(str(tree))
            return importlib.import_module(f"{_PACKAGE}.{name}")
    raise ImportError(
        "build //control_api/kamailio/mqtt/v1:mqtt_control_py_grpc first"
    )


messages = _generated("mqtt_control_pb2")
services = _generated("mqtt_control_pb2_grpc")
