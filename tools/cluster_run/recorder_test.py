# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tools.cluster_run.recorder import Recorder
from tools.harness.environment import Environment
from tools.harness.mqtt_client import MqttClient
from tools.harness.waiting import wait_for


def test_messages_of_both_ways_and_their_acknowledgements() -> None:
    with Environment() as environment:
        broker = environment.broker()
        recorder = environment.own(Recorder(broker.port))
        client = environment.own(MqttClient(recorder.port))
        client.subscribe("in", 1)
        assert recorder.subscriptions == 1
        client.publish("out", "1")
        assert (recorder.out, recorder.out_acknowledged) == ({1}, {1})
        assert not recorder.inbound
        environment.mqtt_client(broker).publish("in", "2")
        wait_for(lambda: recorder.inbound_acknowledged, "the acknowledgement")
        assert recorder.inbound == recorder.inbound_acknowledged == {2}
        assert recorder.out == {1}


def test_what_a_paused_broker_has_not_acknowledged() -> None:
    with Environment() as environment:
        broker = environment.broker()
        recorder = environment.own(Recorder(broker.port))
        client = environment.own(MqttClient(recorder.port))
        client.publish("out", "1")
        broker.pause()
        with ThreadPoolExecutor() as pool:
            published = pool.submit(client.publish, "out", "2")
            wait_for(lambda: 2 in recorder.out, "the message to pass")
            assert recorder.out_acknowledged == {1}
            broker.resume()
            published.result()
        assert recorder.out_acknowledged == {1, 2}
