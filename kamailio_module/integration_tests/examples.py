# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of docs/examples.md, each with a broker of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.harness.environment import Environment
from tools.harness.kamailio import ConfigurationFile, Parameter

EXAMPLES = Path(__file__).absolute().parents[2] / "testdata/examples"

# What an example needs beside its configuration, by the name that this has
# for it.
_FILES = {
    "dispatcher": {"GATEWAY_LIST": "dispatcher.list"},
    "sip_events_lua": {"SCRIPT": "sip_events.lua"},
    "sip_events_python": {"SCRIPT": "sip_events.py"},
}


def example(
    name: str, *, more: str = "", **definitions: Parameter
) -> ConfigurationFile:
    """The configuration of an example."""
    directory = EXAMPLES / name
    files = {
        definition: str(directory / file)
        for definition, file in _FILES.get(name, {}).items()
    }
    return ConfigurationFile(
        directory / "kamailio.cfg", {**files, **definitions}, more
    )


class ExampleScene:
    """A started broker and an example that is connected to it. `observer` has
    subscribed to all that the example publishes."""

    def __init__(
        self,
        environment: Environment,
        name: str,
        *,
        more: str = "",
        **definitions: Parameter,
    ) -> None:
        self.broker = environment.broker()
        self.observer = environment.mqtt_client(self.broker)
        self.observer.subscribe("sip/#")
        self.kamailio = environment.kamailio(
            example(
                name,
                more=more,
                MQTT_HOST=self.broker.host,
                MQTT_PORT=self.broker.port,
                **definitions,
            )
        )
        self.kamailio.start()
        # The client identifier is a random one.
        self.broker.process.wait_for_log(" as kamailio")

    def wait_json(self, topic: str) -> Any:
        """The next message on a topic, parsed. Those before it are dropped."""
        message = self.observer.wait_message(
            topic, details=self.kamailio.process.log_tail
        )
        return json.loads(message.payload)
