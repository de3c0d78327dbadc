# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kamailio configuration of docs/scaling.md works, on one broker."""

from __future__ import annotations

import re
from pathlib import Path

from tools.harness.broker import Broker
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.module_under_test import module_under_test
from tools.harness.sip import SipClient

PAGE = (Path(__file__).absolute().parents[2] / "docs/scaling.md").read_text()

# What the page names, and what stands there in a test.
PAGE_MODULE = "/usr/local/lib/kamailio/modules/mqtt.so"
PAGE_ID = "sip-1"

NODES = 3
MESSAGES = 30


def page_kamailio(
    environment: Environment, broker: Broker, number: int
) -> Kamailio:
    found = re.search(
        r"^```cfg\n(# kamailio.cfg\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found
    text = found[1].replace(PAGE_MODULE, str(module_under_test()))
    text = text.replace(PAGE_ID, f"sip-{number}")
    kamailio = environment.kamailio(KamailioConfiguration(parameters={}))
    kamailio.configuration_path.write_text(
        f"{text}\n"
        "debug=2\nlog_stderror=yes\ndisable_tcp=yes\n"
        f"listen=udp:{kamailio.host}:{kamailio.sip_port}\n"
        f'modparam("mqtt", "port", {broker.port})\n'
    )
    return kamailio


def test_the_configuration_of_the_page(environment: Environment) -> None:
    broker = environment.broker()
    client = environment.mqtt_client(broker)
    client.subscribe("sip/events")
    nodes = []
    for number in range(1, NODES + 1):
        node = page_kamailio(environment, broker, number)
        result = node.check()
        assert result.exit_code == 0, result.output
        node.launch()
        broker.process.wait_for_log(
            f"sip-{number} 1 $share/sip/sip/commands/#"
        )
        nodes.append(node)

    for node in nodes:
        with SipClient(node.sip_port) as sip:
            sip.send("MESSAGE")
            message = client.wait_message("sip/events")
        assert message.payload == b"MESSAGE from 127.0.0.1"

    numbers = {str(number) for number in range(MESSAGES)}
    for number in numbers:
        client.publish("sip/commands/count", number)

    def handled() -> list[str]:
        return [
            number
            for node in nodes
            for number in re.findall(
                r"sip/commands/count: (\d+)$", node.log(), re.MULTILINE
            )
        ]

    nodes[0].process.wait_until(
        lambda: numbers <= set(handled()), "every message is handled"
    )
    assert len(handled()) == MESSAGES
    for node in nodes:
        assert "sip/commands/count: " in node.log()
