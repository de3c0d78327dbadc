# SPDX-License-Identifier: GPL-3.0-or-later
"""The haproxy on the machine of a Kamailio, in front of the brokers."""

from __future__ import annotations

import re
from pathlib import Path

from tools.cluster_run.page import Addresses, configuration
from tools.harness.ports import free_port
from tools.harness.process import Process

# Where the page's Kamailio finds it.
_OWN_ADDRESS = "127.0.0.1:1883"


class Balancer:
    """It prefers the broker with the given number; the page's first one
    prefers the first."""

    def __init__(
        self, directory: Path, preferred: int, addresses: Addresses
    ) -> None:
        self.port = free_port()
        path = directory / "haproxy.cfg"
        text = configuration("haproxy.cfg").replace(
            _OWN_ADDRESS, f"127.0.0.1:{self.port}"
        )
        assert str(self.port) in text, f"no {_OWN_ADDRESS} in haproxy.cfg"
        lines = []
        for line in addresses.replace(text).splitlines():
            if server := re.match(r" *server mqtt-(\d) ", line):
                line = line.removesuffix(" backup")
                if int(server[1]) != preferred:
                    line += " backup"
            lines.append(line)
        path.write_text("\n".join(lines) + "\n")
        self.process = Process(
            ["haproxy", "-db", "-f", path], directory / "haproxy.log"
        )

    def close(self) -> None:
        self.process.close()
