# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises, looked at while nothing flows."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.harness.delivered import duplicates
from tools.harness.ledger import EVERY_QOS, total
from tools.harness.mqtt_client import MqttClient
from tools.soak_run.scene import (
    ACCEPTED,
    CLIENT_ID,
    DRAIN_TIMEOUT,
    QUEUE_FULL,
    WATCHED,
    Scene,
)

# Seconds to be well again after a fault: the longest pause that a few broken
# connections in a row lead to, and more.
_RECOVERY = 90.0


@dataclass
class Outcome:
    """What has become of all messages so far."""

    counters: dict[str, int] = field(default_factory=dict)
    accepted: dict[int, int] = field(default_factory=dict)
    delivered: dict[int, int] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    # Delivered more than once by one life of the broker.
    twice: dict[int, int] = field(default_factory=dict)
    # The same, and by different lives: a broker that is killed forgets.
    twice_in_all: dict[int, int] = field(default_factory=dict)
    refused: int = 0


def check(scene: Scene) -> Outcome:
    """Pauses all traffic, and asserts that every request was answered and that
    every message is accounted for."""
    scene.ledger.wait_connected(deadline=_RECOVERY)
    scene.pause()
    scene.ledger.wait_delivered(deadline=_RECOVERY)
    scene.ledger.wait(
        "the event routes to catch up",
        lambda: scene.ledger["inbound_queued"] == 0,
        deadline=_RECOVERY,
    )
    _check_answers(scene)
    _check_subscriptions(scene)
    counters = scene.ledger.check(scene)
    _check_inbound(counters)
    return _check_delivered(scene, counters)


def _check_answers(scene: Scene) -> None:
    unexpected = [
        request
        for request in scene.requests
        if request.result not in (ACCEPTED, QUEUE_FULL)
    ]
    assert not unexpected, unexpected[:10]


def _check_subscriptions(scene: Scene) -> None:
    """Messages to all topics that were ever subscribed to, and one that is
    always: those to the subscribed ones, and no others, must be answered. The
    answers also end what is still on its way to the broker, since all goes
    through one connection."""
    with MqttClient(scene.broker.port) as client:
        sent = {topic: scene.send_in(client, topic) for topic in WATCHED}
        last = scene.send_in(client, "in/quick")

    def answered() -> bool:
        scene.answers.read()
        return last in scene.answers.numbers

    scene.kamailio.process.wait_until(answered, "the last answer")
    answers = set(scene.answers.numbers)
    watched = {topic for topic, number in sent.items() if number in answers}
    assert watched == scene.watched, (watched, scene.watched)


def _check_inbound(counters: dict[str, int]) -> None:
    events = counters["connects"] + counters["disconnects"]
    messages = counters["routes_run"] - events
    received = total(counters, "received")
    dropped = total(counters, "inbound_dropped")
    assert received == messages + dropped, counters
    assert counters["routes_failed"] == 0, counters


def _check_delivered(scene: Scene, counters: dict[str, int]) -> Outcome:
    scene.delivered.read()
    delivered = set(scene.delivered.numbers)
    twice_in_all = duplicates(scene.delivered.numbers)
    twice = {
        number
        for life in scene.delivered.lives
        for number in duplicates(life)
    }
    outcome = Outcome(counters)
    for qos in EVERY_QOS:
        sent = {
            request.number for request in scene.requests if request.qos == qos
        }
        accepted = {
            request.number
            for request in scene.requests
            if request.qos == qos and request.result == ACCEPTED
        }
        lost = accepted - delivered
        assert delivered & sent <= accepted, "delivered, but not accepted"
        possibly_lost = counters[f"possibly_lost_qos{qos}"]
        assert len(lost) <= possibly_lost, (
            f"QoS {qos}: lost {sorted(lost)[:20]}, {len(lost)} in all; "
            f"possibly lost {possibly_lost}"
        )
        outcome.accepted[qos] = len(accepted)
        outcome.delivered[qos] = len(accepted & delivered)
        outcome.lost[qos] = len(lost)
        outcome.twice[qos] = len(twice & accepted)
        outcome.twice_in_all[qos] = len(twice_in_all & accepted)
    assert outcome.lost[1] == outcome.lost[2] == 0, outcome
    assert outcome.twice_in_all[0] == 0, outcome
    assert outcome.twice[2] == 0, outcome
    # A message of QoS 1 that was under way when a connection broke may come
    # twice, and is answered twice then.
    answers = scene.answers.numbers
    assert len(set(answers)) <= scene.answers_accepted() <= len(answers), (
        "answers were lost"
    )
    outcome.refused = scene.refused_count()
    return outcome


def check_stop(scene: Scene) -> None:
    """Stops Kamailio, which must be clean and in time."""
    process = scene.kamailio.process
    assert process.stop(deadline=DRAIN_TIMEOUT + 3) == 0, process.log_tail()
    assert "stopped with" not in process.log(), process.log_tail()
    scene.broker.process.wait_for_log(f"Received DISCONNECT from {CLIENT_ID}")
