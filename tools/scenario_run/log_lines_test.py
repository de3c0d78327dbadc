# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

from tools.scenario_run.log_lines import LogLines


def test_each_line_comes_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    lines = LogLines(path)
    assert lines.new() == []
    with path.open("ab", buffering=0) as log:
        log.write(b"first\nsec")
        assert lines.new() == ["first"]
        assert lines.new() == []
        log.write(b"ond\n\n\xff\n")
        assert lines.new() == ["second", "", "\ufffd"]
        assert lines.new() == []
