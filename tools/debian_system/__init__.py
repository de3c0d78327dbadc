# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh Debian system in a folder, for tests that install into it.

    with fresh_system("bookworm") as system:
        system.install("kamailio")
        print(system.run("kamailio", "-v"))

Needs root, and `tools/setup --package` for debootstrap. What the packages are
fetched from is taken from this machine's apt configuration.
"""
