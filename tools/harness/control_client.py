# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the module's control API."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from tools.harness.control_stubs import messages, services
from tools.harness.waiting import DEADLINE, wait_for

# The most that the service shows of a payload.
MAX_PAYLOAD_BYTES = 65536


class EventStream:
    """An open WatchEvents call. A thread passes each event on, from the first
    after `synced`."""

    def __init__(
        self, call: Any, on_event: Callable[[Any], None]
    ) -> None:
        self._call = call
        self._on_event = on_event
        self._synced = threading.Event()
        self.failure: str | None = None  # Why it has ended.
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def wait_synced(self, *, deadline: float = DEADLINE) -> None:
        """Waits until nothing that happens is missed any more."""
        wait_for(
            lambda: self._synced.is_set() or self.failure is not None,
            "the event stream",
            deadline=deadline,
        )
        assert self.failure is None, self.failure

    def close(self) -> None:
        self._call.cancel()
        self._thread.join()

    def _read(self) -> None:
        try:
            for event in self._call:
                if event.HasField("synced"):
                    self._synced.set()
                else:
                    self._on_event(event)
            self.failure = "the service ended the event stream"
        except grpc.RpcError as error:
            self.failure = f"{error.code().name}: {error.details()}"


class ControlClient:
    """A channel to the control service at a unix socket. `stub` has the calls
    of the API; use a timeout with each."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(
            f"unix:{socket}",
            options=(
                # The default, made of the path, is no valid HTTP/2 authority.
                ("grpc.default_authority", "localhost"),
                ("grpc.max_receive_message_length", -1),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ),
        )
        self.stub = services.MqttControlStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def wait_ready(self, *, deadline: float = DEADLINE) -> None:
        """Waits until the service answers."""
        self.stub.GetStatus(
            messages.GetStatusRequest(),
            timeout=deadline,
            wait_for_ready=True,
        )

    def subscriptions(self, *, deadline: float = DEADLINE) -> Iterator[Any]:
        """All subscriptions, of all pages."""
        request = messages.ListSubscriptionsRequest()
        while True:
            page = self.stub.ListSubscriptions(request, timeout=deadline)
            yield from page.subscriptions
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(
        self, on_event: Callable[[Any], None], kinds: Sequence[int] = ()
    ) -> EventStream:
        """Passes all events on, or those of some kinds, from a thread of the
        stream."""
        request = messages.WatchEventsRequest(
            kinds=kinds, max_payload_bytes=MAX_PAYLOAD_BYTES
        )
        return EventStream(self.stub.WatchEvents(request), on_event)
