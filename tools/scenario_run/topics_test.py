# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from tools.scenario_run.topics import ExpectedTopic, matches


# The examples of MQTT 3.1.1, section 4.7.
@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/w", True),
        ("sport/#", "sport", True),
        ("#", "a/b", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/a", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/a", True),
        ("a/#", "b", False),
        ("a/b/#", "a", False),
        ("a", "A", False),
    ],
)
def test_filters(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) == expected


def test_a_topic_is_expected_as_it_is_or_like_a_filter_or_not_at_all() -> None:
    assert ExpectedTopic(topic="a/b").fits_topic("a/b")
    assert not ExpectedTopic(topic="a/b").fits_topic("a")
    assert ExpectedTopic(topic_filter="a/+").fits_topic("a/b")
    assert not ExpectedTopic(topic_filter="a/+").fits_topic("b/b")
    assert ExpectedTopic().fits_topic("anything")
