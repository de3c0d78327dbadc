# SPDX-License-Identifier: GPL-3.0-or-later
"""A private mosquitto."""

from __future__ import annotations

import json
import signal
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.harness.ports import free_port
from tools.harness.process import Process, program_environment

_DYNAMIC_SECURITY = Path(
    "/usr/lib",
    sysconfig.get_config_var("MULTIARCH"),
    "mosquitto_dynamic_security.so",
)


@dataclass(frozen=True)
class BrokerTls:
    """TLS settings of the listener, as mosquitto.conf(5) has them."""

    certificate: Path
    private_key: Path
    ca_file: Path | None = None
    require_certificate: bool = False
    tls_version: str | None = None
    ciphers: str | None = None

    def lines(self) -> list[str]:
        lines = [f"certfile {self.certificate}", f"keyfile {self.private_key}"]
        if self.ca_file is not None:
            lines.append(f"cafile {self.ca_file}")
        if self.require_certificate:
            lines.append("require_certificate true")
        if self.tls_version is not None:
            lines.append(f"tls_version {self.tls_version}")
        if self.ciphers is not None:
            lines.append(f"ciphers {self.ciphers}")
        return lines


class Broker:
    """A mosquitto with one listener.

    `users` maps names to passwords; with it, anonymous clients are refused.
    `acl` is the text of an access control file; what it forbids, mosquitto
    drops without a word, and it grants every SUBSCRIBE. With
    `subscribe_only`, a filter, it refuses those to anything that the filter
    does not match. With `persistent`, sessions outlive a stop, though not a
    kill. `gives_way` as in Process.
    `options` are more lines for mosquitto.conf, of the listener or global.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        tls: BrokerTls | None = None,
        users: Mapping[str, str] | None = None,
        acl: str | None = None,
        subscribe_only: str | None = None,
        persistent: bool = False,
        gives_way: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        self.host = host
        self.port = port or free_port()
        self._log_path = directory / "mosquitto.log"
        self._configuration = directory / "mosquitto.conf"
        self._gives_way = gives_way
        self._process: Process | None = None

        lines = [
            f"persistence {'true' if persistent else 'false'}",
            f"persistence_location {directory}/",
            "log_dest stderr",
            "log_type all",
            "user root",  # Else it gives root up and cannot read our files.
            "max_queued_messages 0",
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if users else 'true'}",
        ]
        if tls is not None:
            lines += tls.lines()
        if users:
            lines.append(
                f"password_file {_write_passwords(directory, users)}"
            )
        if acl is not None:
            path = directory / "acl"
            path.write_text(acl)
            path.chmod(0o600)
            lines.append(f"acl_file {path}")
        if subscribe_only is not None:
            rules = _write_subscription_rules(directory, subscribe_only)
            lines.append(f"plugin {_DYNAMIC_SECURITY}")
            lines.append(f"plugin_opt_config_file {rules}")
        lines += options
        self._configuration.write_text("\n".join(lines) + "\n")

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def process(self) -> Process:
        assert self._process is not None, "the broker was not started"
        return self._process

    def start(self) -> None:
        """Starts it, also again after a stop or a kill, on the same port."""
        self._process = Process(
            ["mosquitto", "-c", self._configuration],
            self._log_path,
            gives_way=self._gives_way,
        )
        # The line "mosquitto version 2.1.2 running".
        self._process.wait_for_log(" running\n")

    def stop(self) -> None:
        """A clean shutdown: clients see their connection closed."""
        self.process.stop()
        self.process.close()

    def kill(self) -> None:
        """SIGKILL: what it held in memory is gone."""
        self.process.close()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers any more."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.signal(signal.SIGCONT)

    def wait_for_client(self, client_id: str) -> None:
        """Waits for a client to connect, since the last start."""
        self.process.wait_for_log(f" as {client_id} (")

    def wait_for_subscription(self, topic_filter: str) -> None:
        """Waits for anybody to subscribe, since the last start."""
        self.process.wait_for_log(f"\t{topic_filter} (QoS ")

    def log(self) -> str:
        """The log since the last start."""
        return self.process.log()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()


def _write_passwords(directory: Path, users: Mapping[str, str]) -> Path:
    path = directory / "passwords"
    lines = [f"{name}:{password}\n" for name, password in users.items()]
    path.write_text("".join(lines))
    path.chmod(0o600)
    subprocess.run(
        ["mosquitto_passwd", "-U", str(path)],
        check=True,
        capture_output=True,
        env=program_environment(),
    )
    return path


def _write_subscription_rules(directory: Path, allowed: str) -> Path:
    """For mosquitto's plugin, which refuses what is not allowed."""
    allow = {"acltype": "subscribePattern", "topic": allowed, "allow": True}
    rules = {
        "defaultACLAccess": {
            "publishClientSend": True,
            "publishClientReceive": True,
            "subscribe": False,
            "unsubscribe": True,
        },
        "roles": [{"rolename": "role", "acls": [allow]}],
        "groups": [{"groupname": "all", "roles": [{"rolename": "role"}]}],
        "anonymousGroup": "all",
    }
    path = directory / "subscription_rules.json"
    path.write_text(json.dumps(rules))
    return path
