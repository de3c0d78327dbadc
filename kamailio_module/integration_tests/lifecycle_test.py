# SPDX-License-Identifier: GPL-3.0-or-later
"""From the start to the end of a Kamailio: what it leaves behind, what it
takes meanwhile, and who it runs as."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kamailio_module.integration_tests.scene import CLIENT_ID, at
from tools.harness.broker import BrokerTls
from tools.harness.environment import Environment
from tools.harness.kamailio import Kamailio, KamailioConfiguration
from tools.harness.process import (
    kill_session,
    program_environment,
    session_members,
)
from tools.harness.tcp_proxy import TcpProxy
from tools.harness.waiting import DEADLINE, wait_for

CONNECTED = "mqtt: connected to "


# Starts and stops.


def test_fifty_starts_and_stops_leave_nothing(
    environment: Environment,
) -> None:
    broker = environment.broker()
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, will_topic="will", will="gone")
        )
    )
    observer = environment.mqtt_client(broker)
    observer.subscribe("#")
    for _ in range(50):
        kamailio.start()
        kamailio.wait_for_log(CONNECTED)
        assert kamailio.stop() == 0
        assert kamailio.process_ids() == []
        assert sorted(path.name for path in kamailio.directory.iterdir()) == [
            "kamailio.cfg",
            "kamailio.log",
        ]
        kamailio.close()
    # No will was fired.
    observer.publish("end")
    assert observer.wait_message().topic == "end"


def test_the_end_of_the_dispatcher_fires_the_will_and_ends_kamailio(
    environment: Environment,
) -> None:
    broker = environment.broker()
    observer = environment.mqtt_client(broker)
    observer.subscribe("#")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(
                broker,
                will_topic="will",
                will="gone",
                will_qos=2,
                will_retain=1,
            )
        )
    )
    kamailio.start()
    broker.wait_for_client(CLIENT_ID)
    os.kill(kamailio.dispatcher_pid(), signal.SIGKILL)
    will = observer.wait_message()
    assert (will.topic, will.payload, will.qos) == ("will", b"gone", 2)
    late = environment.mqtt_client(broker)
    late.subscribe("will")
    assert late.wait_message().retain
    # Kamailio does not go on without one of its processes.
    kamailio.process.wait()
    assert kamailio.process_ids() == []


# What it takes meanwhile.


@dataclass(frozen=True)
class Resources:
    """Of one process."""

    descriptors: int
    threads: int
    resident_kilobytes: int

    @staticmethod
    def of(kamailio: Kamailio, pid: int) -> Resources:
        status = dict(
            line.split(":", 1)
            for line in Path("/proc", str(pid), "status")
            .read_text()
            .splitlines()
        )
        return Resources(
            len(kamailio.descriptors(pid)),
            int(status["Threads"]),
            int(status["VmRSS"].split()[0]),
        )

    def at_most(self, other: Resources) -> bool:
        return (
            self.descriptors <= other.descriptors
            and self.threads <= other.threads
            and self.resident_kilobytes <= other.resident_kilobytes + 1024
        )


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_connections_take_nothing_for_good(
    environment: Environment, tls: bool
) -> None:
    certificates = environment.certificates
    broker = environment.broker(
        tls=BrokerTls(
            certificates.certificate("server"),
            certificates.private_key("server"),
        )
        if tls
        else None
    )
    proxy = environment.own(TcpProxy(broker.port))
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(
                proxy,
                reconnect_delay=1,
                **({"ca_file": str(certificates.ca)} if tls else {}),
            )
        )
    )
    kamailio.start()
    kamailio.wait_for_log(CONNECTED)
    processes = kamailio.processes()
    observed = [kamailio.dispatcher_pid()] + [
        pid for pid, name in processes.items() if "udp receiver" in name
    ]

    def reconnect(failed_attempts: int) -> None:
        """The loss of a connection, attempts that fail, and another
        connection."""
        connections = kamailio.log().count(CONNECTED)
        # Ends in the middle of the first packets.
        proxy.limit = 10
        proxy.cut()
        target = proxy.connections + failed_attempts
        kamailio.process.wait_until(
            lambda: proxy.connections >= target, "attempts to connect"
        )
        proxy.limit = None
        kamailio.process.wait_until(
            lambda: kamailio.log().count(CONNECTED) > connections,
            "a connection",
        )

    reconnect(2)
    before = {pid: Resources.of(kamailio, pid) for pid in observed}
    reconnect(6)
    for pid, resources in before.items():
        # A thread that has done its work needs a moment to end.
        kamailio.process.wait_until(
            lambda: Resources.of(kamailio, pid).at_most(resources),
            f"process {pid} to have no more than {resources}",
        )


# Who it runs as.


def test_kamailio_may_run_as_another_user(environment: Environment) -> None:
    # Only root may choose.
    name = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())[0]
    user = pwd.getpwnam(name)
    broker = environment.broker()
    observer = environment.mqtt_client(broker)
    observer.subscribe("out")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker),
            global_parameters=f'user="{user.pw_uid}"\ngroup="{user.pw_gid}"',
            request_route='mqtt_publish("out", "text", 1);',
        )
    )
    environment.directory.chmod(0o711)
    os.chown(kamailio.directory, user.pw_uid, user.pw_gid)
    kamailio.start()
    environment.sip_client(kamailio).request()
    assert observer.wait_message().payload == b"text"
    dispatcher = Path("/proc", str(kamailio.dispatcher_pid()))
    assert dispatcher.stat().st_uid == user.pw_uid
    assert kamailio.stop() == 0


# As a daemon.


@contextlib.contextmanager
def daemon(kamailio: Kamailio) -> Iterator[int]:
    """Starts Kamailio in the background; the session of its processes."""
    pid_file = kamailio.directory / "kamailio.pid"
    with (kamailio.directory / "output").open("wb") as output:
        result = subprocess.run(
            ["kamailio", "-f", kamailio.configuration_path]
            + ["-Y", kamailio.directory, "-P", pid_file],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=program_environment(),
            timeout=DEADLINE,
            check=False,
        )
    assert result.returncode == 0
    session = os.getsid(int(pid_file.read_text()))
    try:
        yield session
    finally:
        kill_session(session)


def test_kamailio_may_run_as_a_daemon(environment: Environment) -> None:
    broker = environment.broker()
    observer = environment.mqtt_client(broker)
    observer.subscribe("out")
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters=at(broker, will_topic="out", will="gone"),
            request_route='mqtt_publish("out", "text", 1);',
        )
    )
    with daemon(kamailio) as session:
        environment.sip_client(kamailio).request()
        assert observer.wait_message().payload == b"text"

        def ended() -> bool:
            """Asks all of them to end, as a service manager does."""
            members = session_members(session)
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            return not members

        wait_for(ended, "the daemon's end")
    observer.publish("out", "end")
    assert observer.wait_message().payload == b"end"
