# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of a cluster of rmqtt brokers."""

from __future__ import annotations

from pathlib import Path

from tools.cluster_run.page import Addresses, configuration
from tools.harness.process import Process
from tools.harness.programs import program_path

# As the page has them, for the node with the number 1.
_NUMBER = "node.id = 1"
_OWN_ADDRESS = "10.0.0.11"
_PLUGIN_DIRECTORY = "/etc/rmqtt/plugins"
_PLUGINS = (
    "rmqtt-acl.toml",
    "rmqtt-cluster-raft.toml",
    "rmqtt-message-storage.toml",
    "rmqtt-shared-subscription.toml",
)

MQTT_PORT = 1883


def address(number: int) -> str:
    """Of the node's machine, on the page."""
    return f"10.0.0.{10 + number}"


class BrokerNode:
    def __init__(
        self, directory: Path, number: int, addresses: Addresses
    ) -> None:
        self.name = f"broker {number}"
        self._directory = directory
        self._configuration = directory / "rmqtt.toml"
        plugins = directory / "plugins"
        plugins.mkdir()
        for name in _PLUGINS:
            text = addresses.replace(configuration(name))
            (plugins / name).write_text(text)
        text = (
            configuration("rmqtt.toml")
            .replace(_NUMBER, f"node.id = {number}")
            .replace(_OWN_ADDRESS, address(number))
            .replace(_PLUGIN_DIRECTORY, str(plugins))
        )
        self._configuration.write_text(addresses.replace(text))
        mqtt = addresses.here(f"{address(number)}:{MQTT_PORT}")
        self.port = int(mqtt.rpartition(":")[2])
        self._process: Process | None = None

    def launch(self) -> None:
        """Starts it without waiting for anything: a node is ready once it has
        found others."""
        program = program_path("rmqttd", installed_by="tools/setup --cluster")
        self._process = Process(
            [program, "-f", self._configuration], self._directory / "rmqtt.log"
        )

    @property
    def process(self) -> Process:
        assert self._process is not None, "the broker was not started"
        return self._process

    def wait_ready(self, *, deadline: float) -> None:
        self.process.wait_for_log("MQTT Broker Listening", deadline=deadline)

    def kill(self) -> None:
        """SIGKILL: what it held in memory is gone."""
        self.process.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
