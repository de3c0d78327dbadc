# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mosquitto has taken over from a client, by its log."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterable

from tools.harness.broker import Broker

_LINE = r"""
  \ mosquitto\ version\ \S+\ (?P<start>starting)$
| New\ client\ connected\ \S+\ \S+\ as\ {client_id}\ \(p[24],\ c(?P<clean>\d)
| Received\ PUBLISH\ from\ {client_id}
  \ \(d\d,\ q(?P<qos>\d),\ r\d,\ m(?P<id>\d+),\ '{topic}/(?P<number>\d+)'
| Received\ PUBREL\ from\ {client_id}\ \(Mid:\ (?P<released>\d+)\)
"""


class Delivered:
    """The numbers that a mosquitto has taken over from a client, in order, for
    each of its lives; its log has them, which survives its death.

    They are the last level of topics such as "numbers/17". Of QoS 2, these are
    the ones that were released (PUBREL), be it in a later life of a broker
    that is `persistent`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str = "kamailio",
        topic: str = "numbers",
        persistent: bool = False,
    ) -> None:
        self.lives: list[list[int]] = []
        self.position = 0  # Bytes of the log that were read.
        self._log_path = broker.process.log_path
        self._persistent = persistent
        self._unreleased: dict[str, int] = {}
        self._line = re.compile(
            _LINE.format(client_id=re.escape(client_id), topic=topic),
            re.MULTILINE | re.VERBOSE,
        )
        self.read()

    @property
    def numbers(self) -> list[int]:
        return list(itertools.chain.from_iterable(self.lives))

    def read(self) -> None:
        """Takes in what the log has got since the last time."""
        with self._log_path.open("rb") as log:
            log.seek(self.position)
            data = log.read()
        lines = data[: data.rfind(b"\n") + 1]
        self.position += len(lines)
        for match in self._line.finditer(lines.decode(errors="replace")):
            self._take(match)

    def _take(self, match: re.Match[str]) -> None:
        if match["start"]:
            self.lives.append([])
        if match["start"]:
            if not self._persistent:
                self._unreleased.clear()
        elif match["clean"] == "1":
            self._unreleased.clear()
        elif match["released"] in self._unreleased:
            self.lives[-1].append(self._unreleased.pop(match["released"]))
        elif match["qos"] == "2":
            self._unreleased[match["id"]] = int(match["number"])
        elif match["qos"]:
            self.lives[-1].append(int(match["number"]))


def duplicates(numbers: Iterable[int]) -> set[int]:
    """Those that are there more than once."""
    counts = collections.Counter(numbers)
    return {number for number, count in counts.items() if count > 1}
