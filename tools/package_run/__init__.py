# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the Debian package of the module, and checks it; see
docs/packaging.md."""
