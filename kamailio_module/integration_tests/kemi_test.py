# SPDX-License-Identifier: GPL-3.0-or-later
"""The module in Lua and Python scripts, which app_lua and app_python3 run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kamailio_module.integration_tests.scene import (
    CLIENT_ID,
    Scene,
    return_code,
)
from tools.harness.environment import Environment
from tools.harness.kamailio import KamailioConfiguration, Parameter
from tools.harness.ports import free_port

SECRET = "payload-of-nobody"

@dataclass(frozen=True)
class Language:
    module: str
    engine: str  # For cfgengine.
    script: Path
    guide_example: Path
    null: str  # As text.

    def configuration(
        self, *, script: Path | None = None, routes: str = ""
    ) -> dict[str, Any]:
        """What a KamailioConfiguration needs to run a script."""
        path = script or self.script
        return {
            "modules": [self.module],
            "routes": f'modparam("{self.module}", "load", "{path}")\n'
            + routes,
            "kemi": f'cfgengine "{self.engine}"',
        }


_HERE = Path(__file__).absolute().parent
_GUIDE_EXAMPLES = _HERE.parents[1] / "testdata/guide_examples"

LANGUAGES = {
    "Lua": Language(
        "app_lua",
        "lua",
        _HERE / "kemi_script.lua",
        _GUIDE_EXAMPLES / "event_callback.lua",
        "nil",
    ),
    "Python": Language(
        "app_python3",
        "python",
        _HERE / "kemi_script.py",
        _GUIDE_EXAMPLES / "event_callback.py",
        "None",
    ),
}

each_language = pytest.mark.parametrize(
    "language", LANGUAGES.values(), ids=LANGUAGES
)


def scene_of(
    environment: Environment,
    language: Language,
    *,
    parameters: dict[str, Parameter] | None = None,
    debug: int = 2,
    **configuration: Any,
) -> Scene:
    return Scene(
        environment,
        parameters={"event_callback": "on_event", **(parameters or {})},
        debug=debug,
        **language.configuration(**configuration),
    )


def call(
    scene: Scene,
    method: str,
    topic: str,
    *,
    payload: str = SECRET,
    qos: int = 1,
    options: str = "",
) -> int:
    """What a call returns."""
    return return_code(
        scene.sip.request(
            method,
            user=topic,
            headers={
                "X-Payload": payload,
                "X-Qos": str(qos),
                "X-Options": options or " ",
            },
        )
    )


# The functions.


@each_language
def test_functions(environment: Environment, language: Language) -> None:
    scene = scene_of(environment, language)
    for qos in (0, 1, 2):
        assert call(scene, "PUBLISH", "out/a", payload="Küche", qos=qos) == 1
        message = scene.observer.wait_message()
        assert message.payload.decode() == "Küche"
        assert (message.topic, message.qos) == ("out/a", qos)

    assert call(scene, "MESSAGE", "out/a", options="retain") == 1
    scene.observer.wait_message()
    late = environment.mqtt_client(scene.broker)
    late.subscribe("out/#")
    assert late.wait_message().retain

    assert call(scene, "SUBSCRIBE", "other", qos=2) == 1
    scene.broker.wait_for_subscription("other")
    assert call(scene, "REFER", "other") == 1
    scene.broker.process.wait_for_log(
        f"Received UNSUBSCRIBE from {CLIENT_ID}\n"
    )


@each_language
def test_wrong_arguments_give_minus_1_and_a_message(
    environment: Environment, language: Language
) -> None:
    scene = scene_of(environment, language, debug=3)
    functions = {
        "PUBLISH": "publish",
        "MESSAGE": "publish_opts",
        "SUBSCRIBE": "subscribe",
        "REFER": "unsubscribe",
    }
    for method, function in functions.items():
        assert call(scene, method, "a#") == -1
        assert f'KSR.mqtt.{function}: topic "a#": wildcard' in scene.mqtt_log()
    for qos in (-1, 3):
        for method in ("PUBLISH", "MESSAGE", "SUBSCRIBE"):
            assert call(scene, method, "a", qos=qos) == -1
            assert (
                f'KSR.mqtt.{functions[method]}: qos "{qos}": must be 0, 1 or 2'
                in scene.mqtt_log()
            )
    assert call(scene, "MESSAGE", "a", options="colour") == -1
    assert 'publish_opts: option "colour" is unknown' in scene.mqtt_log()
    assert SECRET not in scene.mqtt_log()


@each_language
def test_a_full_queue_gives_minus_2(
    environment: Environment, language: Language
) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={
                "host": "127.0.0.1",
                "port": free_port(),
                "queue_max_messages": 2,
            },
            **language.configuration(),
        )
    )
    kamailio.start()
    sip = environment.sip_client(kamailio)
    headers = {"X-Payload": "text", "X-Qos": "1", "X-Options": "retain"}
    for method, result in (
        ("PUBLISH", 1),
        ("MESSAGE", 1),
        ("PUBLISH", -2),
        ("MESSAGE", -2),
    ):
        response = sip.request(method, headers=headers)
        assert return_code(response) == result


# The callback.


@each_language
def test_the_callback_runs_for_events_without_a_route(
    environment: Environment, language: Language
) -> None:
    scene = scene_of(environment, language)
    kamailio, null = scene.kamailio, language.null
    kamailio.wait_for_log(f"callback of mqtt:connected: {null} {null}\n")
    scene.broker.wait_for_subscription("in")
    for qos in (0, 1, 2):
        scene.observer.publish("in", "Küche", qos=qos)
        message = scene.observer.wait_message()
        assert (message.payload.decode(), message.qos) == ("Küche", qos)
    kamailio.wait_for_log(f"callback of mqtt:message: in {null}\n")
    scene.broker.kill()
    kamailio.wait_for_log(f"callback of mqtt:disconnected: {null} ")
    assert f"disconnected: {null} {null}" not in kamailio.log()


@each_language
def test_an_event_route_comes_before_the_callback(
    environment: Environment, language: Language
) -> None:
    scene = scene_of(
        environment,
        language,
        routes="""
        event_route[mqtt:connected] {
            mqtt_subscribe("in", 1);
        }
        event_route[mqtt:disconnected] {
            xlog("route of mqtt:disconnected\\n");
        }
        """,
    )
    scene.broker.wait_for_subscription("in")
    scene.observer.publish("in", "text")
    scene.observer.wait_message()
    scene.broker.kill()
    scene.kamailio.wait_for_log("route of mqtt:disconnected")
    log = scene.kamailio.log()
    assert "callback of mqtt:message" in log
    assert "callback of mqtt:connected" not in log
    assert "callback of mqtt:disconnected" not in log


@each_language
def test_the_callback_of_the_guide(
    environment: Environment, language: Language
) -> None:
    scene = scene_of(
        environment,
        language,
        script=language.guide_example,
        parameters={"event_callback": "ksr_mqtt_event", "reconnect_delay": 1},
        # The example does not subscribe.
        routes="""
        event_route[mqtt:connected] {
            mqtt_subscribe("in", 1);
        }
        """,
    )
    triggered = "===== mqtt module triggered event: "
    scene.broker.wait_for_subscription("in")
    scene.observer.publish("in", "text")
    scene.kamailio.wait_for_log(f"{triggered}mqtt:message")
    scene.broker.kill()
    scene.kamailio.wait_for_log(f"{triggered}mqtt:disconnected")
    assert f"{triggered}mqtt:connected" not in scene.kamailio.log()


@each_language
def test_a_callback_that_fails_does_no_harm(
    environment: Environment, language: Language
) -> None:
    scene = scene_of(
        environment,
        language,
        parameters={"event_callback": "broken"},
    )
    scene.kamailio.wait_for_log("broken on purpose")
    assert call(scene, "PUBLISH", "out") == 1
    scene.observer.wait_message()


def test_a_callback_without_an_engine_is_warned_of(
    environment: Environment,
) -> None:
    scene = Scene(
        environment,
        parameters={"event_callback": "on_event"},
        request_route='mqtt_publish("out", "", 1);',
    )
    scene.kamailio.wait_for_log(
        'event_callback "on_event" will not run: the configuration sets no '
        "cfgengine"
    )
    scene.sip.request()
    scene.observer.wait_message()


# Payloads.

BINARY = bytes(range(256)) * 4096  # 1 MiB


@each_language
def test_large_and_empty_payloads(
    environment: Environment, language: Language
) -> None:
    scene = scene_of(environment, language)
    scene.broker.wait_for_subscription("in")
    for payload in (b"", "Küche ".encode() * 150000):
        scene.observer.publish("in", payload)
        assert scene.observer.wait_message().payload == payload


def test_binary_payloads_in_lua(environment: Environment) -> None:
    scene = scene_of(environment, LANGUAGES["Lua"])
    scene.broker.wait_for_subscription("in")
    for payload in (b"\0", BINARY):
        scene.observer.publish("in", payload)
        assert scene.observer.wait_message().payload == payload


def test_binary_payloads_in_python(environment: Environment) -> None:
    scene = scene_of(environment, LANGUAGES["Python"])
    scene.broker.wait_for_subscription("in")
    for payload in (b"\0", BINARY[:1024]):
        scene.observer.publish("binary", payload)
        assert scene.observer.wait_message().payload.decode() == repr(payload)


def test_binary_payloads_beside_python(environment: Environment) -> None:
    scene = scene_of(
        environment,
        LANGUAGES["Python"],
        routes="""
        event_route[mqtt:message] {
            mqtt_publish("out", "$mqtt(msg)", "$mqtt(qos)");
        }
        """,
    )
    scene.broker.wait_for_subscription("in")
    for payload in (b"\0", BINARY):
        scene.observer.publish("in", payload)
        assert scene.observer.wait_message().payload == payload
