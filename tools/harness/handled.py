# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that are numbers, and which of them a Kamailio's event route has
handled: its log has them, which survives its death."""

from __future__ import annotations

import re

from tools.harness.kamailio import Kamailio

# What a configuration that writes that log has among its routes.
EVENT_ROUTE = """
event_route[mqtt:message] {
    xlog("L_NOTICE", "handled $mqtt(msg)\\n");
}
"""

_LINE = re.compile(r" handled (\d+)$", re.MULTILINE)


def handled(kamailio: Kamailio) -> list[int]:
    """The numbers, in order."""
    return [int(number) for number in _LINE.findall(kamailio.log())]
