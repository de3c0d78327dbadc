# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario file may hold, and how each fault of it is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tools.scenario_run import document, steps
from tools.scenario_run.errors import DocumentRefused

FILE = Path("/nowhere/scenario.yaml")

# Every kind of step, and every kind of value.
ALL_STEPS = r"""
name: all steps
broker: private
steps:
  - expect_connection: connected
  - expect_connection: {state: waiting, within: 500ms}
  - expect_subscription: "commands/#"
  - expect_subscription: {topic_filter: +/a, qos: 1, state: refused}
  - inject:
      topic: commands/greet
      payload: "hello\0"
      qos: 2
      retain: true
      expect_result: no_route
      within: 1.5m
  - publish: {topic: a, payload_base64: AP8=}
  - control_publish:
      topic: a
      payload_json: {"list": [1, 2.5, true, null, "text"]}
      expect_outcome: acknowledged
  - sip:
      method: MESSAGE
      from: sip:alice@example.org
      to: sip:bob@example.org
      headers: {Content-Type: text/plain}
      body: |
        two
        lines
      expect_status: 202
  - sipp: {scenario: call.xml, keys: {user: bob}, calls: 3}
  - reconnect: abrupt
  - reconnect: {wait: false}
  - broker: freeze
  - broker: resume
  - broker: stop
  - broker: start
  - expect_publish: {topic_filter: a/#, payload: x, outcome: written}
  - expect_no_publish: {}
  - expect_message: {payload_matches: "^a.*", origin: injected}
  - expect_delivered: {topic: a, payload_json: [], in_order: true}
  - expect_event: {kind: disconnected, reason_matches: lost}
  - expect_event: {kind: subscription_changed, state: removed}
  - expect_log: "warning: .*"
"""


def parse(text: str, default_broker: str = "none") -> document.Scenario:
    return document.parse(text, FILE, default_broker=default_broker)


def faults(text: str) -> list[str]:
    with pytest.raises(DocumentRefused) as error:
        parse(text)
    lines = str(error.value).splitlines()
    assert all(line.startswith(f"{FILE}: ") for line in lines)
    return [line.removeprefix(f"{FILE}: ") for line in lines]


def step(text: str) -> steps.Step:
    scenario = parse(f"steps: [{text}]", default_broker="private")
    return scenario.steps[0].step


@pytest.fixture(name="whole_file")
def _whole_file(tmp_path: Path) -> Path:
    (tmp_path / "call.xml").touch()
    path = tmp_path / "scenario.yaml"
    path.write_text(ALL_STEPS)
    return path


def test_a_file_with_every_step(whole_file: Path) -> None:
    scenario = document.load(whole_file, default_broker="none")
    assert scenario.name == "all steps"
    assert scenario.has_broker
    kinds = {type(each.step) for each in scenario.steps}
    assert kinds == set(steps.KINDS.values())
    assert scenario.steps[4].title == "steps[4] inject: commands/greet"


def test_values_become_what_a_step_needs() -> None:
    inject = step('{inject: {topic: a, payload: "ü\\0", within: 500ms}}')
    assert isinstance(inject, steps.Inject)
    assert inject.data == "ü\0".encode()
    assert inject.within == 0.5
    assert (inject.qos, inject.retain) == (0, False)
    assert inject.expect_result == "done"
    sip = step("{sip: {method: INVITE, from: 'sip:a@b'}}")
    assert isinstance(sip, steps.Sip)
    assert (sip.sender, sip.to, sip.body) == ("sip:a@b", None, b"")
    publish = step("{publish: {topic: a, payload_json: {b: [1.5, null]}}}")
    assert isinstance(publish, steps.Publish)
    assert publish.data == b'{"b": [1.5, null]}'


def test_a_payload_that_looks_like_a_date_is_a_string() -> None:
    inject = step("{inject: {topic: a, payload: 2026-01-31}}")
    assert isinstance(inject, steps.Inject)
    assert inject.data == b"2026-01-31"


def test_the_broker_of_the_file_goes_before_the_default() -> None:
    text = "steps: [expect_log: a]"
    assert not parse(text).has_broker
    assert parse(text, "private").has_broker
    assert not parse(f"broker: none\n{text}", "private").has_broker


def test_the_name_is_that_of_the_file_where_none_is_given() -> None:
    assert parse("steps: [expect_log: a]").name == "scenario"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "must be a mapping"),
        ("just text", "'just text': must be a mapping"),
        ("name: a", "steps: is required"),
        ("steps: []", "steps: must be a list of 1 to 1000 steps"),
        ("steps: {}", "steps: must be a list of 1 to 1000 steps"),
        ("{name: 1, steps: [expect_log: a]}", "name: 1: must be a string"),
        (
            "{broker: public, steps: [expect_log: a]}",
            "broker: 'public': must be one of: private, none",
        ),
        ("{more: 1, steps: []}", "more: unknown key; the keys are: steps"),
        ("{steps: [], steps: []}", "steps: occurs twice"),
        ("{1: &a b, 2: *a}", "is not YAML: line 1: aliases are not allowed"),
        ("a: !!binary AAA=", "is not YAML: line 1: tags are not allowed"),
        ("{[a]: b}", "must have strings as keys"),
        ("steps: [", "is not YAML: while parsing a flow node"),
        ("a: b\n---\nc: d", "is not YAML: expected a single document"),
        ("[" * 5000, "is nested too deeply"),
        ('a: "\\UFFFFFFFF"', "is not YAML: "),
        ('a: "\\uD800"', "a: must not hold surrogates"),
        ("a: 1e999", "a: '1e999': is too large for a number"),
    ],
)
def test_a_fault_of_the_whole_file(text: str, fault: str) -> None:
    (line,) = faults(text)
    assert line.startswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("text", ": 'text': must be a mapping with one key"),
        ("{}", ": {}: must be a mapping with one key"),
        ("{expect_log: a, name: b}", ": {'expect_log': 'a', 'name': 'b'}: "),
        ("wait: 1s", ": 'wait': unknown step; the steps are: inject, "),
        ("inject: a", ".inject: 'a': must be a mapping"),
        ("inject: {}", ".inject.topic: is required"),
        ("inject: {topic: a, topics: b}", ".inject.topics: unknown key; "),
        ("inject: {topic: 1}", ".inject.topic: 1: must be a string"),
        ('inject: {topic: ""}', ".inject.topic: '': must not be empty"),
        ("inject: {topic: a/#}", "'a/#': must not hold a wildcard"),
        ('inject: {topic: "a\\0"}', "must not hold control characters"),
        (f"inject: {{topic: {'é' * 32768}}}", "must have at most 65535 byt"),
        ("inject: {topic: a, qos: 3}", ".qos: 3: must be 0, 1 or 2"),
        ("inject: {topic: a, qos: true}", ".qos: True: must be 0, 1 or 2"),
        ('inject: {topic: a, qos: "1"}', ".qos: '1': must be 0, 1 or 2"),
        ("inject: {topic: a, retain: 1}", ".retain: 1: must be true or fal"),
        ("inject: {topic: a, payload: 1}", ".payload: 1: must be a string"),
        (
            "inject: {topic: a, payload: b, payload_json: c}",
            ".inject: more than one payload is given",
        ),
        (
            "inject: {topic: a, payload_base64: '!'}",
            ".payload_base64: '!': must be base64",
        ),
        (
            "inject: {topic: a, expect_result: good}",
            ".expect_result: 'good': must be one of: done, no_route, failed",
        ),
        (
            "inject: {topic: a, within: 5}",
            ".within: 5: must be a number with a unit: 500ms, 2s or 1m",
        ),
        (
            "inject: {topic: a, within: 0s}",
            ".within: '0s': must be above 0 and up to 10m",
        ),
        (
            "inject: {topic: a, within: 11m}",
            ".within: '11m': must be above 0 and up to 10m",
        ),
        ("publish: {topic: a}", ".publish: needs a broker: say `broker: pri"),
        ("broker: stop", ".broker: needs a broker: "),
        ("expect_delivered: {}", ".expect_delivered: needs a broker: "),
        ("broker: {}", ".broker.change: is required"),
        (
            "expect_publish: {topic: a, topic_filter: a}",
            ".expect_publish: either topic or topic_filter, not both",
        ),
        (
            "expect_publish: {topic_filter: a/#/b}",
            ".topic_filter: 'a/#/b': '#' must be the last level",
        ),
        (
            "expect_publish: {topic_filter: a+}",
            ".topic_filter: 'a+': a wildcard must be a whole level",
        ),
        (
            "expect_publish: {payload_matches: '('}",
            ".payload_matches: '(': must be a regular expression: ",
        ),
        (
            "expect_publish: {payload: a, payload_matches: a}",
            ".expect_publish: more than one payload is given",
        ),
        (
            f"expect_publish: {{payload: {'a' * 65537}}}",
            "the expected payload must have at most 65536 bytes",
        ),
        ("expect_log: ''", "'': must have from 1 to 1000 characters"),
        (
            "expect_event: {kind: connected, state: active}",
            ".expect_event.state: is for kind subscription_changed only",
        ),
        (
            "expect_event: {kind: connected, reason_matches: a}",
            ".reason_matches: is for kind disconnected only",
        ),
        (
            "expect_subscription: {topic_filter: a, state: absent, qos: 1}",
            ".expect_subscription.qos: is not for state absent",
        ),
        ("sip: {method: 'A B'}", ".sip.method: 'A B': must be a token"),
        ("sip: {method: A, to: bob}", ".sip.to: 'bob': must be a SIP URI"),
        ('sip: {method: A, from: "sip:a\\r\\nb"}', "must be a SIP URI"),
        (
            "sip: {method: A, headers: {Call-ID: a}}",
            ".sip.headers.Call-ID: is set by the SIP client",
        ),
        (
            'sip: {method: A, headers: {X: "a\\r\\nVia: b"}}',
            "must be one line of text",
        ),
        ("sip: {method: A, headers: [X]}", ".headers: ['X']: must be a mapp"),
        (
            "sip: {method: A, expect_status: 100}",
            ".expect_status: 100: must be from 200 to 699",
        ),
        (
            "sip: {method: A, expect_status: '200'}",
            ".expect_status: '200': must be an integer",
        ),
        (
            "sipp: call.xml",
            ".sipp.scenario: 'call.xml': there is no such file in /nowhere",
        ),
    ],
)
def test_a_fault_of_a_step(text: str, fault: str) -> None:
    (line,) = faults(f"steps:\n  - expect_log: a\n  - {text}")
    assert line.startswith("steps[1]")
    assert fault in line


@pytest.mark.parametrize(
    ("changes", "path", "fault"),
    [
        (["start"], "steps[0]", "'start': the broker is running"),
        (["stop", "freeze"], "steps[1]", "'freeze': the broker is stopped"),
        (["freeze", "stop"], "steps[1]", "'stop': the broker is frozen"),
        (["resume"], "steps[0]", "'resume': the broker is running"),
    ],
)
def test_a_change_of_the_broker_that_is_not_possible(
    changes: list[str], path: str, fault: str
) -> None:
    lines = "".join(f"  - broker: {change}\n" for change in changes)
    (line,) = faults(f"broker: private\nsteps:\n{lines}")
    assert line == f"{path}.broker: {fault}"


def test_every_faulty_step_is_told() -> None:
    lines = faults("steps: [a: 1, expect_log: ok, inject: {}, publish: {}]")
    assert [line.split(":")[0] for line in lines] == [
        "steps[0]",
        "steps[2].inject.topic",
        "steps[3].publish.topic",
    ]


def test_a_long_value_is_shortened() -> None:
    (line,) = faults(f"steps: [inject: {{topic: a, qos: {'x' * 9999}}}]")
    assert len(line) < 200
    (line,) = faults(f"{{{'x' * 999}: 1, steps: [expect_log: a]}}")
    assert len(line) < 300


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xff", "codec can't decode"),
        (b"#" * (document.LARGEST_FILE + 1), "must have at most 1048576 byt"),
    ],
)
def test_a_file_that_is_no_text(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(content)
    with pytest.raises(DocumentRefused, match=fault):
        document.load(path, default_broker="none")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DocumentRefused, match="No such file"):
        document.load(tmp_path / "absent.yaml", default_broker="none")


# What stands between the values of a file, and what makes trouble in YAML.
SNIPPETS = [
    *"{}[]:,#&*!|>'\"%@`-?\n\t \0\x7f\\",
    *("---", "...", "<<: ", "!!int ", "\\UFFFFFFFF", '"\\uD800"', "\ufeff"),
    *("true", "null", "~", "1e999", "0x_", "-0", "9" * 99, "2026-99-99"),
    *("steps", "inject", "topic", "a/#", "ü", "\U0001f600", "[" * 3000),
]


def mutated(text: str, generator: random.Random) -> str:
    for _ in range(generator.randint(1, 4)):
        start = generator.randrange(len(text))
        end = min(start + generator.randint(0, 12), len(text))
        match generator.randrange(3):
            case 0:
                insertion = generator.choice(SNIPPETS)
            case 1:
                other = generator.randrange(len(text))
                insertion = text[other : other + generator.randint(1, 40)]
            case _:
                insertion = ""
        text = text[:start] + insertion + text[end:]
        if not text:
            break
    return text


def test_mutations_are_read_or_refused(whole_file: Path) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    generator = random.Random(seed)
    read = refused = 0
    for _ in range(1000):
        text = mutated(ALL_STEPS, generator)
        try:
            document.parse(text, whole_file, default_broker="none")
            read += 1
        except DocumentRefused:
            refused += 1
    assert read > 0 and refused > 0
