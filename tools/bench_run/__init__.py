# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools/bench runs: the same configurations with this module and with the
stock one, on the same machine, in turn, and libmosquitto alone as the limit.

Start with `rows.py`.
"""
