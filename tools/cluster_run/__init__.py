# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools/cluster runs: several Kamailios on a cluster of brokers, of which
one each is killed while messages flow both ways.

Start with `run.py`.
"""
