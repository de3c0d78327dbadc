# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the place of Kamailio in tests of tools/scenario: serves the control
API as a Kamailio does whose event route publishes each message again, on the
topic "answers".

Its configuration is a list of words:

refuse   ends at the start, as with a wrong configuration
die      ends when a message is injected
lose     tells of lost events when a message is injected
stuck    ends with exit code 1 when it is stopped
"""

from __future__ import annotations

import argparse
import os
import queue
import signal
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from tools.harness.control_stubs import messages, services
from tools.harness.kamailio import mqtt_control_socket


class _Service(services.MqttControlServicer):
    def __init__(self, words: set[str]) -> None:
        self._words = words
        self._events: queue.Queue[Any] = queue.Queue()
        self._published = 0

    def GetStatus(self, request: Any, context: Any) -> Any:
        connected = messages.CONNECTION_STATE_CONNECTED
        return messages.GetStatusResponse(
            connection=messages.Connection(state=connected)
        )

    def ListSubscriptions(self, request: Any, context: Any) -> Any:
        page = int(request.page_token or "0")
        return messages.ListSubscriptionsResponse(
            subscriptions=[
                messages.Subscription(
                    topic_filter=f"commands/{page}",
                    requested_qos=1,
                    granted_qos=1,
                    state=messages.SUBSCRIPTION_STATE_ACTIVE,
                )
            ],
            next_page_token="" if page else "1",
        )

    def InjectMessage(self, request: Any, context: Any) -> Any:
        if "die" in self._words:
            os._exit(3)
        if "lose" in self._words:
            self._tell(lost=messages.Lost(count=7))
        print(f"the event route runs: {request.topic}", flush=True)
        message = {
            "payload": request.payload,
            "payload_size": len(request.payload),
            "qos": request.qos,
            "retain": request.retain,
        }
        self._tell(
            message_received=messages.MessageReceived(
                topic=request.topic,
                origin=messages.MESSAGE_ORIGIN_INJECTED,
                **message,
            )
        )
        self._published += 1
        for outcome in (
            messages.PUBLISH_OUTCOME_ACCEPTED,
            messages.PUBLISH_OUTCOME_ACKNOWLEDGED,
        ):
            self._tell(
                publish=messages.PublishEvent(
                    publish_id=self._published,
                    topic="answers",
                    outcome=outcome,
                    **message,
                )
            )
        return messages.InjectMessageResponse(
            result=messages.ROUTE_RESULT_DONE
        )

    def Publish(self, request: Any, context: Any) -> Any:
        context.abort(
            grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full"
        )

    def Reconnect(self, request: Any, context: Any) -> Any:
        self._tell(disconnected=messages.Disconnected(reason="asked for"))
        self._tell(connected=messages.Connected())
        return messages.ReconnectResponse()

    def WatchEvents(self, request: Any, context: Any) -> Iterator[Any]:
        yield messages.WatchEventsResponse(synced=messages.Synced())
        while True:
            yield self._events.get()

    def _tell(self, **event: Any) -> None:
        self._events.put(messages.WatchEventsResponse(**event))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-f", dest="configuration", type=Path)
    parser.add_argument("-Y", dest="runtime_directory", type=Path)
    options, _ = parser.parse_known_args()
    words = set(options.configuration.read_text().split())
    if "refuse" in words:
        sys.exit("CRITICAL: parse error in config file")
    stopped = (signal.SIGTERM,)
    signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
    server = grpc.server(futures.ThreadPoolExecutor())
    services.add_MqttControlServicer_to_server(_Service(words), server)
    server.add_insecure_port(
        f"unix:{mqtt_control_socket(options.runtime_directory)}"
    )
    server.start()
    signal.sigwait(stopped)
    # The event stream would keep a proper end waiting.
    os._exit(1 if "stuck" in words else 0)


if __name__ == "__main__":
    main()
