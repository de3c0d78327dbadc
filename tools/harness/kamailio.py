# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kamailio with the module under test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.harness.module_under_test import module_under_test
from tools.harness.ports import free_port
from tools.harness.process import (
    Process,
    program_environment,
    session_members,
)
from tools.harness.sip import SipClient
from tools.harness.waiting import DEADLINE, Timeout

# The user part that the readiness requests have. The template answers them
# before anything else, so that they don't run the script under test.
_READY_USER = "harness-ready"

# The modules that the template loads, before those that a test adds.
_MODULES = ("pv", "xlog", "sl", "kex", "corex", "textops")

_TEMPLATE = """\
debug={debug}
log_stderror=yes
fork=yes
children={children}
auto_aliases=no
disable_tcp={disable_tcp}
tcp_children=2
listen=udp:{host}:{sip_port}
{listen_tcp}
{global_parameters}
{load_modules}
{parameters}
"""

_REQUEST_ROUTE = """\
request_route {{
    if ($rU == "{ready_user}") {{
        sl_send_reply("200", "OK");
        exit;
    }}
    route(TEST);
    sl_send_reply("200", "OK");
}}
route[TEST] {{
{request_route}
}}
"""

# Seconds to wait before SIGTERM is repeated for every process, as a service
# manager sends it. Kamailio 5.6 loses it in a child that has not run since its
# fork, as happens on a busy machine: until then the child takes itself for the
# main process.
_LOST_SIGNAL_DEADLINE = 10.0

Parameter = str | int


# Opens as many descriptors as its first argument says, and then becomes the
# program of the others.
_OPEN_DESCRIPTORS = """\
import os, resource, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
for _ in range(int(sys.argv[1])):
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def _value(value: Parameter) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


def modparam(name: str, value: Parameter, module: str = "mqtt") -> str:
    """A line that sets a module parameter."""
    return f'modparam("{module}", "{name}", {_value(value)})'


@dataclass(frozen=True)
class KamailioConfiguration:
    """What a test says of a configuration; the rest comes from a template.

    `parameters` are the parameters of the mqtt module. `request_route` is what
    runs for every SIP request, which is answered with 200 afterwards unless it
    says `exit`. `routes` is any further configuration text: event routes,
    other modules' `modparam`. With `kemi`, the text of a line such as
    `cfgengine "lua"`, the script has the request route instead. `control` says
    whether there is a control socket, which all that asks kamcmd needs.
    """

    parameters: Mapping[str, Parameter]
    request_route: str = "    return;"
    routes: str = ""
    modules: Sequence[str] = ()
    global_parameters: str = ""
    kemi: str | None = None
    children: int = 2
    tcp: bool = False
    control: bool = True
    debug: int = 2

    def text(
        self, module: Path, host: str, sip_port: int, control_socket: Path
    ) -> str:
        modules = [f"{name}.so" for name in (*_MODULES, *self.modules)]
        parameters = [
            modparam(name, value) for name, value in self.parameters.items()
        ]
        if self.control:
            modules.append("ctl.so")
            address = f"unix:{control_socket}"
            parameters.append(modparam("binrpc", address, module="ctl"))
        modules.append(str(module))
        text = _TEMPLATE.format(
            debug=self.debug,
            children=self.children,
            disable_tcp="no" if self.tcp else "yes",
            host=host,
            sip_port=sip_port,
            listen_tcp=f"listen=tcp:{host}:{sip_port}" if self.tcp else "",
            global_parameters=self.global_parameters,
            load_modules="\n".join(
                f'loadmodule "{name}"' for name in modules
            ),
            parameters="\n".join(parameters),
        )
        if self.kemi is None:
            text += _REQUEST_ROUTE.format(
                ready_user=_READY_USER, request_route=self.request_route
            )
            return text + self.routes + "\n"
        return text + self.routes + "\n" + self.kemi + "\n"


@dataclass(frozen=True)
class ConfigurationFile:
    """A whole kamailio.cfg. `definitions` take the place of those that it has
    by #!trydef; MQTT_MODULE and SIP_PORT are among them. `more` comes at its
    end."""

    path: Path
    definitions: Mapping[str, Parameter]
    more: str = ""

    def text(
        self, module: Path, host: str, sip_port: int, control_socket: Path
    ) -> str:
        definitions = {
            "MQTT_MODULE": str(module),
            "SIP_PORT": sip_port,
            **self.definitions,
        }
        lines = [
            f"#!define {name} {_value(value)}"
            for name, value in definitions.items()
        ]
        lines.append(f"listen=udp:{host}:{sip_port}")
        # Not by include_file, which takes no long paths.
        lines += [self.path.read_text(), self.more, ""]
        return "\n".join(lines)


@dataclass(frozen=True)
class CheckResult:
    """What `kamailio -c` says of a configuration."""

    exit_code: int
    output: str


def mqtt_control_socket(runtime_directory: Path) -> Path:
    """Where the module serves its control API, unless told otherwise."""
    return runtime_directory / "kamailio_mqtt.sock"


def stop_kamailio(process: Process) -> int:
    """SIGTERM; returns the exit code."""
    process.signal(signal.SIGTERM)
    process.signal(signal.SIGCONT)
    try:
        return process.wait(deadline=_LOST_SIGNAL_DEADLINE)
    except Timeout:
        for pid in session_members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    return process.wait()


class Kamailio:
    """A Kamailio with one SIP port, and a control socket for kamcmd. Its
    runtime directory is its own, so that many can run at a time.

    `memory` is the size of the shared and the private memory in MiB.
    `open_descriptors` is a number of descriptors that are open in it from the
    start, so that all further ones have higher numbers. `wrapper` is a command
    that becomes the one of its last arguments, and so Kamailio.
    `runtime_directory` is another one than its own.
    """

    def __init__(
        self,
        directory: Path,
        configuration: KamailioConfiguration | ConfigurationFile,
        *,
        module: Path | None = None,
        host: str = "127.0.0.1",
        memory: tuple[int, int] = (64, 8),
        environment: Mapping[str, str] | None = None,
        open_descriptors: int = 0,
        wrapper: Sequence[str | Path] = (),
        runtime_directory: str | Path | None = None,
    ) -> None:
        self.host = host
        self.sip_port = free_port()
        self.directory = directory
        self.control_socket = directory / "ctl.sock"
        self.configuration_path = directory / "kamailio.cfg"
        self._log_path = directory / "kamailio.log"
        self._memory = memory
        self._environment = environment
        self._wrapper = list(wrapper)
        if open_descriptors:
            self._wrapper += [sys.executable, "-c", _OPEN_DESCRIPTORS]
            self._wrapper += [str(open_descriptors)]
        self._runtime_directory = runtime_directory or directory
        self._process: Process | None = None
        self.configuration_path.write_text(
            configuration.text(
                module or module_under_test(),
                host,
                self.sip_port,
                self.control_socket,
            )
        )

    @property
    def mqtt_control_socket(self) -> Path:
        """The socket of the module's control API."""
        return mqtt_control_socket(self.directory)

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def process(self) -> Process:
        assert self._process is not None, "Kamailio was not started"
        return self._process

    def check(self) -> CheckResult:
        """`kamailio -c`: the configuration is checked, nothing runs."""
        result = subprocess.run(
            self._wrapper
            + ["kamailio", "-c", "-f", self.configuration_path, "-E"]
            + ["-Y", self._runtime_directory],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=program_environment(self._environment),
            timeout=DEADLINE,
            check=False,
        )
        return CheckResult(
            result.returncode, result.stdout.decode(errors="replace")
        )

    def launch(self) -> None:
        """Starts it without waiting for anything."""
        shared, private = self._memory
        arguments: list[str | Path] = (
            self._wrapper
            + ["kamailio", "-DD", "-E", "-f", self.configuration_path]
            + ["-Y", self._runtime_directory]
            + ["-P", self.directory / "kamailio.pid"]
            + ["-m", str(shared), "-M", str(private)]
        )
        self._process = Process(
            arguments, self._log_path, environment=self._environment
        )

    def start(self) -> None:
        """Starts it and waits until it answers SIP requests."""
        self.launch()
        with SipClient(self.sip_port, host=self.host) as sip:
            calls: list[str] = []

            def answered() -> bool:
                # One request each time: those before may have been lost.
                calls.append(sip.send(user=_READY_USER))
                return sip.any_response(calls)

            self.process.wait_until(answered, "it answers SIP requests")

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return stop_kamailio(self.process)

    def log(self) -> str:
        return self.process.log()

    def wait_for_log(self, text: str, *, deadline: float = DEADLINE) -> None:
        self.process.wait_for_log(text, deadline=deadline)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()

    def rpc(self, command: str, *arguments: str) -> str:
        """The answer of a kamcmd command."""
        socket_name = f"unix:{self.control_socket}"
        return subprocess.run(
            ["kamcmd", "-s", socket_name, command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=program_environment(),
            timeout=DEADLINE,
            check=True,
        ).stdout.decode()

    def processes(self) -> dict[int, str]:
        """Kamailio's name for each of its processes, by process id."""
        names = {}
        for line in self.rpc("core.psx").splitlines():
            name, _, value = line.strip().partition(": ")
            if name == "PID":
                pid = int(value)
            elif name == "DSC":
                names[pid] = value
        return names

    def process_ids(self) -> list[int]:
        """All processes that it consists of, whether Kamailio knows them or
        not."""
        return session_members(self.process.pid)

    def dispatcher_pid(self) -> int:
        """The process that holds the connection to the broker."""
        for pid, name in self.processes().items():
            if "mqtt" in name.lower():
                return pid
        raise AssertionError(f"no dispatcher among {self.processes()}")

    def private_memory_used(self, pid: int) -> int:
        """Bytes of pkg memory in use, of one process."""
        values = _fields(self.rpc("pkg.stats", "pid", str(pid)))
        return values["used"]

    def shared_memory_used(self) -> int:
        """Bytes of shm memory in use."""
        return _fields(self.rpc("core.shmmem"))["used"]

    def shared_variable(self, name: str) -> int:
        """The value of a $shv(...), a number."""
        return _fields(self.rpc("pv.shvGet", name))["value"]

    def descriptors(self, pid: int) -> dict[int, str]:
        """The open descriptors of one of its processes."""
        found = {}
        directory = Path("/proc", str(pid), "fd")
        for entry in directory.iterdir():
            try:
                found[int(entry.name)] = os.readlink(entry)
            except FileNotFoundError:
                pass  # Closed meanwhile.
        return found


def _fields(answer: str) -> dict[str, int]:
    """The numeric members of a kamcmd structure."""
    values = {}
    for line in answer.splitlines():
        name, _, value = line.partition(":")
        if value.strip().isdigit():
            values[name.strip()] = int(value)
    return values
