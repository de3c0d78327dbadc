# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/log_messages.md has every line that the module writes, with its level,
and no other; and no line comes at the rate of messages, or shows what nobody
is to see."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import pytest

from kamailio_module.integration_tests.page import (
    WORKSPACE,
    Page,
    check_links,
    check_tables,
    rows,
)
from kamailio_module.integration_tests.scene import (
    Scene,
    at,
    case_route,
    run_case,
)
from tools.harness.environment import Environment
from tools.harness.grpcurl import Grpcurl
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.ledger import Ledger

PAGE = Page("docs/log_messages.md")

FOLDERS = ("kamailio_module", "mqtt_core", "control_api")

# Sources whose texts are not for the log: descriptions of the statistics.
OTHER_TEXTS = {"mqtt_core/statistics.cc"}

# Texts that are not logged, and why.
NOT_LOGGED = {
    "mqtt dispatcher": "Kamailio's name for the process",
    # Reasons for which the module ends a connection by itself; Session
    # replaces them, or is done.
    "abrupt reconnect": "logged as: reconnect requested",
    "disconnect requested": "the same, and at a stop",
    "given up": "of an attempt that nobody waits for any more",
    "the client is destroyed": "in tests",
    "the connection is ending": "its end is logged",
    "no answer in time": "LocalClient says of whom",
    # Replies of RPC commands.
    "Ok. The message is queued.": "mqtt.publish",
    "Ok. The subscription has ended.": "mqtt.unsubscribe",
    "Ok. The subscription has ended; the broker has not confirmed it yet.": (
        "mqtt.unsubscribe"
    ),
    "Ok. Connecting anew.": "mqtt.reconnect",
    # Texts of libraries, which the module looks for.
    "received PINGRESP": "libmosquitto",
    "host name verification failed": "libmosquitto",
    "OpenSSL Error": "libmosquitto",
    "unexpected eof while reading": "OpenSSL",
    "certificate verify failed": "OpenSSL",
}

# The heads of tables whose first column is not the module's own text.
FOREIGN = ("Kamailio's ", "the system's ", "the engine's ")

LEVELS = {
    "ERR": "ERROR",
    "WARN": "WARNING",
    "NOTICE": "NOTICE",
    "INFO": "INFO",
    "DBG": "DEBUG",
    "Error": "ERROR",
    "Warning": "WARNING",
    "Notice": "NOTICE",
    "Info": "INFO",
    "Debug": "DEBUG",
}

# Stands in passwords, wills and payloads, and must not stand in a log.
SECRET = "s3cr3t-of-the-test"


# What the sources have.

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|^#[^\n]*|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])+'|static_assert\(.*?\);",
    re.MULTILINE | re.DOTALL,
)

_ESCAPES = {r"\"": '"', r"\n": "", r"\\": "\\"}

_CONVERSION = re.compile(r"%[-.*0-9]*[a-zA-Z]")


def literals(code: str) -> list[str]:
    """The string literals of code; those that follow each other are one."""
    found: list[str] = []
    end = -1
    for token in _TOKEN.finditer(code):
        if not token[0].startswith('"'):
            continue
        text = token[0][1:-1]
        for escape, character in _ESCAPES.items():
            text = text.replace(escape, character)
        if found and not code[end : token.start()].strip():
            found[-1] += text
        else:
            found.append(text)
        end = token.end()
    return found


def with_any_name(text: str) -> str:
    """A text that names a parameter, as the page has it for all of them."""
    return re.sub(r'"\w+"', '"NAME"', text)


def pieces(literal: str) -> list[str]:
    """What a literal has between its conversions."""
    return [
        each.strip() for each in _CONVERSION.split(with_any_name(literal))
    ]


def is_text(piece: str) -> bool:
    """Two words, at least."""
    return len(re.findall(r"(?<!\S)\W*[a-zA-Z]{2,}", piece)) > 1


def sources() -> dict[str, str]:
    found = {}
    for folder in FOLDERS:
        for path in sorted((WORKSPACE / folder).glob("*.*")):
            name = f"{folder}/{path.name}"
            if path.suffix in (".c", ".cc", ".h") and not re.search(
                r"_(test|fuzz|benchmark)\.", path.name
            ):
                found[name] = path.read_text()
    assert len(found) > 100
    return found


SOURCES = sources()


def without_help(code: str) -> str:
    """Code without the help texts of RPC commands."""
    return re.sub(r"_doc\[\] = \{.*?\};", "", code, flags=re.DOTALL)


# What the literals of each source have between their conversions.
TEXTS = {
    name: [
        piece
        for literal in literals(without_help(code))
        for piece in pieces(literal)
    ]
    for name, code in SOURCES.items()
}
ALL_TEXTS = {piece for texts in TEXTS.values() for piece in texts}


def closing(code: str, start: int) -> int:
    """Where the parenthesis closes behind which `start` is."""
    depth = 1
    for token in re.finditer(r'"(?:\\.|[^"\\\n])*"|\(|\)', code[start:]):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return start + token.start()
    raise AssertionError(code[start : start + 100])


@dataclass(frozen=True)
class Call:
    """A call that writes a line of a level that is known there."""

    place: str
    level: str
    pieces: tuple[str, ...]


def limited_logs(code: str) -> dict[str, str]:
    """The level of each LimitedLog."""
    return dict(
        re.findall(r"\b(\w+_log_)\(loop_?, log_?, LogLevel::k(\w+)", code)
    )


def log_calls() -> list[Call]:
    found = []
    for name, code in SOURCES.items():
        limited = limited_logs(code)
        for call in re.finditer(
            r"\bLM_([A-Z]+)\("
            r"|\blog_?(?:->|\.)(Error|Warning|Notice|Info|Debug)\("
            r"|\b\w+\(\s*(?:LogLevel::k|MQTT_LOG_)(\w+),"
            r"|\b(\w+_log_)\.Write\(",
            code,
        ):
            word = call[1] or call[2] or call[3] or limited[call[4]]
            level = LEVELS.get(word, word)
            text = code[call.end() : closing(code, call.end())]
            texts = [
                piece
                for literal in literals(text)
                for piece in pieces(literal)
                if is_text(piece)
            ]
            line = code.count("\n", 0, call.start()) + 1
            if texts:
                found.append(Call(f"{name}:{line}", level, tuple(texts)))
    assert len(found) > 30
    return found


# What the page has.


@dataclass(frozen=True)
class Entry:
    message: str
    # The second column, which is the level in tables of whole lines.
    second: str
    foreign: bool


def entries() -> list[Entry]:
    found = []
    foreign = False
    for first, second, *_ in rows(PAGE.text):
        messages = re.findall(r"`([^`]*)`", first)
        if not messages:
            # The head of a table.
            foreign = first.startswith(FOREIGN)
        found += [
            Entry(with_any_name(each), second, foreign) for each in messages
        ]
    # What is appended to lines, and what is only told to callers.
    for text in (
        PAGE.section("## Rate limits"),
        PAGE.text.rpartition("|")[2],
    ):
        found += [
            Entry(each, "", False) for each in re.findall("`([^`]*)`", text)
        ]
    return found


ENTRIES = entries()


@pytest.mark.parametrize("name", sorted(set(SOURCES) - OTHER_TEXTS))
def test_every_text_of_the_sources_is_on_the_page(name: str) -> None:
    missing = [
        piece
        for piece in TEXTS[name]
        if is_text(piece)
        and piece not in NOT_LOGGED
        and not any(piece in entry.message for entry in ENTRIES)
    ]
    assert not missing


def test_the_exceptions_are_in_the_sources() -> None:
    assert set(NOT_LOGGED) <= ALL_TEXTS
    assert OTHER_TEXTS <= set(SOURCES)


def own_messages() -> list[str]:
    found = [entry.message for entry in ENTRIES if not entry.foreign]
    # Single words are parts of lines.
    return [each for each in found if is_text(each)]


@pytest.mark.parametrize("message", sorted(set(own_messages())))
def test_every_message_of_the_page_has_a_source(message: str) -> None:
    rest = message
    for text in sorted(ALL_TEXTS, key=len, reverse=True):
        if len(text) > 2:
            rest = rest.replace(text, " ")
    # What is left stands for what differs.
    words = re.findall(r"(?<![\w$/-])[a-z]{3,}(?![\w/-])", rest)
    assert not words


@pytest.mark.parametrize("call", log_calls(), ids=lambda call: call.place)
def test_levels(call: Call) -> None:
    fitting = [
        entry
        for entry in ENTRIES
        if all(piece in entry.message for piece in call.pieces)
    ]
    assert fitting
    levels = set(LEVELS.values())
    assert {call.level} <= {
        level
        for entry in fitting
        for level in entry.second.split(", ")
        if level in levels
    }


def constant(name: str, path: str) -> int:
    found = re.search(
        rf"\b{name} = (?:std::chrono::seconds\()?(\d+)\)?;", SOURCES[path]
    )
    assert found, name
    return int(found[1])


def test_rate_limits() -> None:
    limits = {
        row[0]: [int(number) for number in re.findall(r"\d+", row[1])]
        for row in rows(PAGE.section("## Rate limits"))
    }
    invalid = constant("kInvalidBurst", "mqtt_core/request_sender.h")
    subscriptions = constant("kSubscriptionLines", "mqtt_core/session.cc")
    interval = constant("kInterval", "mqtt_core/limited_log.h")
    control = constant("kLogBurst", "control_api/control_service.h")
    rpc = constant("kRpcLogBurst", "kamailio_module/rpc_commands.h")
    assert constant("kInterval", "mqtt_core/line_limit.h") == 1
    assert constant("kInterval", "mqtt_core/loss_log.cc") == 1
    assert limits["calls that return -1"] == [invalid]
    assert limits["refused subscriptions, and `not subscribed to`"] == [
        subscriptions,
        interval,
    ]
    assert limits["control calls that change something"] == [control]
    assert limits["RPC commands that change something"] == [rpc]
    assert limits["control connections that are refused"] == [interval]


def test_tables() -> None:
    check_tables(PAGE)


def test_links() -> None:
    check_links(
        PAGE, [Page("docs/admin_guide.md"), Page("docs/control_api.md")]
    )


# What the module does.


def module_lines(kamailio: Kamailio) -> list[str]:
    return [
        line
        for line in kamailio.log().splitlines()
        if re.match(r"\s*\d+\(\d+\) [A-Z]+: (?:\{[^}]*\} )?mqtt\b", line)
    ]


CALLS = 5000

# As many calls as one request may make.
REPEAT = """
    $var(i) = 0;
    while ($var(i) < {calls}) {{
        {call};
        $var(i) = $var(i) + 1;
    }}"""


def repeat(environment: Environment, call: str) -> tuple[Kamailio, float]:
    """A Kamailio whose script has made CALLS calls, and the seconds that it
    took."""
    scene = Scene(
        environment,
        request_route=REPEAT.format(calls=CALLS, call=call),
        global_parameters=f"max_while_loops={2 * CALLS}",
    )
    begin = time.monotonic()
    assert scene.sip.request().status == 200
    return scene.kamailio, time.monotonic() - begin


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('mqtt_publish("#", "", 0)', "wildcard '#' at byte 0"),
        ('mqtt_publish("a", "$null", 0)', "must not be null"),
        ('mqtt_publish("a", "b", "$var(i)x")', "must be 0, 1 or 2"),
        ('mqtt_subscribe("a#", 0)', "must be a whole level"),
        ('mqtt_unsubscribe("$null")', "must not be null"),
    ],
)
def test_errors_of_a_script_do_not_flood_the_log(
    environment: Environment, call: str, text: str
) -> None:
    kamailio, seconds = repeat(environment, call)
    burst = constant("kInvalidBurst", "mqtt_core/request_sender.h")
    lines = [line for line in module_lines(kamailio) if text in line]
    assert burst <= len(lines) <= burst + seconds + 1
    assert all(" ERROR: " in line for line in lines)
    assert Ledger(kamailio)["refused_invalid"] == CALLS


def test_needless_unsubscriptions_do_not_flood_the_log(
    environment: Environment,
) -> None:
    kamailio, _ = repeat(environment, 'mqtt_unsubscribe("a/$var(i)")')
    burst = constant("kSubscriptionLines", "mqtt_core/session.cc")
    kamailio.wait_for_log(f"(the last of {CALLS - burst} such events)")
    lines = [
        line
        for line in module_lines(kamailio)
        if "nothing to unsubscribe from" in line
    ]
    assert len(lines) == burst + 1
    assert all(" INFO: " in line for line in lines)


def test_what_is_secret_is_not_logged(environment: Environment) -> None:
    broker = environment.broker(users={"user": SECRET})
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(
                broker,
                username="user",
                password=SECRET,
                will_topic="will",
                will=SECRET,
            ),
            request_route=case_route(
                [
                    'mqtt_publish("out", "$rb", 1)',
                    'mqtt_publish("#", "$rb", 1)',
                    'mqtt_publish("out", "$rb", "3$var(empty)")',
                    'mqtt_publish("out", "$rb", 1, "unknown")',
                    f'mqtt_publish("$null", "{SECRET}", 1)',
                ]
            ),
            routes="""
            event_route[mqtt:connected] { mqtt_subscribe("in", 1); }
            event_route[mqtt:message] {
                mqtt_publish("routed", "$mqtt(msg)", 1);
            }""",
            debug=3,
        )
    )
    kamailio.start()
    broker.wait_for_subscription("in")
    client = environment.mqtt_client(broker, username="user", password=SECRET)
    client.subscribe("routed")
    with environment.sip_client(kamailio) as sip:
        for number in range(5):
            run_case(sip, number, body=SECRET.encode())
    client.publish("in", SECRET)
    assert client.wait_message("routed").payload == SECRET.encode()
    grpcurl = Grpcurl(kamailio.mqtt_control_socket)
    payload = "czNjcjN0LW9mLXRoZS10ZXN0"  # SECRET in base64
    for method, topic in [
        ("Publish", "out"),
        ("Publish", "#"),
        ("InjectMessage", "in"),
        ("InjectMessage", "#"),
    ]:
        grpcurl.call(method, {"topic": topic, "payload": payload})
    assert client.wait_message("routed").payload == SECRET.encode()
    broker.kill()
    kamailio.wait_for_log("next attempt in")
    assert kamailio.stop() == 0
    lines = module_lines(kamailio)
    assert {"ERROR", "NOTICE", "INFO", "DEBUG"} <= {
        line.split(": ")[0].split()[-1] for line in lines
    }
    assert not [line for line in lines if SECRET in line]
    assert not [line for line in lines if payload in line]
