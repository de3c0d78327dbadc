# SPDX-License-Identifier: GPL-3.0-or-later
"""A place where brokers, Kamailios and clients run together, and end
together."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tools.harness.broker import Broker
from tools.harness.certificates import Certificates, make_certificates
from tools.harness.kamailio import (
    ConfigurationFile,
    Kamailio,
    KamailioConfiguration,
)
from tools.harness.mqtt_client import MqttClient
from tools.harness.rabbitmq import RabbitMq
from tools.harness.sip import SipClient
from tools.harness.sip_phone import SipPhone

if TYPE_CHECKING:
    from tools.harness.control_client import ControlClient


class _Closeable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closeable)


class Environment:
    """A context. At its end everything that was started through it ends, the
    newest first, and its temporary directory goes."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._parts: list[Broker | Kamailio | RabbitMq] = []
        # A short path: the names of unix sockets are limited to 107 bytes.
        self.directory = Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix="mqtt_")
            )
        )
        self._certificates: Certificates | None = None

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def own(self, part: T) -> T:
        """Closes a part, anything that has a close() method, at the end."""
        self._stack.callback(part.close)
        return part

    def new_directory(self, name: str) -> Path:
        directory = self.directory / f"{name}{len(self._parts)}"
        directory.mkdir()
        return directory

    def broker(self, **settings: Any) -> Broker:
        """A started mosquitto; `settings` are those of Broker."""
        broker = self.own(Broker(self.new_directory("broker"), **settings))
        self._parts.append(broker)
        broker.start()
        return broker

    def rabbitmq(self) -> RabbitMq:
        """A started RabbitMQ."""
        broker = self.own(RabbitMq(self.new_directory("rabbitmq")))
        self._parts.append(broker)
        broker.start()
        return broker

    def kamailio(
        self,
        configuration: KamailioConfiguration | ConfigurationFile,
        **settings: Any,
    ) -> Kamailio:
        """A Kamailio that was not started; `settings` are those of
        Kamailio."""
        directory = self.new_directory("kamailio")
        kamailio = self.own(Kamailio(directory, configuration, **settings))
        self._parts.append(kamailio)
        return kamailio

    def mqtt_client(self, broker: Broker, **settings: Any) -> MqttClient:
        """A connected client of the broker."""
        return self.own(
            MqttClient(broker.port, host=broker.host, **settings)
        )

    def sip_client(self, kamailio: Kamailio, **settings: Any) -> SipClient:
        """A SIP client of the Kamailio, which must run."""
        return self.own(
            SipClient(kamailio.sip_port, host=kamailio.host, **settings)
        )

    def sip_phone(self, kamailio: Kamailio, user: str) -> SipPhone:
        """The phone of a user of example.org, at the Kamailio."""
        return self.own(SipPhone(kamailio.sip_port, user, "example.org"))

    def control_client(self, kamailio: Kamailio) -> ControlClient:
        """A client of the control API of the Kamailio, which must run."""
        # Its stubs are generated, and most of what runs here needs none.
        from tools.harness.control_client import ControlClient

        return self.own(ControlClient(kamailio.mqtt_control_socket))

    @property
    def certificates(self) -> Certificates:
        """A set of certificates, made at the first use."""
        if self._certificates is None:
            self._certificates = make_certificates(
                self.new_directory("certificates")
            )
        return self._certificates

    def log_tails(self) -> dict[str, str]:
        """The ends of the logs, for the report of a failure."""
        return {
            part.process.log_path.parent.name: part.process.log_tail()
            for part in self._parts
            if part.started
        }

    def keep_logs(self, prefix: str) -> Path:
        """Copies all logs to a temporary directory that stays."""
        kept = Path(tempfile.mkdtemp(prefix=prefix))
        for log in self.directory.glob("*/*.log"):
            shutil.copy(log, kept / f"{log.parent.name}_{log.name}")
        return kept
