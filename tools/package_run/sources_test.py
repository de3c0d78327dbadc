# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from tools.package_run import sources


def test_the_environment_may_say_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(sources.EPOCH_VARIABLE, "1700000000")
    assert sources.epoch(tmp_path) == 1700000000


@pytest.mark.parametrize("text", ["", "yesterday", "-1", "1.5"])
def test_a_time_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv(sources.EPOCH_VARIABLE, text)
    with pytest.raises(ValueError, match=sources.EPOCH_VARIABLE):
        sources.epoch(tmp_path)


def test_without_a_repository_the_environment_must_say_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(sources.EPOCH_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=f"set {sources.EPOCH_VARIABLE}"):
        sources.epoch(tmp_path)
    assert sources.changes(tmp_path) == []
