# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events a step means."""

import re
from typing import Any

import pytest

from tools.harness.control_stubs import messages
from tools.scenario_run import events
from tools.scenario_run.steps import (
    ExpectEvent,
    ExpectMessage,
    ExpectNoPublish,
    ExpectPublish,
)


def event(**member: Any) -> Any:
    return messages.WatchEventsResponse(**member)


def publish(
    publish_id: int = 1, outcome: str = "accepted", **fields: Any
) -> Any:
    defaults = {"topic": "a/b", "payload": b"text", "payload_size": 4}
    return event(
        publish=messages.PublishEvent(
            publish_id=publish_id,
            outcome=events.number_of("PublishOutcome", outcome),
            **(defaults | fields),
        )
    )


def received(**fields: Any) -> Any:
    return event(
        message_received=messages.MessageReceived(
            topic="a/b", origin=messages.MESSAGE_ORIGIN_INJECTED, **fields
        )
    )


def changed(topic_filter: str, state: str, *, removed: bool = False) -> Any:
    return event(
        subscription_changed=messages.SubscriptionChanged(
            subscription=messages.Subscription(
                topic_filter=topic_filter,
                state=events.number_of("SubscriptionState", state),
            ),
            removed=removed,
        )
    )


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (ExpectPublish(), True),
        (ExpectPublish(topic="a/b"), True),
        (ExpectPublish(topic="a"), False),
        (ExpectPublish(topic_filter="a/#"), True),
        (ExpectPublish(payload=b"text"), True),
        (ExpectPublish(payload=b"tex"), False),
        (ExpectPublish(qos=1), True),
        (ExpectPublish(qos=0), False),
        (ExpectPublish(retain=True), True),
        (ExpectPublish(retain=False), False),
        (ExpectPublish(outcome="acknowledged"), False),
        (ExpectNoPublish(topic="a/b"), True),
        (ExpectNoPublish(topic="c"), False),
    ],
)
def test_a_publish(
    step: ExpectPublish | ExpectNoPublish, expected: bool
) -> None:
    happened = publish(qos=1, retain=True)
    assert events.is_expected_publish(step, happened) == expected


def test_a_publish_with_an_outcome() -> None:
    step = ExpectPublish(outcome="acknowledged")
    assert events.is_expected_publish(step, publish(outcome="acknowledged"))
    assert not events.is_expected_publish(step, publish(outcome="written"))
    assert not events.is_expected_publish(step, received())


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (ExpectMessage(), True),
        (ExpectMessage(origin="injected"), True),
        (ExpectMessage(origin="broker"), False),
        (ExpectMessage(topic="c"), False),
        (ExpectMessage(qos=2), True),
    ],
)
def test_a_message(step: ExpectMessage, expected: bool) -> None:
    assert events.is_expected_message(step, received(qos=2)) == expected
    assert not events.is_expected_message(step, publish())


@pytest.mark.parametrize(
    ("step", "happened", "expected"),
    [
        ({"kind": "connected"}, event(connected={}), True),
        ({"kind": "connected"}, event(disconnected={}), False),
        (
            {"kind": "disconnected", "reason_matches": re.compile("lost")},
            event(disconnected={"reason": "was lost"}),
            True,
        ),
        (
            {"kind": "disconnected", "reason_matches": re.compile("lost")},
            event(disconnected={"reason": "other"}),
            False,
        ),
        ({"kind": "subscription_changed"}, changed("a", "active"), True),
        (
            {"kind": "subscription_changed", "topic_filter": "b"},
            changed("a", "active"),
            False,
        ),
        (
            {"kind": "subscription_changed", "state": "pending"},
            changed("a", "pending"),
            True,
        ),
        (
            {"kind": "subscription_changed", "state": "removed"},
            changed("a", "active", removed=True),
            True,
        ),
        (
            {"kind": "subscription_changed", "state": "active"},
            changed("a", "active", removed=True),
            False,
        ),
    ],
)
def test_other_events(
    step: dict[str, Any], happened: Any, expected: bool
) -> None:
    assert events.is_expected_event(ExpectEvent(**step), happened) == expected


def test_events_of_one_message_go_along() -> None:
    accepted, acknowledged = publish(1), publish(1, "acknowledged")
    assert events.goes_along(acknowledged, accepted)
    assert not events.goes_along(acknowledged, publish(2))
    assert not events.goes_along(acknowledged, received())
    assert not events.goes_along(received(), accepted)


@pytest.mark.parametrize(
    ("happened", "text"),
    [
        (
            publish(qos=1, retain=True, outcome="written"),
            "publish, topic a/b, payload 'text', QoS 1, retain, written",
        ),
        (
            received(),
            "message, topic a/b, payload '', QoS 0, origin injected",
        ),
        (changed("a/#", "refused"), "subscription_changed, a/#, refused"),
        (event(disconnected={"reason": "why"}), "disconnected, why"),
        (event(connected={}), "connected"),
    ],
)
def test_the_text_of_an_event(happened: Any, text: str) -> None:
    assert events.text(happened) == text


def test_a_value_that_is_newer_than_this_program_is_shown_as_a_number() -> None:
    assert events.name_of("PublishOutcome", 99) == "99"
