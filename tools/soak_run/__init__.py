# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools/soak runs: traffic through a Kamailio with the module, while
broker and network fail at random, and the promises that must hold all along.

Start with `run.py`.
"""
