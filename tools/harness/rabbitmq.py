# SPDX-License-Identifier: GPL-3.0-or-later
"""A private RabbitMQ with its MQTT plugin: a broker that is none of
mosquitto's kin."""

from __future__ import annotations

from pathlib import Path

from tools.harness.ports import free_port
from tools.harness.process import Process

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"

# Seconds. It takes its time, on a busy machine above all.
_START_DEADLINE = 120.0


class RabbitMq:
    """A node with a name, ports and directories of its own. What it confirms
    outlives it: it goes on with that after a kill.

    Erlang's port mapper, which a node would start and leave behind, is here a
    process like the others.
    """

    def __init__(self, directory: Path) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._log_path = directory / "rabbitmq.log"
        mapper_port = free_port()
        configuration = directory / "rabbitmq.conf"
        configuration.write_text(
            "listeners.tcp = none\n"
            f"mqtt.listeners.tcp.1 = {self.host}:{self.port}\n"
            "mqtt.allow_anonymous = true\n"
            "log.console = true\n"
            "log.file = false\n"
        )
        plugins = directory / "plugins"
        plugins.write_text("[rabbitmq_mqtt].\n")
        self._environment = {
            "HOME": str(directory),  # Where Erlang keeps its cookie.
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(mapper_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_NODENAME": f"harness{self.port}@localhost",
        }
        self._mapper = Process(
            ["epmd"], directory / "epmd.log", environment=self._environment
        )
        self._process: Process | None = None

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def process(self) -> Process:
        assert self._process is not None, "the broker was not started"
        return self._process

    def start(self) -> None:
        """Starts it, also again after a kill."""
        self._process = Process(
            [_SERVER], self._log_path, environment=self._environment
        )
        self.process.wait_for_log(
            "Server startup complete", deadline=_START_DEADLINE
        )

    def kill(self) -> None:
        """SIGKILL."""
        self.process.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
        self._mapper.close()
