# SPDX-License-Identifier: GPL-3.0-or-later
"""Which broker a scenario runs with."""

PRIVATE = "private"  # A mosquitto of its own.
NONE = "none"
