# SPDX-License-Identifier: GPL-3.0-or-later
"""What each step does with a running instance.

An action that returns has done what the scenario says; else it raises
StepFailed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc

from tools.harness.control_stubs import messages
from tools.harness.mqtt_client import Message
from tools.harness.sipp import run_sipp
from tools.harness.waiting import Timeout, wait_for
from tools.scenario_run import events, steps
from tools.scenario_run.errors import StepFailed
from tools.scenario_run.instance import Instance
from tools.scenario_run.matching import Pool
from tools.scenario_run.payloads import shown

T = TypeVar("T")

# So many of what came instead are told.
_MOST_SHOWN = 10


class Actions:
    """`directory` is where the files are that steps name."""

    def __init__(self, instance: Instance, directory: Path) -> None:
        self._instance = instance
        self._directory = directory

    @functools.singledispatchmethod
    def perform(self, step: steps.Step) -> None:
        """Raises StepFailed."""
        raise TypeError(f"no action for {type(step).__name__}")

    @perform.register
    def _(self, step: steps.Inject) -> None:
        with self._rpc_failures(f"the event route to run with {step.topic}"):
            response = self._instance.control.stub.InjectMessage(
                messages.InjectMessageRequest(
                    topic=step.topic,
                    payload=step.data,
                    qos=step.qos,
                    retain=step.retain,
                ),
                timeout=step.within,
            )
        result = events.name_of("RouteResult", response.result)
        _require("result", step.expect_result, result)

    @perform.register
    def _(self, step: steps.Publish) -> None:
        try:
            self._instance.client.publish(
                step.topic,
                step.data,
                qos=step.qos,
                retain=step.retain,
                deadline=step.within,
            )
        # What paho raises depends on how far the message got.
        except (AssertionError, RuntimeError, ValueError) as error:
            raise StepFailed(
                "the broker to take the message", str(error)
            ) from error

    @perform.register
    def _(self, step: steps.ControlPublish) -> None:
        with self._rpc_failures(f"outcome {step.expect_outcome}"):
            response = self._instance.control.stub.Publish(
                messages.PublishRequest(
                    topic=step.topic,
                    payload=step.data,
                    qos=step.qos,
                    retain=step.retain,
                    wait=step.expect_outcome != "accepted",
                ),
                timeout=step.within,
            )
        outcome = events.name_of("PublishOutcome", response.outcome)
        _require("outcome", step.expect_outcome, outcome)

    @perform.register
    def _(self, step: steps.Reconnect) -> None:
        with self._rpc_failures("a new connection"):
            self._instance.control.stub.Reconnect(
                messages.ReconnectRequest(
                    mode=events.number_of("ReconnectMode", step.mode),
                    wait=step.wait,
                ),
                timeout=step.within,
            )

    @perform.register
    def _(self, step: steps.BrokerChange) -> None:
        instance = self._instance
        {
            "stop": instance.stop_broker,
            "start": instance.start_broker,
            "freeze": instance.broker.pause,
            "resume": instance.broker.resume,
        }[step.change]()

    @perform.register
    def _(self, step: steps.Sip) -> None:
        headers = dict(step.headers or {})
        if step.sender is not None:
            headers["From"] = f"<{step.sender}>;tag=scenario"
        sip = self._instance.sip
        call = sip.send(
            step.method, uri=step.to, headers=headers, body=step.body
        )
        if step.expect_status is None:
            return
        expected = f"status {step.expect_status}"
        try:
            response = sip.response(call, deadline=step.within)
        except Timeout as error:
            raise StepFailed(
                expected, f"no final response within {step.within:g} s"
            ) from error
        if response.status != step.expect_status:
            raise StepFailed(
                expected, f"status {response.status} {response.reason}"
            )

    @perform.register
    def _(self, step: steps.Sipp) -> None:
        result = run_sipp(
            self._directory / step.scenario,
            self._instance.sip_port,
            calls=step.calls,
            keys=step.keys,
            timeout=max(1, round(step.within)),
        )
        if result.exit_code != 0:
            raise StepFailed(
                "exit code 0 from sipp",
                f"exit code {result.exit_code}\n{result.output}",
            )

    @perform.register
    def _(self, step: steps.ExpectPublish) -> None:
        fits = functools.partial(events.is_expected_publish, step)
        self._take_event(step, fits, "publish", f"publish: {step.summary()}")

    @perform.register
    def _(self, step: steps.ExpectMessage) -> None:
        fits = functools.partial(events.is_expected_message, step)
        self._take_event(
            step, fits, "message_received", f"message: {step.summary()}"
        )

    @perform.register
    def _(self, step: steps.ExpectEvent) -> None:
        fits = functools.partial(events.is_expected_event, step)
        self._take_event(step, fits, step.kind, f"event: {step.summary()}")

    @perform.register
    def _(self, step: steps.ExpectNoPublish) -> None:
        fits = functools.partial(events.is_expected_publish, step)

        def find() -> Any:
            self._instance.check()
            return self._instance.events.first(fits, in_order=step.in_order)

        try:
            found = wait_for(find, "a publish", deadline=step.within)
        except Timeout:
            return
        raise StepFailed(
            f"no publish: {step.summary()}", events.text(found)
        )

    @perform.register
    def _(self, step: steps.ExpectDelivered) -> None:
        def fits(message: Message) -> bool:
            return (
                step.fits_topic(message.topic)
                and step.qos in (None, message.qos)
                and step.fits_payload(message.payload, len(message.payload))
            )

        self._wait(
            step,
            lambda: self._instance.delivered().take(
                fits, in_order=step.in_order
            ),
            f"delivery: {step.summary()}",
            lambda: _list(self._instance.delivered(), _delivered_text),
        )

    @perform.register
    def _(self, step: steps.ExpectLog) -> None:
        self._wait(
            step,
            lambda: self._instance.log().take(
                lambda line: step.matches.search(line) is not None,
                in_order=step.in_order,
            ),
            f"log line that matches {step.summary()}",
            lambda: "no such line",
        )

    @perform.register
    def _(self, step: steps.ExpectConnection) -> None:
        def state() -> str:
            status = self._instance.control.stub.GetStatus(
                messages.GetStatusRequest(), timeout=step.within
            )
            return events.name_of("ConnectionState", status.connection.state)

        with self._rpc_failures(f"connection state {step.state}"):
            self._wait(
                step,
                lambda: state() == step.state,
                f"connection state {step.state}",
                state,
            )

    @perform.register
    def _(self, step: steps.ExpectSubscription) -> None:
        def present() -> Any:
            for each in self._instance.control.subscriptions(
                deadline=step.within
            ):
                if each.topic_filter == step.topic_filter:
                    return each
            return None

        with self._rpc_failures(f"subscription: {step.summary()}"):
            self._wait(
                step,
                lambda: _is_as_expected(step, present()),
                f"subscription: {step.summary()}",
                lambda: _subscription_text(present()),
            )

    @contextmanager
    def _rpc_failures(self, expected: str) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                self._instance.check(may_be_ending=True)
            raise StepFailed(
                expected, f"{error.code().name}: {error.details()}"
            ) from error

    def _take_event(
        self,
        step: steps.ExpectPublish | steps.ExpectMessage | steps.ExpectEvent,
        fits: Callable[[Any], bool],
        kind: str,
        expected: str,
    ) -> None:
        pool = self._instance.events
        self._wait(
            step,
            lambda: pool.take(
                fits, in_order=step.in_order, along=events.goes_along
            ),
            expected,
            lambda: _list(
                pool, events.text, lambda event: events.kind(event) == kind
            ),
        )

    def _wait(
        self,
        step: Any,
        condition: Callable[[], object],
        expected: str,
        instead: Callable[[], str],
    ) -> None:
        def fulfilled() -> bool:
            if condition():
                return True
            self._instance.check()
            return False

        try:
            wait_for(fulfilled, expected, deadline=step.within)
        except Timeout as error:
            raise StepFailed(
                f"{expected}, within {step.within:g} s", instead()
            ) from error


def _require(what: str, expected: str, actual: str) -> None:
    if actual != expected:
        raise StepFailed(f"{what} {expected}", actual)


def _list(
    pool: Pool[T],
    text: Callable[[T], str],
    concerned: Callable[[T], bool] = lambda item: True,
) -> str:
    """What of a pool has come and was not taken."""
    left = [text(item) for item in pool.left() if concerned(item)]
    if not left:
        return "nothing that an earlier step has not taken"
    more = len(left) - _MOST_SHOWN
    if more > 0:
        left = [f"({more} earlier ones)", *left[-_MOST_SHOWN:]]
    return "\n".join(left)


def _delivered_text(message: Message) -> str:
    return (
        f"topic {message.topic}, payload {shown(message.payload)}, "
        f"QoS {message.qos}"
    )


def _qos(subscription: Any) -> int:
    if subscription.HasField("granted_qos"):
        return int(subscription.granted_qos)
    return int(subscription.requested_qos)


def _subscription_state(subscription: Any | None) -> str:
    if subscription is None:
        return "absent"
    return events.name_of("SubscriptionState", subscription.state)


def _is_as_expected(
    step: steps.ExpectSubscription, subscription: Any | None
) -> bool:
    if _subscription_state(subscription) != step.state:
        return False
    return step.qos is None or _qos(subscription) == step.qos


def _subscription_text(subscription: Any | None) -> str:
    state = _subscription_state(subscription)
    if subscription is None:
        return state
    return f"QoS {_qos(subscription)}, {state}"
