# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a person's kamailio.cfg through scenario files: see docs/scenarios.md.

`document` reads a scenario into the steps of `steps`; `instance` runs Kamailio
and a broker; `actions` does one step with them, `runner` all of them; `report`
and `junit` tell what came of it.
"""
