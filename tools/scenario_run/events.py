# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of the control API: which of them a step means, and how a report
shows them."""

from __future__ import annotations

from typing import Any

from tools.harness.control_stubs import messages
from tools.scenario_run.payloads import shown
from tools.scenario_run.steps import (
    ExpectEvent,
    ExpectMessage,
    ExpectNoPublish,
    ExpectPublish,
)


def name_of(enumeration: str, value: int) -> str:
    """The name of an enumeration's value in a scenario file: "active" for
    SUBSCRIPTION_STATE_ACTIVE."""
    descriptor = messages.DESCRIPTOR.enum_types_by_name[enumeration]
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    known = descriptor.values_by_number.get(value)
    return known.name.removeprefix(prefix).lower() if known else str(value)


def number_of(enumeration: str, name: str) -> int:
    """The inverse of `name_of`, of a name that exists."""
    descriptor = messages.DESCRIPTOR.enum_types_by_name[enumeration]
    return next(
        number
        for number in descriptor.values_by_number
        if name_of(enumeration, number) == name
    )


def kind(event: Any) -> str:
    return str(event.WhichOneof("event"))


def is_expected_publish(
    step: ExpectPublish | ExpectNoPublish, event: Any
) -> bool:
    outcome = step.outcome if isinstance(step, ExpectPublish) else "accepted"
    return (
        event.HasField("publish")
        and _outcome(event.publish) == outcome
        and _is_expected(step, event.publish)
    )


def is_expected_message(step: ExpectMessage, event: Any) -> bool:
    received = event.message_received
    return (
        event.HasField("message_received")
        and step.origin in (None, _origin(received))
        and _is_expected(step, received)
    )


def is_expected_event(step: ExpectEvent, event: Any) -> bool:
    if kind(event) != step.kind:
        return False
    if step.kind == "disconnected" and step.reason_matches is not None:
        reason = event.disconnected.reason
        return step.reason_matches.search(reason) is not None
    if step.kind == "subscription_changed":
        changed = event.subscription_changed
        return step.topic_filter in (
            None,
            changed.subscription.topic_filter,
        ) and step.state in (None, _change(changed))
    return True


def goes_along(taken: Any, earlier: Any) -> bool:
    """Whether both are of the same published message."""
    return (
        taken.HasField("publish")
        and earlier.HasField("publish")
        and taken.publish.publish_id == earlier.publish.publish_id
    )


def text(event: Any) -> str:
    """An event on one line."""
    if event.HasField("publish"):
        publish = event.publish
        return f"publish, {_message_text(publish)}, {_outcome(publish)}"
    if event.HasField("message_received"):
        received = event.message_received
        return (
            f"message, {_message_text(received)}, origin {_origin(received)}"
        )
    if event.HasField("subscription_changed"):
        changed = event.subscription_changed
        return (
            f"subscription_changed, {changed.subscription.topic_filter}, "
            f"{_change(changed)}"
        )
    if event.HasField("disconnected"):
        return f"disconnected, {event.disconnected.reason}"
    return kind(event)


def _is_expected(
    step: ExpectPublish | ExpectNoPublish | ExpectMessage, message: Any
) -> bool:
    return (
        step.fits_topic(message.topic)
        and step.qos in (None, message.qos)
        and step.retain in (None, message.retain)
        and step.fits_payload(message.payload, message.payload_size)
    )


def _message_text(message: Any) -> str:
    retain = ", retain" if message.retain else ""
    return (
        f"topic {message.topic}, payload {shown(message.payload)}, "
        f"QoS {message.qos}{retain}"
    )


def _outcome(publish: Any) -> str:
    return name_of("PublishOutcome", publish.outcome)


def _origin(received: Any) -> str:
    return name_of("MessageOrigin", received.origin)


def _change(changed: Any) -> str:
    if changed.removed:
        return "removed"
    return name_of("SubscriptionState", changed.subscription.state)
