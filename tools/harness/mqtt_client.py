# SPDX-License-Identifier: GPL-3.0-or-later
"""An MQTT client at the other end: collects messages and publishes."""

from __future__ import annotations

import collections
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho

from tools.harness.waiting import DEADLINE, wait_for

# Paho 2 asks for it, paho 1 knows it not.
_CALLBACK_API = (
    {"callback_api_version": paho.CallbackAPIVersion.VERSION2}
    if hasattr(paho, "CallbackAPIVersion")
    else {}
)


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool


class MqttClient:
    """A connected client. Messages arrive in the order of the broker.

    It connects again by itself, every second. Only without `clean_session`, which needs a
    client_id, does the broker keep its subscriptions meanwhile.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        client_id: str = "",
        clean_session: bool = True,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._messages: collections.deque[Message] = collections.deque()
        self._granted: dict[int, tuple[int, ...]] = {}
        self._unsubscribed: set[int] = set()

        self._client = paho.Client(
            client_id=client_id,
            clean_session=clean_session,
            protocol=paho.MQTTv311,
            **_CALLBACK_API,
        )
        self._client.max_inflight_messages_set(1000)
        self._client.reconnect_delay_set(1, 1)
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe
        self._client.connect(host, port)
        self._client.loop_start()
        self.wait_connected()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> MqttClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_connected(self, *, deadline: float = DEADLINE) -> None:
        wait_for(
            self._client.is_connected,
            "a connection of the client",
            deadline=deadline,
        )

    def wait_disconnected(self) -> None:
        wait_for(
            lambda: not self._client.is_connected(),
            "the client to notice the end of its connection",
        )

    def subscribe(self, topic_filter: str, qos: int = 2) -> int:
        """Returns the granted QoS, or 0x80 where the broker refuses."""
        _, mid = self._client.subscribe(topic_filter, qos)
        return wait_for(
            lambda: self._granted.get(mid), f"the SUBACK for {topic_filter}"
        )[0]

    def unsubscribe(self, topic_filter: str) -> None:
        _, mid = self._client.unsubscribe(topic_filter)
        wait_for(
            lambda: mid in self._unsubscribed,
            f"the UNSUBACK for {topic_filter}",
        )

    def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 1,
        retain: bool = False,
        deadline: float = DEADLINE,
    ) -> None:
        """Publishes, and waits until the broker has acknowledged; at QoS 0,
        until it is written."""
        handle = self._client.publish(topic, payload, qos, retain)
        handle.wait_for_publish(deadline)
        assert handle.is_published(), f"no acknowledgement for {topic}"

    def messages(self) -> list[Message]:
        """What has arrived and was not taken yet, which stays."""
        with self._lock:
            return list(self._messages)

    def take(self) -> Message | None:
        """Takes the oldest message; None where there is none."""
        with self._lock:
            return self._messages.popleft() if self._messages else None

    def wait_message(
        self,
        topic: str | None = None,
        *,
        deadline: float = DEADLINE,
        details: Callable[[], str] | None = None,
    ) -> Message:
        """Waits for the next message and takes it. With `topic`, others that
        came before it are dropped."""

        def next_message() -> Message | None:
            while (message := self.take()) is not None:
                if topic is None or message.topic == topic:
                    return message
            return None

        return wait_for(
            next_message,
            f"a message on {topic or 'any topic'}",
            deadline=deadline,
            details=details,
        )

    def wait_messages(
        self,
        count: int,
        *,
        deadline: float = DEADLINE,
        details: Callable[[], str] | None = None,
    ) -> list[Message]:
        """Waits until `count` messages are there and takes all there are."""
        wait_for(
            lambda: len(self._messages) >= count,
            f"{count} messages",
            deadline=deadline,
            details=details or (lambda: f"{len(self._messages)} have come"),
        )
        with self._lock:
            taken = list(self._messages)
            self._messages.clear()
        return taken

    def _on_message(
        self, client: paho.Client, userdata: object, raw: paho.MQTTMessage
    ) -> None:
        message = Message(raw.topic, raw.payload, raw.qos, raw.retain)
        with self._lock:
            self._messages.append(message)

    # The end of the arguments differs between paho 1 and 2.

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: object,
        mid: int,
        granted: Iterable[Any],
        *_: object,
    ) -> None:
        # Numbers in paho 1, in paho 2 objects that have one.
        self._granted[mid] = tuple(
            getattr(code, "value", code) for code in granted
        )

    def _on_unsubscribe(
        self, client: paho.Client, userdata: object, mid: int, *_: object
    ) -> None:
        self._unsubscribed.add(mid)
