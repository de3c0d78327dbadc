# SPDX-License-Identifier: GPL-3.0-or-later
"""The will is for a crash: the broker publishes it then, as will_qos and
will_retain say, and not after a clean stop."""

from __future__ import annotations

import os
import signal

import pytest

from kamailio_module.integration_tests.scene import CLIENT_ID, Scene
from tools.harness.environment import Environment
from tools.harness.kamailio import Parameter
from tools.harness.mqtt_client import Message

WILL: dict[str, Parameter] = {"will_topic": "out/will", "will": "gone"}

DISCONNECT_LINE = f"Received DISCONNECT from {CLIENT_ID}"


@pytest.mark.parametrize("will_qos", [0, 1, 2])
@pytest.mark.parametrize("will_retain", [0, 1])
def test_killed_dispatcher(
    environment: Environment, will_qos: int, will_retain: int
) -> None:
    scene = Scene(
        environment,
        parameters=WILL
        | {"will_qos": will_qos, "will_retain": will_retain},
    )
    os.kill(scene.kamailio.dispatcher_pid(), signal.SIGKILL)
    assert scene.observer.wait_message() == Message(
        "out/will", b"gone", will_qos, retain=False
    )
    # What is retained comes before what is published later, at the QoS that
    # takes the most packets.
    late = environment.mqtt_client(scene.broker)
    late.subscribe("out/#")
    late.publish("out/end", qos=2)
    retained = Message("out/will", b"gone", will_qos, retain=True)
    end = Message("out/end", b"", 2, retain=False)
    expected = [retained, end] if will_retain else [end]
    assert late.wait_messages(len(expected)) == expected


def test_killed_kamailio(environment: Environment) -> None:
    scene = Scene(environment, parameters=WILL)
    scene.kamailio.process.close()
    assert scene.observer.wait_message() == Message(
        "out/will", b"gone", 0, retain=False
    )


def test_empty_will(environment: Environment) -> None:
    scene = Scene(environment, parameters=WILL | {"will": ""})
    scene.kamailio.process.close()
    assert scene.observer.wait_message() == Message(
        "out/will", b"", 0, retain=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(environment: Environment, number: signal.Signals) -> None:
    scene = Scene(environment, parameters=WILL | {"will_retain": 1})
    scene.kamailio.process.signal(number)
    assert scene.kamailio.process.wait() == 0
    scene.broker.process.wait_for_log(DISCONNECT_LINE)
    scene.observer.publish("out/end")
    assert scene.observer.wait_message().topic == "out/end"


def test_stop_during_an_event_route(environment: Environment) -> None:
    scene = Scene(
        environment,
        parameters=WILL | {"drain_timeout": 100},
        modules=["cfgutils"],
        routes="""
        event_route[mqtt:connected] {
            xlog("the event route is busy\\n");
            sleep("60");
        }""",
    )
    scene.kamailio.wait_for_log("the event route is busy")
    scene.kamailio.stop()
    scene.broker.process.wait_for_log(DISCONNECT_LINE)
    scene.observer.publish("out/end")
    assert scene.observer.wait_message().topic == "out/end"


def test_the_will_stays_after_a_reconnect(environment: Environment) -> None:
    scene = Scene(environment, parameters=WILL | {"reconnect_delay": 1})
    scene.broker.kill()
    scene.broker.start()
    scene.broker.wait_for_client(CLIENT_ID)
    observer = environment.mqtt_client(scene.broker)
    observer.subscribe("out/#")
    scene.kamailio.process.close()
    assert observer.wait_message().payload == b"gone"
