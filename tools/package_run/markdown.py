# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the documentation, as the package has them: what they name is
where the package puts it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

# From a path in the sources to that in the package, if it holds it; both
# without a slash at the start.
Place = Callable[[str], "str | None"]

# Commands, which are split off.
_COMMANDS = re.compile(r"(^```sh\n.*?^```$)", re.MULTILINE | re.DOTALL)

_LINK = r"\[(?P<label>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<link>[^)\s#]+)"
_ANCHOR = r"(?P<anchor>#[^)\s]*)?\)"
_PATH = (
    r"(?<![\w/.-])(?:\$PWD/)?(?P<path>(?:docs|testdata)/[\w./-]+\.\w+)"
)
_LINK_OR_PATH = re.compile(f"{_LINK}{_ANCHOR}|{_PATH}")


def packaged_page(
    text: str,
    *,
    source: str,
    target: str,
    place: Place,
    built: str,
    packaged: str,
) -> str:
    """A page at `source`, in Markdown, for `target`.

    Links lead to files of the package; to what it does not hold there is none.
    Paths of files that it holds are absolute. The folder `built`, of modules
    that a person has built, becomes `packaged`, but in commands, which copy
    such a module there.
    """

    def replaced(found: re.Match[str]) -> str:
        if found["path"]:
            where = place(found["path"])
            return f"/{where}" if where else found[0]
        if "://" in found["link"]:
            return found[0]
        where = place(
            posixpath.normpath(
                posixpath.join(posixpath.dirname(source), found["link"])
            )
        )
        if where is None:
            return f"{found['label']} (in the sources)"
        relative = posixpath.relpath(where, posixpath.dirname(target))
        return f"[{found['label']}]({relative}{found['anchor'] or ''})"

    return "".join(
        _LINK_OR_PATH.sub(
            replaced,
            part if _COMMANDS.match(part) else part.replace(built, packaged),
        )
        for part in _COMMANDS.split(text)
    )
