# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults. Each comes and goes within a time; afterwards all must be well
again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.harness.mqtt_client import MqttClient
from tools.harness.waiting import DEADLINE
from tools.soak_run.scene import KEEPALIVE, WATCHED, Scene

# More, with that of each QoS, than the dispatcher keeps for its event routes.
_FLOOD = 8000

_HURRY = 5  # Times the usual rate of SIP requests.


@dataclass(frozen=True)
class Fault:
    """`happen` takes a number of seconds between `shortest` and `longest`, and
    sometimes a bit more."""

    name: str
    shortest: float
    longest: float
    happen: Callable[[Scene, float, random.Random], None]


def _cut(scene: Scene, seconds: float, chance: random.Random) -> None:
    scene.proxy.cut()
    time.sleep(seconds)


def _stall(scene: Scene, seconds: float, chance: random.Random) -> None:
    scene.proxy.stall()
    time.sleep(seconds)
    scene.proxy.resume()


def _refuse(scene: Scene, seconds: float, chance: random.Random) -> None:
    scene.proxy.refuse()
    time.sleep(seconds)
    scene.proxy.refuse(False)


def _delay(scene: Scene, seconds: float, chance: random.Random) -> None:
    scene.proxy.delay = chance.uniform(0.01, 0.3)
    time.sleep(seconds)
    scene.proxy.delay = 0.0


def _pause_broker(scene: Scene, seconds: float, chance: random.Random) -> None:
    scene.broker.pause()
    time.sleep(seconds)
    scene.broker.resume()


def _kill_broker(scene: Scene, seconds: float, chance: random.Random) -> None:
    scene.broker.kill()
    time.sleep(seconds)
    scene.broker.start()


def _restart_broker(
    scene: Scene, seconds: float, chance: random.Random
) -> None:
    scene.broker.stop()
    time.sleep(seconds)
    scene.broker.start()


def _slow_event_route(
    scene: Scene, seconds: float, chance: random.Random
) -> None:
    with MqttClient(scene.broker.port) as client:
        client.publish("in/pause", str(round(seconds)))
    time.sleep(seconds)


def _flood(scene: Scene, seconds: float, chance: random.Random) -> None:
    """More messages than fit into the queue, during a slow event route."""
    with MqttClient(scene.broker.port) as client:
        client.publish("in/pause", str(round(seconds)))
    end = time.monotonic() + seconds
    for qos in ("0", "1"):
        scene.publish_often("in/flood", "x" * 100, qos, _FLOOD)
    time.sleep(max(0.0, end - time.monotonic()))


def _fill_queue(scene: Scene, seconds: float, chance: random.Random) -> None:
    """An outage at a high rate, and some seconds of refused publishes."""
    refused = scene.ledger["refused_queue_full"]
    scene.proxy.refuse()
    scene.change_sip_rate(_HURRY)
    scene.ledger.wait(
        "a full queue",
        lambda: scene.ledger["refused_queue_full"] > refused,
        deadline=2 * DEADLINE,
    )
    time.sleep(seconds)
    scene.change_sip_rate(1)
    scene.proxy.refuse(False)


def _change_subscriptions(
    scene: Scene, seconds: float, chance: random.Random
) -> None:
    """Subscriptions that come and go, also while the connection does."""
    end = time.monotonic() + seconds
    cut_at = time.monotonic() + chance.uniform(0, seconds)
    while (now := time.monotonic()) < end:
        if now >= cut_at:
            scene.proxy.cut()
            cut_at = end
        scene.watch(chance.choice(WATCHED), chance.random() < 0.5)
        time.sleep(0.02)


ALL = (
    Fault("connection cut", 1, 5, _cut),
    Fault("short stall", 1, KEEPALIVE - 1, _stall),
    Fault("long stall", 2 * KEEPALIVE + 2, 16, _stall),
    Fault("connection refused", 2, 12, _refuse),
    Fault("slow network", 4, 12, _delay),
    Fault("broker paused", 2, 15, _pause_broker),
    Fault("broker killed", 1, 8, _kill_broker),
    Fault("broker restarted", 0, 5, _restart_broker),
    Fault("slow event route", 4, 12, _slow_event_route),
    Fault("inbound flood", 6, 10, _flood),
    Fault("queue full", 1, 4, _fill_queue),
    Fault("subscriptions changed", 3, 8, _change_subscriptions),
)
