# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools/demo shows, once the module is built."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from tools.harness.broker import Broker
from tools.harness.module_under_test import module_under_test
from tools.harness.mqtt_client import Message, MqttClient
from tools.harness.ports import free_port
from tools.harness.process import Process, program_environment
from tools.harness.sipp import run_sipp

_TESTDATA = Path(__file__).absolute().parents[1] / "testdata"
_CONFIGURATION = _TESTDATA / "demo" / "kamailio.cfg"
_SIPP_SCENARIO = _TESTDATA / "sipp" / "message.xml"

_STATISTICS = ("accepted", "acknowledged", "queued", "dropped", "routes_run")


def _heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _say(text: str) -> None:
    print(f"   {text}", flush=True)


class _Demonstration:
    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._sip_port = free_port()
        self._control_socket = f"unix:{directory}/kamailio_ctl"
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
