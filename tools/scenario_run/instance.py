# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario runs against: a Kamailio with the given configuration, and a
private broker where the scenario wants one."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tools.harness.broker import Broker
from tools.harness.control_client import ControlClient, EventStream
from tools.harness.environment import Environment
from tools.harness.kamailio import mqtt_control_socket, stop_kamailio
from tools.harness.mqtt_client import Message, MqttClient
from tools.harness.ports import free_port
from tools.harness.process import Process
from tools.harness.sip import SipClient
from tools.harness.waiting import Timeout
from tools.scenario_run.errors import StartFailed, StepFailed
from tools.scenario_run.log_lines import LogLines
from tools.scenario_run.matching import Pool

HOST = "127.0.0.1"

_CLIENT_ID = "scenario"

# Seconds from the end of its control service to that of Kamailio.
_END_DEADLINE = 3.0


@dataclass(frozen=True)
class Settings:
    """What the command line says of Kamailio. `defines` are NAME=VALUE, as
    Kamailio's -A takes them."""

    configuration: Path
    module: Path
    defines: Sequence[str] = ()


class Instance:
    """Runs from its construction to `stop`, or the end of the environment.

    What happens from the first connection on is in the pools, for the steps to
    take. Raises StartFailed, or what the harness raises.
    """

    def __init__(
        self, environment: Environment, settings: Settings, has_broker: bool
    ) -> None:
        self.events: Pool[Any] = Pool()
        self._delivered: Pool[Message] = Pool()
        self._log: Pool[str] = Pool()
        self._lost_events = 0
        self._environment = environment
        self._broker: Broker | None = None
        self._client: MqttClient | None = None
        self._sip: SipClient | None = None
        self.sip_port = free_port()
        self._directory = environment.new_directory("run")
        if has_broker:
            self._make_broker()
        self._process = self._start_kamailio(settings)
        self._log_lines = LogLines(self._process.log_path)
        self.control, self._stream = self._watch()
        if has_broker:
            self.broker.resume()

    @property
    def broker(self) -> Broker:
        assert self._broker is not None, "the scenario has no broker"
        return self._broker

    @property
    def client(self) -> MqttClient:
        """A client of the broker, subscribed to all topics."""
        assert self._client is not None, "the scenario has no broker"
        return self._client

    @property
    def sip(self) -> SipClient:
        if self._sip is None:
            self._sip = self._environment.own(
                SipClient(self.sip_port, host=HOST)
            )
        return self._sip

    def delivered(self) -> Pool[Message]:
        """With what the broker has delivered so far."""
        while (message := self.client.take()) is not None:
            self._delivered.add(message)
        return self._delivered

    def log(self) -> Pool[str]:
        """With what Kamailio has logged so far."""
        for line in self._log_lines.new():
            self._log.add(line)
        return self._log

    def stop_broker(self) -> None:
        self.broker.stop()
        self.client.wait_disconnected()

    def start_broker(self) -> None:
        self.broker.start()
        self.client.wait_connected()

    def check(self, *, may_be_ending: bool = False) -> None:
        """Raises StepFailed where nothing more can be expected."""
        if may_be_ending or self._stream.failure is not None:
            # How Kamailio ends says more than that its service is gone.
            with contextlib.suppress(Timeout):
                self._process.wait(deadline=_END_DEADLINE)
        if not self._process.running:
            raise StepFailed(
                "Kamailio to run",
                f"it ended with exit code {self._process.exit_code}",
            )
        if self._lost_events:
            raise StepFailed(
                "all events",
                f"{self._lost_events} were lost: more came than this program "
                "can read",
            )
        if self._stream.failure is not None:
            raise StepFailed("events", self._stream.failure)

    def stop(self) -> None:
        """Stops Kamailio. Raises StepFailed where that is no clean end."""
        self.check()
        try:
            exit_code = stop_kamailio(self._process)
        except Timeout as error:
            raise StepFailed(
                "Kamailio to stop", str(error).splitlines()[0]
            ) from error
        if exit_code != 0:
            raise StepFailed(
                "exit code 0 from Kamailio", f"exit code {exit_code}"
            )

    def log_tail(self) -> str:
        return self._process.log_tail()

    def _make_broker(self) -> None:
        # It keeps what comes for the client while that is away, and over a
        # stop: what the client sees has no gaps.
        self._broker = self._environment.broker(
            persistent=True, options=("queue_qos0_messages true",)
        )
        self._client = self._environment.mqtt_client(
            self._broker, client_id=_CLIENT_ID, clean_session=False
        )
        self._client.subscribe("#")
        # Until events are watched it answers nobody: none of the first
        # connection is missed.
        self._broker.pause()

    def _start_kamailio(self, settings: Settings) -> Process:
        broker_port = self._broker.port if self._broker else free_port()
        directory = self._directory
        return self._environment.own(
            Process(
                [
                    "kamailio",
                    "-DD",
                    "-E",
                    *("-f", settings.configuration),
                    *("-Y", directory),
                    *("-P", directory / "kamailio.pid"),
                    *("-l", f"udp:{HOST}:{self.sip_port}"),
                    *("-A", f'MQTT_MODULE="{settings.module}"'),
                    *("-A", f'MQTT_HOST="{HOST}"'),
                    *("-A", f"MQTT_PORT={broker_port}"),
                    *("-A", f"SIP_PORT={self.sip_port}"),
                    *(
                        argument
                        for define in settings.defines
                        for argument in ("-A", define)
                    ),
                ],
                directory / "kamailio.log",
            )
        )

    def _watch(self) -> tuple[ControlClient, EventStream]:
        socket = mqtt_control_socket(self._directory)
        try:
            self._process.wait_until(
                socket.exists, f"its control service at {socket}"
            )
            control = self._environment.own(ControlClient(socket))
            control.wait_ready()
            stream = self._environment.own(control.watch(self._add_event))
            stream.wait_synced()
        except grpc.RpcError as error:
            raise StartFailed(f"{error}\n{self.log_tail()}") from error
        return control, stream

    def _add_event(self, event: Any) -> None:
        if event.HasField("lost"):
            self._lost_events += event.lost.count
        else:
            self.events.add(event)
