# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a scenario, as its file has them: docs/scenarios.md says what
each does."""

from __future__ import annotations

import abc
import re
from dataclasses import dataclass
from typing import ClassVar

from tools.scenario_run import values
from tools.scenario_run.errors import ValueRefused
from tools.scenario_run.payloads import ExpectedPayload, Payload
from tools.scenario_run.schema import key
from tools.scenario_run.topics import ExpectedTopic

# Seconds.
_WITHIN = 10.0
_WITHIN_NONE = 0.5
_WITHIN_SIPP = 30.0

_OUTCOMES = (
    "accepted",
    "written",
    "acknowledged",
    "dropped_expired",
    "dropped_oldest",
    "dropped_invalid",
    "dropped_refused",
    "dropped_shutdown",
    "withdrawn",
)
_SUBSCRIPTION_STATES = ("pending", "active", "refused")


@dataclass(frozen=True, kw_only=True)
class Step(abc.ABC):
    """`KEY` is its name in the file."""

    KEY: ClassVar[str]
    MAIN_KEY: ClassVar[str | None] = None
    NEEDS_BROKER: ClassVar[bool] = False

    def check(self, path: str) -> None:
        """Raises ValueRefused where keys do not go together."""

    @abc.abstractmethod
    def summary(self) -> str:
        """What it is about, in a few words."""


@dataclass(frozen=True, kw_only=True)
class _Message(Payload, Step):
    """A message to send."""

    topic: str = key(values.topic_name)
    qos: int = key(values.qos, 0)
    retain: bool = key(values.boolean, False)

    def check(self, path: str) -> None:
        Payload.check(self, path)

    def summary(self) -> str:
        return self.topic


@dataclass(frozen=True, kw_only=True)
class Inject(_Message):
    KEY = "inject"
    expect_result: str = key(
        values.one_of("done", "no_route", "failed"), "done"
    )
    within: float = key(values.duration, _WITHIN)


@dataclass(frozen=True, kw_only=True)
class Publish(_Message):
    KEY = "publish"
    NEEDS_BROKER = True
    within: float = key(values.duration, _WITHIN)


@dataclass(frozen=True, kw_only=True)
class ControlPublish(_Message):
    KEY = "control_publish"
    expect_outcome: str = key(values.one_of(*_OUTCOMES), "accepted")
    within: float = key(values.duration, _WITHIN)


@dataclass(frozen=True, kw_only=True)
class Reconnect(Step):
    KEY = "reconnect"
    MAIN_KEY = "mode"
    mode: str = key(values.one_of("graceful", "abrupt"), "graceful")
    wait: bool = key(values.boolean, True)
    within: float = key(values.duration, _WITHIN)

    def summary(self) -> str:
        return self.mode


@dataclass(frozen=True, kw_only=True)
class BrokerChange(Step):
    KEY = "broker"
    MAIN_KEY = "change"
    NEEDS_BROKER = True
    change: str = key(values.one_of("stop", "start", "freeze", "resume"))

    def summary(self) -> str:
        return self.change


@dataclass(frozen=True, kw_only=True)
class Sip(Step):
    KEY = "sip"
    MAIN_KEY = "method"
    method: str = key(values.token)
    to: str | None = key(values.sip_uri, None)
    sender: str | None = key(values.sip_uri, None, name="from")
    headers: dict[str, str] | None = key(values.headers, None)
    body: bytes = key(values.payload, b"")
    expect_status: int | None = key(values.integer(200, 699), None)
    within: float = key(values.duration, _WITHIN)

    def summary(self) -> str:
        return " ".join(filter(None, [self.method, self.to]))


@dataclass(frozen=True, kw_only=True)
class Sipp(Step):
    KEY = "sipp"
    MAIN_KEY = "scenario"
    scenario: str = key(values.line)
    keys: dict[str, str] | None = key(values.strings, None)
    calls: int = key(values.integer(1, 1000), 1)
    within: float = key(values.duration, _WITHIN_SIPP)

    def summary(self) -> str:
        return self.scenario


@dataclass(frozen=True, kw_only=True)
class _Occurrence(Step):
    """Something that happens, and that one step takes."""

    within: float = key(values.duration, _WITHIN)
    in_order: bool = key(values.boolean, False)


@dataclass(frozen=True, kw_only=True)
class _ExpectedMessage(ExpectedTopic, ExpectedPayload, Step):
    qos: int | None = key(values.qos, None)

    def check(self, path: str) -> None:
        ExpectedTopic.check(self, path)
        ExpectedPayload.check(self, path)

    def summary(self) -> str:
        return ", ".join(self._parts()) or "any message"

    def _parts(self) -> list[str]:
        qos = [] if self.qos is None else [f"QoS {self.qos}"]
        return [*self.topic_text(), *self.payload_text(), *qos]


@dataclass(frozen=True, kw_only=True)
class _ExpectedFlaggedMessage(_ExpectedMessage):
    retain: bool | None = key(values.boolean, None)

    def _parts(self) -> list[str]:
        parts = super()._parts()
        if self.retain is not None:
            parts.append("retain" if self.retain else "no retain")
        return parts


@dataclass(frozen=True, kw_only=True)
class ExpectPublish(_ExpectedFlaggedMessage, _Occurrence):
    KEY = "expect_publish"
    outcome: str = key(values.one_of(*_OUTCOMES), "accepted")

    def _parts(self) -> list[str]:
        return [*super()._parts(), self.outcome]


@dataclass(frozen=True, kw_only=True)
class ExpectNoPublish(_ExpectedFlaggedMessage, _Occurrence):
    KEY = "expect_no_publish"
    within: float = key(values.duration, _WITHIN_NONE)


@dataclass(frozen=True, kw_only=True)
class ExpectMessage(_ExpectedFlaggedMessage, _Occurrence):
    KEY = "expect_message"
    origin: str | None = key(values.one_of("broker", "injected"), None)

    def _parts(self) -> list[str]:
        origin = [] if self.origin is None else [f"origin {self.origin}"]
        return [*super()._parts(), *origin]


@dataclass(frozen=True, kw_only=True)
class ExpectDelivered(_ExpectedMessage, _Occurrence):
    KEY = "expect_delivered"
    NEEDS_BROKER = True


@dataclass(frozen=True, kw_only=True)
class ExpectEvent(_Occurrence):
    KEY = "expect_event"
    MAIN_KEY = "kind"
    kind: str = key(
        values.one_of("connected", "disconnected", "subscription_changed")
    )
    reason_matches: re.Pattern[str] | None = key(values.pattern, None)
    topic_filter: str | None = key(values.topic_filter, None)
    state: str | None = key(
        values.one_of(*_SUBSCRIPTION_STATES, "removed"), None
    )

    def check(self, path: str) -> None:
        for name, kind in (
            ("reason_matches", "disconnected"),
            ("topic_filter", "subscription_changed"),
            ("state", "subscription_changed"),
        ):
            if getattr(self, name) is not None and self.kind != kind:
                raise ValueRefused(
                    f"{path}.{name}", None, f"is for kind {kind} only"
                )

    def summary(self) -> str:
        reason = self.reason_matches
        return ", ".join(
            filter(
                None,
                [
                    self.kind,
                    reason and f"reason that matches {reason.pattern}",
                    self.topic_filter,
                    self.state,
                ],
            )
        )


@dataclass(frozen=True, kw_only=True)
class ExpectLog(_Occurrence):
    KEY = "expect_log"
    MAIN_KEY = "matches"
    matches: re.Pattern[str] = key(values.pattern)

    def summary(self) -> str:
        return self.matches.pattern


@dataclass(frozen=True, kw_only=True)
class ExpectConnection(Step):
    KEY = "expect_connection"
    MAIN_KEY = "state"
    state: str = key(values.one_of("connected", "connecting", "waiting"))
    within: float = key(values.duration, _WITHIN)

    def summary(self) -> str:
        return self.state


@dataclass(frozen=True, kw_only=True)
class ExpectSubscription(Step):
    KEY = "expect_subscription"
    MAIN_KEY = "topic_filter"
    topic_filter: str = key(values.topic_filter)
    qos: int | None = key(values.qos, None)
    state: str = key(values.one_of(*_SUBSCRIPTION_STATES, "absent"), "active")
    within: float = key(values.duration, _WITHIN)

    def check(self, path: str) -> None:
        if self.state == "absent" and self.qos is not None:
            raise ValueRefused(
                f"{path}.qos", None, "is not for state absent"
            )

    def summary(self) -> str:
        qos = [] if self.qos is None else [f"QoS {self.qos}"]
        return ", ".join([self.topic_filter, *qos, self.state])


KINDS: dict[str, type[Step]] = {
    kind.KEY: kind
    for kind in (
        Inject,
        Publish,
        ControlPublish,
        Sip,
        Sipp,
        Reconnect,
        BrokerChange,
        ExpectPublish,
        ExpectNoPublish,
        ExpectMessage,
        ExpectDelivered,
        ExpectConnection,
        ExpectSubscription,
        ExpectEvent,
        ExpectLog,
    )
}
