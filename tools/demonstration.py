# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools/demo shows, once the module is built."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tools.harness.broker import Broker
from tools.harness.ending import end_on_signals
from tools.harness.grpcurl import (
    SERVICE,
    Grpcurl,
    grpcurl_path,
    parse_messages,
)
from tools.harness.kamailio import mqtt_control_socket
from tools.harness.module_under_test import module_under_test
from tools.harness.mqtt_client import Message, MqttClient
from tools.harness.ports import free_port
from tools.harness.process import Process, program_environment
from tools.harness.sipp import run_sipp

_TESTDATA = Path(__file__).absolute().parents[1] / "testdata"
_CONFIGURATION = _TESTDATA / "demo" / "kamailio.cfg"
_SIPP_SCENARIO = _TESTDATA / "sipp" / "message.xml"

_STATISTICS = (
    "accepted",
    "acknowledged",
    "queued",
    "dropped",
    "injected",
    "routes_run",
)


def _heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _say(text: str) -> None:
    print(f"   {text}", flush=True)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _describe(event: dict[str, Any]) -> str:
    """An event of the control service, on one line."""
    (kind,) = event.keys() - {"time"}
    what = event[kind]
    if kind == "disconnected":
        return f"{kind}: {what['reason']}"
    if kind == "subscription_changed":
        subscription = what["subscription"]
        return f"{kind}: {_describe_subscription(subscription)}"
    return kind


def _describe_subscription(subscription: dict[str, Any]) -> str:
    state = subscription["state"].removeprefix("SUBSCRIPTION_STATE_")
    origin = subscription["origin"].removeprefix("SUBSCRIPTION_ORIGIN_")
    return (
        f"{subscription['topic_filter']} "
        f"(QoS {subscription['requested_qos']}, {state.lower()}, "
        f"by the {origin.lower()})"
    )


class _Demonstration:
    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._sip_port = free_port()
        self._control_socket = f"unix:{directory}/kamailio_ctl"
        self._mqtt_socket = mqtt_control_socket(directory)
        self._grpcurl = Grpcurl(self._mqtt_socket)
        self._broker = Broker(directory)
        stack.callback(self._broker.close)

    def run(self) -> None:
        _heading("Starting a private mosquitto")
        self._broker.start()
        _say(f"it listens on 127.0.0.1, port {self._broker.port}")
        self._start_kamailio()
        client = MqttClient(self._broker.port)
        self._stack.callback(client.close)
        client.subscribe("sip/#")
        self._show_publish(client)
        self._show_event_route(client)
        self._show_control_service()
        self._show_injected_message(client)
        self._show_reconnect()
        self._show_statistics()

    def _start_kamailio(self) -> None:
        _heading("Starting Kamailio with the module")
        self._kamailio = Process(
            [
                "kamailio",
                "-DD",
                "-E",
                *("-f", _CONFIGURATION),
                *("-Y", self._directory),
                *("-P", self._directory / "kamailio.pid"),
                *("-l", f"udp:127.0.0.1:{self._sip_port}"),
                *("-A", f'MQTT_MODULE="{module_under_test()}"'),
                *("-A", f"MQTT_PORT={self._broker.port}"),
                *("-A", f'CONTROL_SOCKET="{self._control_socket}"'),
            ],
            self._directory / "kamailio.log",
        )
        self._stack.callback(self._kamailio.close)
        self._kamailio.wait_for_log("mqtt: connected to")
        _say(f"SIP on 127.0.0.1, UDP port {self._sip_port}")
        _say(f"configuration: {_CONFIGURATION}")
        _say(f"its log says:  {self._log_line('mqtt: connected to')}")

    def _log_line(self, text: str) -> str:
        """The newest line of Kamailio's log with this text."""
        lines = self._kamailio.log().splitlines()
        return next(line for line in reversed(lines) if text in line).strip()

    def _show_publish(self, client: MqttClient) -> None:
        _heading("A SIP request becomes an MQTT message")
        _say("sipp sends a SIP MESSAGE to Kamailio; the script publishes")
        result = run_sipp(
            _SIPP_SCENARIO,
            self._sip_port,
            keys={"user": "alice", "text": "hello"},
        )
        if result.exit_code != 0:
            raise AssertionError(f"sipp failed\n{result.output}")
        _say("sipp:        200 OK")
        self._show(client.wait_message("sip/requests/MESSAGE"))

    def _show_event_route(self, client: MqttClient) -> None:
        _heading("An MQTT message runs an event route")
        topic, payload = "sip/commands/greet", "hello from MQTT"
        _say(f'published:   {topic} "{payload}"')
        client.publish(topic, payload)
        answer = client.wait_message("sip/answers")
        _say(f"Kamailio:    {self._log_line('event_route[mqtt:message]')}")
        self._show(answer)

    def _show_control_service(self) -> None:
        _heading("The control service, by grpcurl")
        services = self._grpcurl.run("list").output.split()
        _say(f"services:    {', '.join(services)}")
        page = self._grpcurl.call("ListSubscriptions").message
        for subscription in page["subscriptions"]:
            _say(f"subscribed:  {_describe_subscription(subscription)}")

    def _show_injected_message(self, client: MqttClient) -> None:
        _heading("An injected message runs the event route, too")
        topic, payload = "sip/commands/greet", "hello from grpcurl"
        _say(f'injected:    {topic} "{payload}"')
        request = {"topic": topic, "payload": _base64(payload)}
        answer = self._grpcurl.call("InjectMessage", request).message
        _say(f"grpcurl:     {answer['result']}, in {answer['run_time']}")
        _say(f"Kamailio:    {self._log_line('event_route[mqtt:message]')}")
        self._show(client.wait_message("sip/answers"))

    def _show_reconnect(self) -> None:
        _heading("A forced reconnect, watched")
        kinds = ["EVENT_KIND_CONNECTION", "EVENT_KIND_SUBSCRIPTION"]
        request = json.dumps({"kinds": kinds})
        watch = Process(
            self._grpcurl.command("-d", request, f"{SERVICE}/WatchEvents"),
            self._directory / "events",
        )
        self._stack.callback(watch.close)
        watch.wait_for_log('"synced"')
        mode = "RECONNECT_MODE_ABRUPT"
        _say(f"Reconnect:   {mode}")
        answer = self._grpcurl.call("Reconnect", {"mode": mode, "wait": True})
        _say(f"grpcurl:     {answer.message['connection']['state']}")
        watch.wait_for_log("SUBSCRIPTION_STATE_ACTIVE")
        watch.close()
        for event in parse_messages(watch.log()):
            _say(f"WatchEvents: {_describe(event)}")

    def _show(self, message: Message) -> None:
        payload = message.payload.decode()
        _say(f'MQTT client: {message.topic} "{payload}" (QoS {message.qos})')

    def _show_statistics(self) -> None:
        _heading("What became of every message")
        command = ["kamcmd", "-s", self._control_socket]
        answer = subprocess.run(
            [*command, "stats.get_statistics", "mqtt:"],
            stdout=subprocess.PIPE,
            env=program_environment(),
            check=True,
            text=True,
        )
        for line in answer.stdout.splitlines():
            name, _, value = line.removeprefix("mqtt:").partition(" = ")
            if name.startswith(_STATISTICS) and value != "0":
                _say(f"{name} = {value}")

    def keep(self) -> None:
        _heading("Running. Try, in another terminal:")
        port = self._broker.port
        _say(f"mosquitto_sub -p {port} -v -t 'sip/#'")
        _say(f"mosquitto_pub -p {port} -t sip/commands/x -m 'your text'")
        _say(
            f"sipp 127.0.0.1:{self._sip_port} -m 1 -nostdin "
            f"-sf {_SIPP_SCENARIO} -key user alice -key text hello"
        )
        _say(f"kamcmd -s {self._control_socket} stats.get_statistics mqtt:")
        grpcurl = f"{grpcurl_path()} -plaintext -unix -authority localhost"
        _say(f"{grpcurl} {self._mqtt_socket} {SERVICE}/ListSubscriptions")
        request = json.dumps(
            {"topic": "sip/commands/x", "payload": _base64("your text")}
        )
        _say(
            f"{grpcurl} -d '{request}' {self._mqtt_socket} "
            f"{SERVICE}/InjectMessage"
        )
        _say(f"{grpcurl} {self._mqtt_socket} {SERVICE}/WatchEvents")
        _say(f"{grpcurl} {self._mqtt_socket} {SERVICE}/Reconnect")
        _say(f"tail -f {self._kamailio.log_path}")
        _say("Ctrl-C ends both.")
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()

    def stop(self) -> None:
        _heading("Stopping")
        exit_code = self._kamailio.stop()
        if exit_code != 0:
            raise AssertionError(self._kamailio.log_tail())
        _say("Kamailio ended with exit code 0")
        line = "Received DISCONNECT from sip-1"
        self._broker.process.wait_for_log(line)
        _say(f"mosquitto:   {line}")


def main() -> None:
    end_on_signals()
    with ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="mqtt_demo_")
        )
        demonstration = _Demonstration(Path(directory), stack)
        demonstration.run()
        if "--keep" in sys.argv[1:]:
            demonstration.keep()
        demonstration.stop()
    print("\nDone: everything has ended.")


if __name__ == "__main__":
    main()
