# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs the package into a fresh Debian system, uses it, and removes it."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from tools.debian_system.images import fresh_system
from tools.debian_system.system import DebianSystem
from tools.harness.grpcurl import SERVICE, Grpcurl
from tools.harness.kamailio import mqtt_control_socket, stop_kamailio
from tools.harness.mqtt_client import MqttClient
from tools.harness.ports import free_port
from tools.harness.process import Process
from tools.harness.sip import SipClient
from tools.package_run import file_list
from tools.package_run.contents import PACKAGE, PROTO_FOLDER, Layout

_STOCK_PACKAGE = "kamailio-mqtt-modules"

_BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_dest stderr
"""

# For mpath, as README.Debian describes it. Only this module has the parameter.
_BY_SEARCH_PATH = """\
mpath="/{layout.module_folder}:/{layout.stock_module_folder}"
loadmodule "mqtt.so"
modparam("mqtt", "host", "127.0.0.1")
modparam("mqtt", "queue_max_messages", 1000)
request_route {{ drop; }}
"""


class CheckFailed(AssertionError):
    """The package does not do what it must."""


def _heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _say(text: str) -> None:
    print(f"   {text}", flush=True)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise CheckFailed(what)


def check_installation(deb: Path, version: str, layout: Layout) -> None:
    """Raises CheckFailed, or what went wrong. `version` is the module's."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    _heading(f"A fresh Debian system, {suite} (minutes, the first time)")
    with fresh_system(
        suite, ["kamailio", _STOCK_PACKAGE, "mosquitto"]
    ) as system:
        _say("with Kamailio, its stock mqtt module, and mosquitto")
        _InstallCheck(system, deb, version, layout).run()


class _InstallCheck:
    def __init__(
        self, system: DebianSystem, deb: Path, version: str, layout: Layout
    ) -> None:
        self._system = system
        self._deb = deb
        self._version = version
        self._layout = layout
        self._broker_port = free_port()
        self._sip_port = free_port()
        self._examples = f"/usr/share/doc/{PACKAGE}/examples"

    def run(self) -> None:
        before = file_list.file_list(self._system.root)
        packages = self._packages()
        self._install(packages)
        self._check_search_path()
        self._start_broker()
        kamailio = self._start_kamailio()
        self._pass_messages()
        self._ask_control_service()
        _expect(stop_kamailio(kamailio) == 0, kamailio.log_tail())
        _say("Kamailio ended with exit code 0")
        self._remove(before, packages)

    def _install(self, packages: set[str]) -> None:
        _heading(f"apt-get install ./{self._deb.name}")
        self._system.update()
        copy = self._system.root / "tmp" / self._deb.name
        shutil.copyfile(self._deb, copy)
        self._system.install(f"/tmp/{self._deb.name}")
        copy.unlink()
        added = sorted(self._packages() - packages - {PACKAGE})
        _say(f"with what it depends on: {' '.join(added)}")
        verified = self._system.run("dpkg", "--verify", PACKAGE, _STOCK_PACKAGE)
        _expect(not verified, f"dpkg --verify:\n{verified}")
        for package, folder in (
            (PACKAGE, self._layout.module_folder),
            (_STOCK_PACKAGE, self._layout.stock_module_folder),
        ):
            path = f"/{folder}/mqtt.so"
            owner = self._system.run("dpkg", "--search", path)
            _expect(owner.partition(":")[0] == package, owner)
            _say(f"{path} is of {package}, unchanged")

    def _check_search_path(self) -> None:
        name = "search_path.cfg"
        text = _BY_SEARCH_PATH.format(layout=self._layout)
        (self._system.root / "tmp" / name).write_text(text)
        self._system.run("kamailio", "-c", "-f", f"/tmp/{name}")
        _say('mpath with its folder first: loadmodule "mqtt.so" loads it')

    def _start_broker(self) -> None:
        _heading("mosquitto and Kamailio, with an example of the package")
        text = _BROKER.format(port=self._broker_port)
        (self._system.root / "tmp" / "mosquitto.conf").write_text(text)
        broker = self._system.start("mosquitto", "-c", "/tmp/mosquitto.conf")
        broker.wait_for_log(" running\n")

    def _start_kamailio(self) -> Process:
        kamailio = self._system.start(
            *("kamailio", "-DD", "-E", "-u", "kamailio", "-g", "kamailio"),
            *("-f", f"{self._examples}/demo/kamailio.cfg"),
            *("-P", "/run/kamailio/kamailio.pid"),
            *("-l", f"udp:127.0.0.1:{self._sip_port}"),
            *("-A", f'MQTT_MODULE="/{self._layout.module}"'),
            *("-A", f"MQTT_PORT={self._broker_port}"),
            *("-A", 'CONTROL_SOCKET="unix:/run/kamailio/kamailio_ctl"'),
        )
        kamailio.wait_for_log("mqtt: connected to")
        return kamailio

    def _pass_messages(self) -> None:
        with MqttClient(self._broker_port) as client:
            client.subscribe("sip/#")
            with SipClient(self._sip_port) as sip:
                response = sip.request("OPTIONS")
            _expect(response.status == 200, f"SIP status {response.status}")
            message = client.wait_message("sip/requests/OPTIONS")
            _say(f"SIP OPTIONS -> MQTT {message.topic}")
            client.publish("sip/commands/check", "hello")
            answer = client.wait_message("sip/answers").payload.decode()
            _expect(answer == "I have read: hello", answer)
            _say("MQTT sip/commands/check -> event_route[mqtt:message]")

    def _ask_control_service(self) -> None:
        """With the .proto of the package: reflection is not needed."""
        root = self._system.root
        grpcurl = Grpcurl(
            mqtt_control_socket(root / "run/kamailio"),
            ["-import-path", str(root / PROTO_FOLDER)]
            + ["-proto", "kamailio/mqtt/v1/mqtt_control.proto"],
        )
        status = grpcurl.call("GetStatus").message
        version = status["versions"]["module"]
        _expect(version == self._version, f"GetStatus tells {version}")
        _say(f"{SERVICE}/GetStatus: module {version}")
        answer = self._system.run(
            *("kamcmd", "-s", "unix:/run/kamailio/kamailio_ctl"),
            *("stats.get_statistics", "mqtt:"),
        )
        _expect("mqtt:" in answer, answer)

    def _remove(self, before: dict[str, str], packages: set[str]) -> None:
        _heading(f"apt-get purge --autoremove {PACKAGE}")
        root = self._system.root
        self._system.purge("--autoremove", PACKAGE)
        _expect(self._packages() == packages, "other packages than before")
        left = file_list.differences(before, file_list.file_list(root))
        _expect(not left, "\n".join(left))
        _say(f"all {len(before)} files and folders are as they were before")
        named = [str(path) for path in root.rglob(f"*{PACKAGE}*")]
        _expect(not named, "\n".join(named))

    def _packages(self) -> set[str]:
        return set(
            self._system.run(
                "dpkg-query", "--show", "--showformat=${Package}\n"
            ).split()
        )
