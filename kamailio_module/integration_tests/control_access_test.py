# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call the control service: other users of the machine, with a Kamailio
of this one and with one that a service manager starts as Debian's does, without
any privileges."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from kamailio_module.integration_tests.page import Page
from kamailio_module.integration_tests.scene import at
from kamailio_module.integration_tests.traffic import closed_port
from tools.harness.account import Account
from tools.harness.environment import Environment
from tools.harness.grpcurl import SERVICE, Grpcurl
from tools.harness.kamailio import (
    Kamailio,
    KamailioConfiguration,
    Parameter,
)
from tools.harness.module_under_test import module_under_test

PAGE = Page("docs/control_api.md")
SECTION = PAGE.section("## Where it listens, and who may call")

ROOT = 0
# Any numbers will do.
GROUP = 4
NOBODY = Account(65534, 65534)
MEMBER = Account(65534, 65534, (GROUP,))

# As Debian's kamailio.service has it.
RUNTIME_DIRECTORY_MODE = 0o770


def service_account(*groups: int) -> Account:
    """That of a service manager's Kamailio: only root can choose."""
    if os.geteuid() == ROOT:
        return Account(65533, 65533, groups)
    return Account(os.geteuid(), os.getegid())


@pytest.fixture
def public_grpcurl(environment: Environment) -> Path:
    """A copy of grpcurl that everybody may run."""
    return public_copy(environment, Path(Grpcurl("unused").command("list")[0]))


def public_copy(environment: Environment, source: Path) -> Path:
    copy = environment.directory / source.name
    shutil.copyfile(source, copy)
    copy.chmod(0o755)
    environment.directory.chmod(0o755)
    return copy


def list_command(grpcurl: Path, address: Path) -> list[str]:
    command = Grpcurl(address).command("list")
    return [str(grpcurl), *command[1:]]


def start_at(environment: Environment, **parameters: Parameter) -> Kamailio:
    """A Kamailio of this user, whose runtime directory all may enter."""
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(closed_port(environment), **parameters)
        )
    )
    kamailio.start()
    kamailio.directory.chmod(0o755)
    return kamailio


def as_service(
    environment: Environment,
    account: Account,
    parameters: dict[str, Parameter],
    *,
    mode: int = RUNTIME_DIRECTORY_MODE,
) -> Kamailio:
    """A Kamailio that a service manager would start, and has not."""
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(closed_port(environment), **parameters)
        ),
        module=public_copy(environment, module_under_test()),
        wrapper=account.wrapper() if os.geteuid() == ROOT else (),
    )
    os.chown(kamailio.directory, account.user, account.group)
    kamailio.directory.chmod(mode)
    return kamailio


def test_other_users_may_not_open_the_socket(
    environment: Environment, public_grpcurl: Path
) -> None:
    kamailio = start_at(environment)
    path = kamailio.mqtt_control_socket
    assert path.stat().st_mode & 0o777 == 0o600
    refused = NOBODY.run(list_command(public_grpcurl, path))
    assert refused.returncode != 0
    assert "permission denied" in refused.stderr
    assert Grpcurl(path).run("list").exit_code == 0


def test_other_users_may_not_call_through_an_open_socket(
    environment: Environment, public_grpcurl: Path
) -> None:
    kamailio = start_at(environment, control_mode=0o666)
    path = kamailio.mqtt_control_socket
    refused = NOBODY.run(list_command(public_grpcurl, path))
    assert refused.returncode != 0
    assert SERVICE not in refused.stdout
    kamailio.process.wait_for_log(f"uid {NOBODY.user}")
    assert Grpcurl(path).run("list").exit_code == 0


def test_members_of_the_group_may_call(
    environment: Environment, public_grpcurl: Path
) -> None:
    kamailio = start_at(
        environment, control_mode=0o660, control_group=str(GROUP)
    )
    path = kamailio.mqtt_control_socket
    assert path.stat().st_gid == GROUP
    command = list_command(public_grpcurl, path)
    assert SERVICE in MEMBER.run(command).stdout
    assert NOBODY.run(command).returncode != 0


# Of a service manager's Kamailio.


def page_parameters(group: str, number: int) -> dict[str, Parameter]:
    """The page's parameters that let members of a group call."""
    ((name, mode),) = re.findall(
        r'^modparam\("mqtt", "control_group", "(\w+)"\)\n'
        r'modparam\("mqtt", "control_mode", (\d+)\)$',
        SECTION,
        re.MULTILINE,
    )
    assert name == group
    return {"control_group": str(number), "control_mode": int(mode, 8)}


def check_and_start(kamailio: Kamailio) -> None:
    checked = kamailio.check()
    assert checked.exit_code == 0, checked.output
    assert "mqtt:" not in checked.output
    kamailio.start()
    kamailio.wait_for_log("mqtt: control service listens on ")
    dispatcher = Path("/proc", str(kamailio.dispatcher_pid()))
    assert dispatcher.stat().st_uid != ROOT


def test_members_of_the_services_group_may_call(
    environment: Environment, public_grpcurl: Path
) -> None:
    account = service_account()
    kamailio = as_service(
        environment, account, page_parameters("kamailio", account.group)
    )
    check_and_start(kamailio)
    member = Account(NOBODY.user, NOBODY.group, (account.group,))
    command = list_command(public_grpcurl, kamailio.mqtt_control_socket)
    assert SERVICE in member.run(command).stdout
    assert "permission denied" in NOBODY.run(command).stderr


def test_members_of_another_group_may_call(
    environment: Environment, public_grpcurl: Path
) -> None:
    (mode,) = re.findall(r"^RuntimeDirectoryMode=(\d+)$", SECTION, re.MULTILINE)
    account = service_account(GROUP)
    group = (*account.groups, account.group)[0]
    kamailio = as_service(
        environment,
        account,
        page_parameters("kamailio", group),
        mode=int(mode, 8),
    )
    check_and_start(kamailio)
    member = Account(NOBODY.user, NOBODY.group, (group,))
    command = list_command(public_grpcurl, kamailio.mqtt_control_socket)
    assert SERVICE in member.run(command).stdout
    assert "permission denied" in NOBODY.run(command).stderr


def refused(kamailio: Kamailio, problem: str) -> None:
    """By the check, and at the start."""
    checked = kamailio.check()
    assert checked.exit_code == 255
    assert f"mqtt: {problem}" in checked.output
    kamailio.launch()
    assert kamailio.process.wait() == 255
    assert f"mqtt: {problem}" in kamailio.log()


def test_the_service_cannot_give_to_others(environment: Environment) -> None:
    account = service_account()
    for name, rule in (("user", "user"), ("group", "a group of user")):
        kamailio = as_service(
            environment,
            account,
            {"control_mode": 0o660, f"control_{name}": str(ROOT)},
        )
        refused(
            kamailio,
            f'parameter "control_{name}": value "{ROOT}": must be {rule} '
            f"{account.user}, who starts Kamailio: only root can give the "
            "socket to another",
        )


def test_the_service_must_be_able_to_read_the_key(
    environment: Environment,
) -> None:
    account = service_account()
    certificates = environment.certificates
    key = certificates.private_key("server")
    kamailio = as_service(
        environment,
        account,
        {
            "control_address": "127.0.0.1:0",
            "control_tls_certificate": str(certificates.certificate("server")),
            "control_tls_private_key": str(key),
            "control_tls_ca": str(certificates.ca),
        },
    )
    key.chmod(0)
    refused(
        kamailio,
        f'parameter "control_tls_private_key": value "{key}": cannot be '
        "opened: Permission denied",
    )
    # As the page says.
    os.chown(key, -1, account.group)
    key.chmod(0o640)
    check_and_start(kamailio)
