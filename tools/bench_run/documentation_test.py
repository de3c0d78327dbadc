# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/benchmarks.md says of every row what runs."""

from pathlib import Path

import pytest

from tools.bench_run.__main__ import ROWS
from tools.bench_run.rows import Row

_PAGE = (
    Path(__file__).absolute().parents[2] / "docs/benchmarks.md"
).read_text()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_page_has_the_row(row: Row) -> None:
    described = [line for line in _PAGE.splitlines() if line[:3] == "| `"]
    assert any(f"`{row.name}`" in line for line in described)
