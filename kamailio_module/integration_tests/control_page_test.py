# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/control_api.md is right: its commands print what it says, and it names
every method, status, event and limit of the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import grpc
import pytest

from kamailio_module.integration_tests import page
from kamailio_module.integration_tests.page import WORKSPACE, Block, Page
from tools.harness.environment import Environment
from tools.harness.grpcurl import Grpcurl, grpcurl_path
from tools.harness.kamailio import KamailioConfiguration
from tools.harness.module_under_test import module_under_test
from tools.harness.ports import free_port
from tools.harness.process import Process, program_environment
from tools.harness.waiting import wait_for

PAGE = Page("docs/control_api.md")
BLOCKS = PAGE.blocks
PROTO_FOLDER = "control_api/kamailio/mqtt/v1"
PROTO = (WORKSPACE / PROTO_FOLDER / "mqtt_control.proto").read_text()

# What the page names, and what stands there in a test.
PAGE_MODULE = "/usr/local/lib/kamailio/modules/mqtt.so"
PAGE_SOCKET = "/run/kamailio/kamailio_mqtt.sock"
PAGE_DIRECTORY = "/etc/kamailio/"
PAGE_BROKER = "127.0.0.1:1883"
PAGE_TLS_HOST = "192.0.2.10"
PAGE_TCP_ADDRESS = "127.0.0.1:50051"

# What differs from run to run, and what stands there in a comparison.
VARYING = [
    (r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"', '"TIME"'),
    (r'"\d+\.\d+s"', '"DURATION"'),
    (r"^ *\d+\(\d+\) ", "PROCESS "),
    (r"\buid \d+, pid \d+\b", "CALLER"),
    (r"\bipv4:([\d.]+):\d+\b", r"ipv4:\1:PORT"),
]


def fits(output: str, text: str) -> bool:
    return page.fits(output, text, VARYING)


class Reader:
    """Somebody who does what the page says, block by block."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._broker = environment.broker()
        self._kamailio = environment.kamailio(
            KamailioConfiguration(parameters={"host": self._broker.host})
        )
        self._directory = environment.new_directory("reader")
        # The page's folder of the sources.
        sources = self._directory / PROTO_FOLDER
        sources.parent.mkdir(parents=True)
        sources.symlink_to(WORKSPACE / PROTO_FOLDER)
        self._substitutions = {
            PAGE_MODULE: str(module_under_test()),
            PAGE_SOCKET: str(self._kamailio.mqtt_control_socket),
            PAGE_DIRECTORY: f"{self._directory}/",
            PAGE_BROKER: f"{self._broker.host}:{self._broker.port}",
            PAGE_TLS_HOST: "127.0.0.1",
            PAGE_TCP_ADDRESS: f"127.0.0.1:{free_port()}",
        }
        path = program_environment()["PATH"]
        grpcurl = Path(grpcurl_path()).parent
        self._variables = {"PATH": f"{path}:{grpcurl}"}
        self._configuration = ""
        # Of the last command, until it is compared.
        self._output: str | None = None
        self._watch: Process | None = None

    def read(self, block: Block) -> None:
        text = block.text
        for on_page, here in self._substitutions.items():
            text = text.replace(on_page, here)
        getattr(self, f"_read_{block.language}")(text)

    def _read_cfg(self, text: str) -> None:
        """A whole configuration, or lines to be added to it."""
        if "loadmodule" in text:
            self._configuration = text
        else:
            assert self._kamailio.stop() == 0
            text = self._configuration + text
        self._kamailio.configuration_path.write_text(
            f"{text}\n"
            "log_stderror=yes\ndisable_tcp=yes\n"
            f"listen=udp:{self._kamailio.host}:{self._kamailio.sip_port}\n"
            f'modparam("mqtt", "port", {self._broker.port})\n'
        )
        self._kamailio.launch()
        self._kamailio.wait_for_log("mqtt: connected to ")

    def _read_sh(self, text: str) -> None:
        """A command that ends, or one that watches until it is ended."""
        if str(self._kamailio.mqtt_control_socket) in text:
            self._settle()
        if "WatchEvents" in text and "-max-time" not in text:
            self._watch = self._environment.own(
                Process(
                    ["bash", "-c", text],
                    self._directory / "watch.log",
                    environment=self._variables,
                )
            )
            self._output = None
            self._watch.wait_for_log('"synced"')
        else:
            self._run(["bash", "-o", "pipefail", "-c", text])

    def _read_python(self, text: str) -> None:
        self._run([sys.executable, "-c", text])

    def _run(self, command: list[str]) -> None:
        done = page.run_command(command, self._directory, self._variables)
        self._output = done.stdout
        failed = "ERROR:\n" in done.stdout
        assert (done.returncode != 0) == failed, done.stdout

    def _read_text(self, text: str) -> None:
        """What the last command has printed; if that was read already, what
        the watching one has."""
        if self._output is not None:
            output, self._output = self._output, None
            assert fits(output, text), output
            return
        watch = self._watch
        assert watch is not None
        watch.wait_until(lambda: fits(watch.log(), text), text)
        self._watch = None
        watch.close()

    def _read_log(self, text: str) -> None:
        log = page.normalised(self._kamailio.log(), VARYING)
        for line in text.splitlines():
            pattern = page.pattern_of(line, VARYING)
            assert re.search(f"^{pattern}$", log, re.MULTILINE), line

    def _settle(self) -> None:
        """Waits for the end of what the commands so far have brought about
        and what they have not waited for."""
        grpcurl = Grpcurl(self._kamailio.mqtt_control_socket)

        def settled() -> bool:
            status = grpcurl.call("GetStatus").message
            listed = grpcurl.call("ListSubscriptions").message
            return "messages" not in status["publish_queue"] and all(
                each["state"] == "SUBSCRIPTION_STATE_ACTIVE"
                for each in listed["subscriptions"]
            )

        wait_for(settled, "nothing to be under way")


def test_commands(environment: Environment) -> None:
    languages = [block.language for block in BLOCKS]
    assert languages.count("sh") > 20
    reader = Reader(environment)
    for block in BLOCKS:
        try:
            reader.read(block)
        except Exception as error:
            raise AssertionError(f"line {block.line} of the page") from error


def test_commands_of_the_readme_are_those_of_the_page() -> None:
    readme = Page("README.md").blocks
    commands = {block.text for block in readme if PAGE_SOCKET in block.text}
    assert commands
    assert commands <= {block.text for block in BLOCKS}


def first_column(text: str) -> list[str]:
    """Of all tables in a text, without backquotes."""
    cells = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return [cell.strip("`") for cell in cells]


def test_every_method_has_a_section() -> None:
    methods = re.findall(r"^  rpc (\w+)\(", PROTO, re.MULTILINE)
    headings = re.findall(
        r"^### (\w+)$", PAGE.section("## Calls"), re.MULTILINE
    )
    assert sorted(headings) == sorted(methods)
    for name in methods:
        commands = [
            block.text
            for block in BLOCKS
            if block.language == "sh"
            and f"kamailio.mqtt.v1.MqttControl/{name}\n" in block.text
        ]
        assert commands, name


def test_every_status_is_explained() -> None:
    documented = {
        status.name
        for status in grpc.StatusCode
        if re.search(rf"\b{status.name}\b", PROTO)
    }
    assert "INVALID_ARGUMENT" in documented
    errors = PAGE.section("## Errors")
    rows = re.findall(r"^\| ([A-Z_]+) \| (\d+) \|", errors, re.MULTILINE)
    explained = {name for name, _ in rows}
    never = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
    assert explained | never >= documented
    for name, exit_status in rows:
        number, _ = grpc.StatusCode[name].value
        assert int(exit_status) == 64 + number
    for name in never:
        assert name in errors


def values_of(enumeration: str) -> set[str]:
    """Those of an enumeration of the .proto, but UNSPECIFIED."""
    found = re.search(
        rf"^enum {enumeration} {{\n(.*?)^}}", PROTO, re.MULTILINE | re.DOTALL
    )
    assert found, enumeration
    values = re.findall(r"^  ([A-Z_]+) = [1-9]", found[1], re.MULTILINE)
    assert values, enumeration
    return set(values)


@pytest.mark.parametrize(
    ("heading", "enumeration"),
    [
        ("### Publish", "PublishOutcome"),
        ("### InjectMessage", "RouteResult"),
        ("### Reconnect", "ReconnectMode"),
    ],
)
def test_every_value_is_explained(heading: str, enumeration: str) -> None:
    assert values_of(enumeration) <= set(first_column(PAGE.section(heading)))


def test_every_event_and_field_of_watch_events_is_explained() -> None:
    explained = set(first_column(PAGE.section("### WatchEvents")))
    oneof = re.search(r"oneof event {\n(.*?)  }", PROTO, re.DOTALL)
    request = re.search(
        r"message WatchEventsRequest {\n(.*?)\n}", PROTO, re.DOTALL
    )
    assert oneof and request
    for text in (oneof[1], request[1]):
        names = re.findall(r"^ +[\w ]+ (\w+) = \d+;", text, re.MULTILINE)
        assert names
        assert set(names) <= explained
    for kind in values_of("EventKind"):
        assert f"`{kind}`" in PAGE.section("### WatchEvents")


# The rows of the table of limits, and where the code has them.
LIMITS = {
    "request": ("control_limits.h", "kMaxControlRequestBytes"),
    "connections": ("control_limits.h", "kMaxControlConnections"),
    "calls at a time on one connection": (
        "control_limits.h",
        "kMaxControlCallsPerConnection",
    ),
    "streams of events": ("control_service.h", "streams"),
    "calls that wait": ("control_service.h", "waiting_calls"),
    "events that wait for one stream": ("event_queue.h", "max_events"),
    "their bytes": ("event_queue.h", "max_bytes"),
    "payload in an event": ("requests.h", "kMaxEventPayloadBytes"),
    "subscriptions on a page": ("requests.h", "kMaxPageSize"),
    "a page": ("conversions.cc", "kMaxListBytes"),
    "network buffers": ("control_limits.h", "kMaxControlBufferBytes"),
    "threads of the gRPC library": ("control_limits.h", "kMaxControlThreads"),
    "TLS handshake, and first bytes of a client": (
        "control_limits.h",
        "kControlHandshakeTimeout",
    ),
    "pings of a client": ("control_limits.h", "kMinControlPingInterval"),
    "silence before the client is asked": (
        "control_limits.h",
        "kControlKeepaliveTime",
    ),
    "silence after that": ("control_limits.h", "kControlKeepaliveTimeout"),
}

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "s": 1, "": 1}


def source(name: str) -> str:
    return (WORKSPACE / "control_api" / name).read_text()


def value_in_code(file: str, name: str) -> int:
    """Of `name = 16 << 20;`, `size_t{4} << 20`, `std::chrono::seconds(10)`, or
    `name{100};`."""
    found = re.search(
        rf"\b{name}(?: = (?:\w+{{(\d+)}}|[\w:]+\((\d+)\)|(\d+))"
        r"(?: << (\d+))?|{(\d+)});",
        source(file),
    )
    assert found, name
    braced, seconds, plain, shift, initial = found.groups()
    return int(braced or seconds or plain or initial) << int(shift or 0)


def test_limits() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| (?:one in )?(\d+) ?(\w*) \|",
        PAGE.section("## Limits"),
        re.MULTILINE,
    )
    on_page = {name: int(number) * UNITS[unit] for name, number, unit in rows}
    assert on_page == {
        name: value_in_code(*place) for name, place in LIMITS.items()
    }
    constants = re.findall(r"constexpr \w+ (k\w+)", source("control_limits.h"))
    assert set(constants) <= {name for _, name in LIMITS.values()}


def test_grpcurl_is_the_one_of_the_setup() -> None:
    package = r"github\.com/fullstorydev/grpcurl/cmd/grpcurl@v[\d.]+\d"
    setup = (WORKSPACE / "tools/setup").read_text()
    assert re.findall(package, PAGE.text) == re.findall(package, setup)


def test_links() -> None:
    page.check_links(
        PAGE, [Page("docs/admin_guide.md"), Page("docs/log_messages.md")]
    )
