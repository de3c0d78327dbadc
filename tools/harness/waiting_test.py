# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from tools.harness.waiting import Timeout, wait_for


def test_returns_what_the_condition_returns() -> None:
    results = iter([0, None, "there"])
    assert wait_for(lambda: next(results), "it") == "there"


def test_a_timeout_says_what_was_missing() -> None:
    with pytest.raises(Timeout) as failure:
        wait_for(lambda: False, "a sign", deadline=0, details=lambda: "quiet")
    assert str(failure.value) == "waited 0 s for a sign\nquiet"
