# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Kamailio, a private MQTT broker and their clients for tests and demos.

Start with `environment.Environment`: it owns a temporary directory and ends
everything that was started through it.
"""
