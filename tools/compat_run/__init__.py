# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds and tests the sources on other Debian releases (tools/compat)."""
