# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the control service listens: configurations of the stock module start
wherever Kamailio's runtime directory is."""

from __future__ import annotations

import pytest

from kamailio_module.integration_tests.scene import at
from kamailio_module.integration_tests.traffic import closed_port
from tools.harness.environment import Environment
from tools.harness.grpcurl import Grpcurl
from tools.harness.kamailio import (
    Kamailio,
    KamailioConfiguration,
    Parameter,
    mqtt_control_socket,
)

NO_SERVICE = "there is no control service: "

# What Unix sockets have for a path is 107 bytes.
LONG = "d" * 100


def kamailio_at(
    environment: Environment,
    *,
    wrapper: tuple[str, ...] = (),
    runtime_directory: str | None = None,
    **parameters: Parameter,
) -> Kamailio:
    return environment.kamailio(
        KamailioConfiguration(
            parameters=at(closed_port(environment), **parameters)
        ),
        wrapper=wrapper,
        runtime_directory=runtime_directory,
    )


def test_a_relative_runtime_directory(environment: Environment) -> None:
    start_directory = environment.new_directory("start")
    kamailio = kamailio_at(
        environment,
        wrapper=("env", f"--chdir={start_directory}"),
        runtime_directory="run",
    )
    check = kamailio.check()
    assert check.exit_code == 0
    assert "mqtt:" not in check.output
    kamailio.start()
    path = mqtt_control_socket(start_directory / "run")
    kamailio.wait_for_log(f"mqtt: control service listens on unix:{path}")
    assert Grpcurl(path).run("list").exit_code == 0
    assert kamailio.stop() == 0
    assert not path.exists()


def check_without_service(kamailio: Kamailio, warning: str) -> None:
    """It passes the check and starts, with a warning, and RPC commands work."""
    check = kamailio.check()
    assert check.exit_code == 0
    assert f"WARNING: mqtt: {warning}" in check.output
    kamailio.start()
    assert kamailio.log().count(f"WARNING: mqtt: {warning}") == 1
    assert "\tclient_id: " in kamailio.rpc("mqtt.status")
    assert kamailio.rpc("mqtt.subscribe", "in/#").startswith("{")
    assert "listens on" not in kamailio.log()
    assert kamailio.stop() == 0


def test_a_long_runtime_directory(environment: Environment) -> None:
    directory = environment.directory / LONG
    length = len(str(mqtt_control_socket(directory)))
    check_without_service(
        kamailio_at(environment, runtime_directory=str(directory)),
        f'{NO_SERVICE}socket "kamailio_mqtt.sock" in the runtime directory '
        f'"{directory}": must have a path of at most 107 bytes, has {length}; '
        '"control_address" sets another',
    )


def test_a_runtime_directory_without_room(environment: Environment) -> None:
    check_without_service(
        kamailio_at(environment, runtime_directory="/proc"),
        f'{NO_SERVICE}socket "kamailio_mqtt.sock" in the runtime directory '
        '"/proc": must not be in a file system of the kernel',
    )


def test_without_the_service_no_directory_is_needed(
    environment: Environment,
) -> None:
    kamailio = kamailio_at(
        environment,
        runtime_directory=str(environment.directory / LONG),
        control_address="",
    )
    kamailio.start()
    assert NO_SERVICE not in kamailio.log()


def test_an_address_in_use_passes_the_check(environment: Environment) -> None:
    kamailio = kamailio_at(environment)
    kamailio.start()
    check = kamailio.check()
    assert check.exit_code == 0
    assert "mqtt:" not in check.output


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/no/such/dir/s", "cannot be made in its directory: No such file or"),
        ("/proc/s", "must not be in a file system of the kernel"),
        ("/etc/passwd", "is there already, and is not a socket"),
        (f"/{LONG}/socket", "must have a path of at most 107 bytes, has 108"),
        ("run/s", 'must have an absolute path after "unix:"'),
    ],
)
def test_an_address_of_no_use_is_refused(
    environment: Environment, path: str, rule: str
) -> None:
    kamailio = kamailio_at(environment, control_address=f"unix:{path}")
    problem = f'mqtt: parameter "control_address": value "unix:{path}": {rule}'
    check = kamailio.check()
    assert check.exit_code == 255
    assert problem in check.output
    kamailio.launch()
    assert kamailio.process.wait() == 255
    assert problem in kamailio.log()
