# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tools.cluster_run.accounts import Phase, account
from tools.cluster_run.report import passed, text
from tools.cluster_run.run import Result


def _result(
    *,
    published: Sequence[int] = (9, 9, 4),
    phases: Sequence[Sequence[int]] = ((3, 3, 3), (5, 5, 0)),
    received: Sequence[int] = (1, 2),
    held: Sequence[int] = (),
) -> Result:
    return Result(
        seconds=60,
        failover_seconds=5,
        phases=[Phase("a phase", handled) for handled in phases],
        published=list(published),
        inbound=account([1, 2], [1, 2]),
        out=account([1, 2], received, held=held),
        killed=2,
    )


def test_nothing_lost() -> None:
    result = _result()
    assert passed(result)
    assert text(result).endswith("\nNothing was lost.")


def test_what_died_with_a_node_is_told() -> None:
    result = _result(received=[1], held=[2])
    assert passed(result)
    assert text(result).endswith(
        "\nNothing was lost but 1 that died with their Kamailio."
    )


def test_lost() -> None:
    result = _result(received=[1])
    assert not passed(result)
    assert "Messages from SIP that were lost: 2" in text(result)
    assert text(result).endswith("\nFAILED")


@pytest.mark.parametrize(
    ("published", "phases"),
    [
        ((9, 0, 4), ((3, 3, 3), (5, 5, 0))),
        ((9, 9, 4), ((3, 3, 0), (5, 5, 0))),
        ((9, 9, 4), ((3, 3, 3), (9, 0, 0))),
    ],
)
def test_a_node_without_work_shows_nothing(
    published: Sequence[int], phases: Sequence[Sequence[int]]
) -> None:
    assert not passed(_result(published=published, phases=phases))
