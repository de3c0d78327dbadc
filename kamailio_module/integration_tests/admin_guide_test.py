# SPDX-License-Identifier: GPL-3.0-or-later
"""The admin guide is complete and right: it names what the module exports, and
no more, with the right defaults; and its examples work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from kamailio_module.integration_tests.page import (
    WORKSPACE,
    Page,
    check_links,
)
from tools.harness.broker import Broker
from tools.harness.certificates import make_certificates
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.module_under_test import module_under_test
from tools.harness.ports import free_port
from tools.harness.sip import SipClient

PAGE = Page("docs/admin_guide.md")
GUIDE = PAGE.text
section = PAGE.section

# What the examples name, and what stands there in a test.
GUIDE_MODULE = "/usr/local/lib/kamailio/modules/mqtt.so"
GUIDE_DIRECTORY = "/etc/kamailio"
GUIDE_RUNTIME_DIRECTORY = "/run/kamailio"

# Every configuration of the harness loads it, and Kamailio refuses it twice.
LOADED_ALREADY = 'loadmodule "sl.so"\n'

BINARY = b"a\0b\xff"


def source(path: str) -> str:
    return (WORKSPACE / path).read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the first table of a section, without its head."""
    rows = re.search(r"(?:^\|.*\n)+", section(heading), re.MULTILINE)
    assert rows, heading
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in rows[0].splitlines()[2:]
    ]


def code(cell: str) -> str:
    """The first text in backquotes."""
    found = re.search(r"`([^`]*)`", cell)
    assert found, cell
    return found[1]


@dataclass(frozen=True)
class Example:
    line: int
    language: str
    text: str

    @property
    def is_whole(self) -> bool:
        return GUIDE_MODULE in self.text

    @property
    def has_script(self) -> bool:
        """Whether a KEMI script takes the place of the request route."""
        return "cfgengine" in self.text


EXAMPLES = [
    Example(GUIDE.count("\n", 0, found.start()) + 1, found[2], found[3])
    for found in re.finditer(
        r"^( *)```(\w*)\n(.*?)^\1```$", GUIDE, re.MULTILINE | re.DOTALL
    )
]


def examples(language: str) -> list[Example]:
    found = [each for each in EXAMPLES if each.language == language]
    assert found, language
    return found


def exported_parameters() -> dict[str, str]:
    """The guide's word for the type of each parameter."""
    words = {"INT": "int", "STR": "str", "STRING": "str"}
    types: dict[str, list[str]] = {}
    for name, kind in re.findall(
        r'^    \{"(\w+)", PARAM_(\w+),',
        source("kamailio_module/mqtt_mod.c"),
        re.MULTILINE,
    ):
        types.setdefault(name, []).insert(0, words[kind])
    return {name: " or ".join(kinds) for name, kinds in types.items()}


def default_settings() -> dict[str, str]:
    """The parameters that mqtt_default_settings() sets, as their values."""
    initial = {
        (structure, member): value.strip('"')
        for structure, body in re.findall(
            r"^struct (\w+) \{\n(.*?)^\};",
            source("mqtt_core/settings.h")
            + source("control_api/control_settings.h"),
            re.MULTILINE | re.DOTALL,
        )
        for member, value in re.findall(
            r"^  [\w:]+ (\w+) = (.*?);", body, re.MULTILINE
        )
    }
    member_structures = {
        "will": "WillSettings",
        "queue": "QueueSettings",
        "reconnect": "ReconnectSettings",
    }

    def value_of(expression: str) -> str:
        member = re.search(
            r"(defaults|ControlSettings\(\))\.(?:(\w+)\.)?(\w+)", expression
        )
        if member is None:
            return expression
        if member[1] == "defaults":
            structure = member_structures.get(member[2], "Settings")
        else:
            structure = "ControlSettings"
        text = initial[structure, member[3]]
        shift = re.fullmatch(r"(\d+) << (\d+)", text)
        return str(int(shift[1]) << int(shift[2])) if shift else text

    return {
        name: value_of(expression)
        for name, expression in re.findall(
            r"^  settings->(\w+) =\s+(.*?);$",
            source("kamailio_module/bridge.cc"),
            re.MULTILINE,
        )
    } | {"queue_policy": initial["QueueSettings", "policy"]}


def test_parameters() -> None:
    exported = exported_parameters()
    assert len(exported) > 17
    rows = table("## Parameters")
    assert {code(row[0]): row[1] for row in rows} == exported
    headings = re.findall(
        r"^### (\w+) \((.*)\)$", section("## Parameters"), re.MULTILINE
    )
    assert dict(headings) == exported
    assert len(headings) == len(rows) == len(exported)


def test_defaults() -> None:
    without = dict.fromkeys(exported_parameters(), "none")
    expected = (
        without
        | {"event_callback": "empty", "control_address": "runtime_dir"}
        | default_settings()
    )
    assert expected["port"] == "1883"
    rows = table("## Parameters")
    assert {
        code(row[0]): row[2].partition(",")[0] for row in rows
    } == expected
    in_sections = {}
    for name, kind in exported_parameters().items():
        found = re.search(
            r"^Default: `?(\w+)`?[,.]",
            section(f"### {name} ({kind})"),
            re.MULTILINE,
        )
        assert found, name
        in_sections[name] = found[1]
    assert in_sections == expected


def test_functions() -> None:
    exported = {
        (name, int(count))
        for name, count in re.findall(
            r'\{"(mqtt_\w+)", [\w()]+, (\d),',
            source("kamailio_module/mqtt_script.c"),
        )
    }
    assert len(exported) == 4
    named = [code(row[0]) for row in table("## Functions")]
    assert {
        (call.partition("(")[0], call.count(",") + 1) for call in named
    } == exported
    for name, _ in exported:
        assert f"\n### {name}(" in GUIDE


def test_kemi_functions() -> None:
    exported = set(
        re.findall(
            r'str_init\("mqtt"\),\s*str_init\("(\w+)"\)',
            source("kamailio_module/mqtt_script.c"),
        )
    )
    assert exported
    named = [code(row[0]).partition("(")[0] for row in table("## KEMI")]
    assert set(named) == {f"KSR.mqtt.{name}" for name in exported}


def test_pseudo_variables() -> None:
    names = re.search(
        r"field_names\[\] = \{(.*?)\};",
        source("kamailio_module/mqtt_pv.c"),
        re.DOTALL,
    )
    assert names
    exported = re.findall(r'str_init\("(\w+)"\)', names[1])
    assert "msg" in exported
    named = [code(row[0]) for row in table("## Pseudo-variables")]
    assert sorted(named) == sorted(f"$mqtt({name})" for name in exported)


def test_events() -> None:
    run = re.findall(
        r'str_init\("(mqtt:\w+)"\)', source("kamailio_module/mqtt_events.c")
    )
    assert "mqtt:message" in run
    assert sorted(run) == sorted(
        code(row[0]) for row in table("## Event routes")
    )
    assert sorted(run) == sorted(
        re.findall(r"^### (mqtt:\w+)$", GUIDE, re.MULTILINE)
    )


def test_statistics(environment: Environment) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={"host": "127.0.0.1", "port": free_port()},
            modules=("counters",),
        )
    )
    kamailio.start()
    registered = kamailio.rpc("cnt.var_list", "mqtt").split()
    assert registered
    named = []
    for first, *_ in table("## Statistics"):
        if first.startswith("**"):
            continue  # The title of a group.
        name = code(first)
        if name.endswith("*"):
            named += [f"{name[:-1]}{qos}" for qos in range(3)]
        else:
            named.append(name)
    assert sorted(named) == sorted(registered)


def test_rpc_commands() -> None:
    exported = re.findall(
        r'^    \{"(mqtt\.\w+)", rpc_',
        source("kamailio_module/mqtt_rpc.c"),
        re.MULTILINE,
    )
    assert "mqtt.status" in exported
    assert [code(row[0]) for row in table("## RPC commands")] == exported
    assert re.findall(r"^### (mqtt\.\w+)$", GUIDE, re.MULTILINE) == exported


def test_limits_of_rpc_commands() -> None:
    protocol = source("control_api/local_protocol.h")
    limits = dict(
        re.findall(r" (k\w+(?:Timeout|Calls))\W+(\d+)", protocol)
    )
    text = " ".join(section("## RPC commands").split())
    timeout = limits["kLocalCallTimeout"]
    assert f"wait for its answer for {timeout} seconds at most" in text
    assert f"within {timeout} s" in text
    assert f"takes care of {limits['kMaxLocalCalls']} such calls" in text
    broker_timeout = int(limits["kBrokerAnswerTimeout"]) / 1000
    assert f"answer, for {broker_timeout} seconds at most" in text


def test_fields_of_rpc_replies() -> None:
    # What is shorter is a format.
    named = set(re.findall(r'"([a-z_]{5,})"', source_of_replies()))
    shown = set(
        re.findall(r"^\t+(\w+): ", section("## RPC commands"), re.MULTILINE)
    )
    assert "refusal_reason" in named
    assert named <= shown


def source_of_replies() -> str:
    """The functions that fill the replies, but that of mqtt.stats."""
    return "".join(
        re.findall(
            r"^static int (?:show|add)_\w+\(.*?^\}",
            source("kamailio_module/mqtt_rpc.c"),
            re.MULTILINE | re.DOTALL,
        )
    )


def test_links() -> None:
    others = ("control_api", "examples", "log_messages", "monitoring")
    check_links(PAGE, [Page(f"docs/{name}.md") for name in others])


class Examples:
    """Makes examples into configurations."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        self.environment = environment
        self._directory = directory

    def kamailio(
        self, example: Example, *, port: int | None = None
    ) -> Kamailio:
        """A Kamailio whose configuration has the example; `port` is that of
        the broker."""
        text = example.text.replace(GUIDE_DIRECTORY, str(self._directory))
        text = text.replace(GUIDE_MODULE, str(module_under_test()))
        text = text.replace(GUIDE_RUNTIME_DIRECTORY, str(self._directory))
        port = port or free_port()
        script = text.replace(LOADED_ALREADY, "")
        kamailio = self.environment.kamailio(
            KamailioConfiguration(
                parameters={"host": "127.0.0.1", "port": port},
                routes="" if example.has_script else script,
                kemi=script if example.has_script else None,
            )
        )
        if example.is_whole:
            kamailio.configuration_path.write_text(
                f"{text}\n"
                "debug=2\nlog_stderror=yes\ndisable_tcp=yes\n"
                f"listen=udp:{kamailio.host}:{kamailio.sip_port}\n"
                f'modparam("mqtt", "port", {port})\n'
            )
        return kamailio


@pytest.fixture(name="directory", scope="module")
def _directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide has in GUIDE_DIRECTORY."""
    directory = tmp_path_factory.mktemp("etc")
    tls = directory / "tls"
    tls.mkdir()
    make_certificates(tls)
    (lua,) = examples("lua")
    (directory / "mqtt.lua").write_text(lua.text)
    (python,) = examples("python")
    (directory / "mqtt.py").write_text(python.text)
    return directory


@pytest.fixture(name="maker")
def _maker(environment: Environment, directory: Path) -> Examples:
    return Examples(environment, directory)


def in_line(example: Example) -> str:
    return f"line {example.line}"


@pytest.mark.parametrize("example", examples("cfg"), ids=in_line)
def test_example_passes_the_check(maker: Examples, example: Example) -> None:
    result = maker.kamailio(example).check()
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "example",
    [
        each
        for each in examples("cfg")
        if "route[" in each.text and not each.is_whole
    ],
    ids=in_line,
)
def test_example_with_a_route_starts(
    maker: Examples, example: Example
) -> None:
    # What routes say is looked at when Kamailio starts, not by the check.
    kamailio = maker.kamailio(example)
    kamailio.start()
    errors = [
        line
        for line in kamailio.log().splitlines()
        if "ERROR" in line and "mqtt: cannot connect" not in line
    ]
    assert not errors


def test_first_example_works(maker: Examples) -> None:
    (example,) = [each for each in examples("cfg") if each.is_whole]
    broker = maker.environment.broker()
    client = maker.environment.mqtt_client(broker)
    client.subscribe("sip/requests")
    kamailio = maker.kamailio(example, port=broker.port)
    kamailio.launch()
    broker.wait_for_subscription("sip/commands/#")
    with SipClient(kamailio.sip_port) as sip:
        sip.send("MESSAGE")
        message = client.wait_message("sip/requests")
    assert message.payload == b"MESSAGE from 127.0.0.1"
    client.publish("sip/commands/greet", "hello")
    kamailio.wait_for_log("sip/commands/greet: hello")


def kemi_kamailio(maker: Examples, broker: Broker, engine: str) -> Kamailio:
    """A Kamailio that runs the example for a KEMI engine."""
    example = next(
        each
        for each in examples("cfg")
        if f'cfgengine "{engine}"' in each.text and "sl.so" in each.text
    )
    return maker.kamailio(example, port=broker.port)


@pytest.mark.parametrize(
    ("engine", "answer"), [("lua", BINARY), ("python", b"4 bytes")]
)
def test_script_works(maker: Examples, engine: str, answer: bytes) -> None:
    broker = maker.environment.broker()
    client = maker.environment.mqtt_client(broker)
    client.subscribe("#")
    kamailio = kemi_kamailio(maker, broker, engine)
    kamailio.start()
    broker.wait_for_subscription("sip/commands/#")
    assert client.wait_message("sip/nodes/sip-1").payload == b"up"

    with SipClient(kamailio.sip_port) as sip:
        assert sip.request("MESSAGE").status == 200
    # The requests by which the harness sees that Kamailio runs come first.
    expected = b"MESSAGE from 127.0.0.1"
    while client.wait_message("sip/requests").payload != expected:
        pass

    client.publish("sip/commands/echo", BINARY)
    assert client.wait_message("sip/answers").payload == answer

    broker.kill()
    kamailio.wait_for_log("broker lost: ")
