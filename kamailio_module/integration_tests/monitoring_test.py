# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/monitoring.md, the rules and the dashboard are right: what they name
is on a real page of xhttp_prom, what they say is valid and fires when it
should, and the commands of the page do what it says."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kamailio_module.integration_tests.page import (
    WORKSPACE,
    Page,
    check_links,
    fits,
    rows,
    run_command,
)
from tools.harness.environment import Environment
from tools.harness.module_under_test import module_under_test
from tools.harness.ports import free_port
from tools.harness.process import Process
from tools.harness.waiting import DEADLINE, wait_for

PAGE = Page("docs/monitoring.md")
GUIDE = Page("docs/admin_guide.md")
MONITORING = "docs/monitoring"
TESTDATA = "testdata/monitoring"
CONFIGURATION = (WORKSPACE / TESTDATA / "kamailio.cfg").read_text()
SCRAPING = (WORKSPACE / MONITORING / "prometheus.yml").read_text()
RULES = (WORKSPACE / MONITORING / "prometheus_rules.yml").read_text()
RULES_TEST = (WORKSPACE / TESTDATA / "prometheus_rules_test.yml").read_text()
DASHBOARD = (WORKSPACE / MONITORING / "grafana_dashboard.json").read_text()

# What page and files name, and what stands there in a test.
PAGE_MODULE = "/usr/local/lib/kamailio/modules/mqtt.so"
PAGE_BROKER_PORT = "1883"
PAGE_METRICS_PORT = "9494"
PAGE_PROMETHEUS_PORT = "9090"
PAGE_PORTS = (
    PAGE_BROKER_PORT,
    PAGE_METRICS_PORT,
    PAGE_PROMETHEUS_PORT,
    "5060",  # SIP
)

# What differs from run to run, and what stands there in a comparison.
VARYING = [(r"\b\d{13}$", "TIME"), (r"@\[[\d.]+\]", "@[TIME]")]

# Statistics that are always 0, or never seen by Prometheus.
NEVER = {
    "acknowledged_qos0",
    "written_qos1",
    "written_qos2",
    "possibly_lost_qos1",
    "possibly_lost_qos2",
    "dropped_refused_qos0",
    "dropped_shutdown_qos0",
    "dropped_shutdown_qos1",
    "dropped_shutdown_qos2",
}

PREFIX = "kamailio_mqtt_"

# The widths of Grafana's grid.
COLUMNS = 24


def alerts() -> list[dict[str, Any]]:
    return [
        rule
        for group in yaml.safe_load(RULES)["groups"]
        for rule in group["rules"]
    ]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD)["panels"]


def dashboard_expressions() -> list[str]:
    """Those of all panels, with what Grafana puts in for its variables."""
    expressions = []
    for panel in panels():
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for variable, value in {
                "$__rate_interval": "1m",
                "$__range": "3h",
                "$instance": ".*",
            }.items():
                expression = expression.replace(variable, value)
            assert "$" not in expression
            expressions.append(expression)
    return expressions


def names_in(text: str) -> set[str]:
    names = set(re.findall(rf"\b{PREFIX}(\w+)", text))
    # The names of groups of rules.
    return names - {"connection", "publish", "inbound"}


def promtool(*arguments: str | Path) -> None:
    done = run_command(["promtool", *map(str, arguments)], WORKSPACE, {})
    assert done.returncode == 0, done.stdout


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
        return answer.read().decode()


def program_of(command: str) -> str:
    return Path(command.split()[0]).name


class Node:
    """A folder like that of the project, in which the commands of the page
    are run; the ports are this test's own, and Prometheus asks often."""

    # What the programs that run until they are stopped say when they are up.
    _READY = {
        "mosquitto": " running\n",
        "kamailio": "mqtt: connected to ",
        "prometheus": "Server is ready to receive web requests",
    }

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._directory = environment.new_directory("node")
        self._ports = {port: free_port() for port in PAGE_PORTS}
        self._programs: dict[str, Process] = {}
        self._write(
            f"{TESTDATA}/kamailio.cfg",
            CONFIGURATION
            + f'modparam("mqtt", "port", {PAGE_BROKER_PORT})\n',
        )
        self._write(
            f"{MONITORING}/prometheus.yml",
            SCRAPING.replace("_interval: 15s", "_interval: 200ms"),
        )
        self._write(
            f"{MONITORING}/prometheus_rules.yml",
            re.sub(r"\bfor: \d+m", "for: 1s", RULES),
        )

    def _write(self, path: str, text: str) -> None:
        file = self._directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.here(text))

    def here(self, text: str) -> str:
        """A text of the page or a file, with what stands there in a test."""
        text = text.replace(PAGE_MODULE, str(module_under_test()))
        return re.sub(
            r"(?<!\d)(?:" + "|".join(self._ports) + r")(?!\d)",
            lambda found: str(self._ports[found[0]]),
            text,
        )

    def start(self, program: str) -> None:
        """The program whose command is on the page."""
        (command,) = [
            block.text
            for block in PAGE.blocks
            if program_of(block.text) == program
        ]
        process = self._environment.own(
            Process(
                ["env", f"--chdir={self._directory}"]
                + ["bash", "-c", f"exec {self.here(command)}"],
                self._directory / f"{program}.log",
                environment={"TMPDIR": str(self._directory)},
            )
        )
        process.wait_for_log(self._READY[program])
        self._programs[program] = process

    def start_all(self) -> None:
        for program in self._READY:
            self.start(program)

    def start_broker(self, **settings: Any) -> None:
        """Another than that of the page; `settings` are those of Broker."""
        port = int(self.here(PAGE_BROKER_PORT))
        self._environment.broker(port=port, **settings)

    def is_program(self, command: str) -> bool:
        return program_of(command) in self._READY

    def stop_broker(self) -> None:
        self._programs["mosquitto"].stop()

    def run(self, command: str) -> str:
        """What a command prints that ends."""
        done = run_command(
            ["bash", "-o", "pipefail", "-c", self.here(command)],
            self._directory,
            {},
        )
        return done.stdout

    def metrics(self) -> str:
        server = self.here(f"http://127.0.0.1:{PAGE_METRICS_PORT}")
        return fetch(f"{server}/metrics")

    def query(self, expression: str) -> list[Any]:
        """The samples that Prometheus has now."""
        parameters = urllib.parse.urlencode({"query": expression})
        server = self.here(f"http://127.0.0.1:{PAGE_PROMETHEUS_PORT}")
        answer = json.loads(fetch(f"{server}/api/v1/query?{parameters}"))
        assert answer["status"] == "success", answer
        return answer["data"]["result"]


@pytest.fixture(name="node")
def _node(environment: Environment) -> Node:
    return Node(environment)


# The page of xhttp_prom.


def test_names_are_those_of_a_real_page(node: Node) -> None:
    node.start("mosquitto")
    node.start("kamailio")
    families = list(text_string_to_metric_families(node.metrics()))
    values = {
        sample.name: sample.value
        for family in families
        for sample in family.samples
    }
    assert all(name.startswith(PREFIX) for name in values)
    on_page = {name.removeprefix(PREFIX) for name in values}
    assert values[f"{PREFIX}connected"] == 1
    # What xhttp_prom does not say, and so the queries must know.
    assert {family.type for family in families} == {"unknown"}

    five_minutes = PAGE.section("## In five minutes")
    for text in (DASHBOARD, RULES, RULES_TEST, five_minutes):
        named = names_in(text)
        assert named
        assert named <= on_page
    assert NEVER < on_page
    assert names_in(DASHBOARD) == on_page - NEVER


# Queries.


def test_rules_and_configuration_are_valid() -> None:
    promtool("check", "rules", WORKSPACE / MONITORING / "prometheus_rules.yml")
    promtool("check", "config", WORKSPACE / MONITORING / "prometheus.yml")


def test_dashboard_expressions_are_valid(tmp_path: Path) -> None:
    expressions = dashboard_expressions()
    assert expressions
    rules = tmp_path / "rules.yml"
    rules.write_text(
        yaml.safe_dump(
            {
                "groups": [
                    {
                        "name": "dashboard",
                        "rules": [
                            {"record": f"panel:{number}", "expr": expression}
                            for number, expression in enumerate(expressions)
                        ],
                    }
                ]
            }
        )
    )
    promtool("check", "rules", rules)


def gauges() -> set[str]:
    """The statistics that the admin guide marks as gauges, and the one that
    is neither."""
    names = set()
    for name, meaning, *_ in rows(GUIDE.section("## Statistics")):
        if meaning.startswith("now: "):
            name = name.strip("`")
            names |= {name.replace("*", str(qos)) for qos in range(3)}
    assert "queued_qos1" in names
    assert "connected" in names
    return names | {"written_qos0"}


@pytest.mark.parametrize(
    "expression",
    [rule["expr"] for rule in alerts()] + dashboard_expressions(),
)
def test_only_counters_have_a_rate(expression: str) -> None:
    rated = set(
        re.findall(
            rf"\b(?:rate|increase)\({PREFIX}(\w+)[^)]*\[\w+\]\)", expression
        )
    )
    assert names_in(expression) - rated <= gauges()
    assert not rated & gauges()


# Alerts.


def test_alerts_in_their_unit_tests() -> None:
    promtool(
        "test", "rules", WORKSPACE / TESTDATA / "prometheus_rules_test.yml"
    )


def test_a_subscription_refused_before_the_first_scrape_is_an_alert(
    node: Node,
) -> None:
    node.start_broker(subscribe_only="sip/other/#")
    node.start("kamailio")
    refused = f"{PREFIX}subscriptions_refused_now 1 "
    wait_for(
        lambda: refused in node.metrics(), "the refusal", details=node.metrics
    )
    node.start("prometheus")
    wait_for(
        lambda: node.query(
            'ALERTS{alertname="KamailioMqttSubscriptionRefused",'
            ' alertstate="firing"}'
        ),
        "the alert",
    )


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_has_a_unit_test(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    cases = [
        case
        for case in yaml.safe_load(RULES_TEST)["tests"]
        if case["name"] == name
    ]
    assert cases
    for case in cases:
        before, after = case["promql_expr_test"]
        assert before["expr"] == after["expr"]
        assert f'alertname="{name}"' in before["expr"]
        assert before["exp_samples"] == []
        (sample,) = after["exp_samples"]
        assert 'instance="bad"' in sample["labels"]
        assert alert["labels"]["severity"] in sample["labels"]
        named = {series["series"] for series in case["input_series"]}
        for series in named:
            other = series.replace('"bad"', '"good"')
            assert other in named
        assert names_in(alert["expr"]) <= names_in("".join(named))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_each_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    annotations = alert["annotations"]
    assert set(annotations) == {"summary", "description", "runbook"}
    assert "{{ $labels.instance }}" in annotations["summary"]
    assert all(text.strip() for text in annotations.values())
    page_names = re.findall(r"docs/[\w.]+", annotations["runbook"])
    for page_name in page_names:
        assert (WORKSPACE / page_name).exists()


def test_what_the_guide_calls_worth_an_alarm_has_an_alert() -> None:
    (sentence,) = re.findall(
        r"^Those worth an alarm:.*?\.$",
        GUIDE.section("## Statistics"),
        re.MULTILINE | re.DOTALL,
    )
    patterns = re.findall(r"`([a-z_0-9*]+)`", sentence)
    assert len(patterns) > 5
    watched = set().union(*(names_in(rule["expr"]) for rule in alerts()))
    for pattern in patterns:
        expected = {
            name
            for name in names_in(DASHBOARD)
            if re.fullmatch(pattern.replace("*", ".*"), name)
        }
        assert expected, pattern
        assert expected <= watched, pattern


def test_the_page_lists_all_alerts() -> None:
    _, *listed = rows(PAGE.section("## Alerts"))
    assert [(row[0].strip("`"), row[1]) for row in listed] == [
        (rule["alert"], rule["labels"]["severity"]) for rule in alerts()
    ]


# The dashboard, as Grafana wants it.


def test_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD)
    assert dashboard["schemaVersion"] >= 36
    assert dashboard["id"] is None
    assert dashboard["title"] and dashboard["uid"]
    kinds = {"row"} | {
        each["id"]
        for each in dashboard["__requires"]
        if each["type"] == "panel"
    }
    assert {panel["type"] for panel in panels()} == kinds
    numbers = [panel["id"] for panel in panels()]
    assert len(set(numbers)) == len(numbers)
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource", "instance"}


def test_dashboard_panels_have_queries_of_the_chosen_source() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels():
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["datasource"] == source
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
        for target in panel["targets"]:
            assert target["datasource"] == source
            assert "{{instance}}" in target["legendFormat"]
            assert target["expr"].count('instance=~"$instance"') == len(
                re.findall(PREFIX, target["expr"])
            )


def test_dashboard_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert cells
        assert not cells & taken
        taken |= cells
    # And leave no hole.
    assert len(taken) % COLUMNS == 0
    assert len(taken) == COLUMNS * (1 + max(line for _, line in taken))


def test_the_page_lists_the_rows_of_the_dashboard() -> None:
    _, *listed = rows(PAGE.section("## The dashboard"))
    assert [row[0] for row in listed] == [
        panel["title"] for panel in panels() if panel["type"] == "row"
    ]


def test_prometheus_has_an_answer_to_every_panel(node: Node) -> None:
    node.start_all()
    waiting = dashboard_expressions()

    def answered() -> bool:
        # The oldest samples that a slope needs come first.
        waiting[:] = [each for each in waiting if not node.query(each)]
        return not waiting

    wait_for(answered, "an answer", details=lambda: "\n".join(waiting))


# The page.


def test_the_configurations_of_the_page_are_the_files() -> None:
    (block,) = [each for each in PAGE.blocks if each.language == "cfg"]
    assert block.text == CONFIGURATION
    (block,) = [each for each in PAGE.blocks if each.language == "yaml"]
    on_page = yaml.safe_load(block.text)
    scraping = yaml.safe_load(SCRAPING)
    (job,) = on_page["scrape_configs"]
    (file_job,) = scraping["scrape_configs"]
    assert job | {"static_configs": None} == file_job | {
        "static_configs": None
    }
    assert set(on_page) <= set(scraping)


def test_commands(node: Node) -> None:
    section = PAGE.section("## In five minutes")
    blocks = [each for each in PAGE.blocks if each.text in section]
    command = ""
    texts = 0
    for block in blocks:
        if block.language == "text":
            texts += 1
            wait_for(
                lambda: fits(
                    node.run(command), node.here(block.text), VARYING
                ),
                f"what line {block.line} of the page says",
                details=lambda: node.run(command),
            )
        elif block.language == "sh":
            command = block.text
            if "ALERTS" in command:
                node.stop_broker()
            if node.is_program(command):
                node.start(program_of(command))
            # What follows is run until it prints what the page says; what
            # installs has been done.
            elif "mosquitto_pub" in command:
                node.run(command)
    assert texts > 3


def test_commands_of_the_readme_are_those_of_the_page() -> None:
    (commands,) = [
        block.text
        for block in Page("README.md").blocks
        if f"{TESTDATA}/kamailio.cfg" in block.text
    ]
    on_page = {
        block.text for block in PAGE.blocks if block.language == "sh"
    }
    assert set(commands.splitlines(keepends=True)) <= on_page


def test_links() -> None:
    check_links(PAGE, [GUIDE])
    files = re.findall(r"\]\(([\w./]+)\)", PAGE.text)
    assert files
    for file in files:
        assert (WORKSPACE / "docs" / file).exists(), file
