# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as plain values: a subset in which nothing is guessed.

Values are strings, integers, floats, true, false, null, lists and mappings
with string keys. A date, say, is a string. Keys that occur twice, aliases and
tags are refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from tools.scenario_run.errors import ValueRefused, below

_BOOLEANS = {"true": True, "false": False}
# More digits do not fit a JSON number of any use, and cost time to convert.
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?[0-9]{1,19}(\.[0-9]{0,19})?([eE][-+]?[0-9]{1,3})?")


def parse(text: str) -> Any:
    """Raises ValueRefused."""
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _value(node, "")
    # ValueError: an escape sequence that stands for no character.
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ValueRefused("", None, _in_one_line(error)) from error
    except RecursionError as error:
        raise ValueRefused("", None, "is nested too deeply") from error


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(
                f"line {event.start_mark.line + 1}: aliases are not allowed"
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError(
                f"line {event.start_mark.line + 1}: tags are not allowed"
            )
        return super().compose_node(parent, index)


def _in_one_line(error: Exception) -> str:
    return "is not YAML: " + " ".join(str(error).split())


def _value(node: yaml.Node, path: str) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, f"{path}[{number}]")
            for number, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path)
    return _scalar(node, path)


def _mapping(node: yaml.MappingNode, path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ValueRefused(path, None, "must have strings as keys")
        key = _unicode(key_node.value, path)
        if key in result:
            raise ValueRefused(below(path, key), None, "occurs twice")
        result[key] = _value(value_node, below(path, key))
    return result


def _scalar(node: yaml.ScalarNode, path: str) -> Any:
    text = _unicode(node.value, path)
    if node.style is not None:
        return text  # Quoted, or a block.
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueRefused(path, text, "is too large for a number")
        return number
    return text


def _unicode(text: str, path: str) -> str:
    """Refuses what an escape sequence can make, and UTF-8 does not have."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueRefused(path, None, "must not hold surrogates")
    return text
