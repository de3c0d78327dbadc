# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broker's log tells, against a real mosquitto."""

from tools.harness.delivered import Delivered, duplicates
from tools.harness.environment import Environment


def test_messages_of_a_client_over_the_lives_of_its_broker() -> None:
    with Environment() as environment:
        broker = environment.broker()
        delivered = Delivered(broker, client_id="sender")
        assert delivered.lives == [[]]
        with (
            environment.mqtt_client(broker, client_id="sender") as sender,
            environment.mqtt_client(broker, client_id="other") as other,
        ):
            for qos in (0, 1, 2, 1):
                sender.publish(f"numbers/{qos}", qos=qos)
            sender.publish("letters/7")
            other.publish("numbers/7")
        broker.stop()
        broker.start()
        with environment.mqtt_client(broker, client_id="sender") as sender:
            sender.publish("numbers/3")
        delivered.read()
        assert delivered.lives == [[0, 1, 2, 1], [3]]
        assert delivered.numbers == [0, 1, 2, 1, 3]
        delivered.read()
        assert delivered.lives == [[0, 1, 2, 1], [3]]
        letters = Delivered(broker, client_id="sender", topic="letters")
        assert letters.numbers == [7]


def test_duplicates() -> None:
    assert duplicates([1, 2, 1, 3, 2, 1]) == {1, 2}
    assert not duplicates([1, 2])
