# SPDX-License-Identifier: GPL-3.0-or-later
"""Every wrong configuration is refused, by `kamailio -c` and at the start,
with a message that names the parameter, the value and the rule; right ones are
accepted without a word."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tools.harness.certificates import Certificates
from tools.harness.environment import Environment
from tools.harness.kamailio import (
    Kamailio,
    KamailioConfiguration,
    Parameter,
)
from tools.harness.process import program_environment
from tools.harness.waiting import DEADLINE

# Stands in passwords and wills, and must not stand in a log.
SECRET = "the-secret-part"


@dataclass(frozen=True)
class Wrong:
    """Parameters, one of which is wrong, and what the log says of it. In both
    DIR is a directory with certificates."""

    parameters: Mapping[str, Parameter]
    message: str


def problem(name: str, value: Parameter, rule: str) -> str:
    return f'parameter "{name}": value "{value}": {rule}'


def wrong(name: str, value: Parameter, rule: str, **more: Parameter) -> Wrong:
    """A parameter that has a wrong value, beside others that are right."""
    return Wrong(
        {"host": "localhost", name: value, **more}, problem(name, value, rule)
    )


def hidden(name: str, value: str, rule: str, **more: Parameter) -> Wrong:
    """The same, with a value that is not shown."""
    return Wrong(
        {"host": "localhost", name: value, **more},
        f'parameter "{name}": {rule}',
    )


LONG = SECRET * 10000
CUT = f'{LONG[:128]}..."'
WILL = {"will_topic": "will", "will": SECRET}
CA = {"ca_file": "DIR/ca.pem"}
CLIENT = {"certificate": "DIR/client.pem", "private_key": "DIR/client.key"}
PAIR = "must be set together with"
NO_CA = (
    'needs "ca_file" or "ca_path": without them the connection would not be '
    "encrypted"
)
NO_WILL = 'needs "will_topic" and "will"'

TABLE = {
    # Where the broker is.
    "no host": Wrong({"port": 1883}, 'parameter "host": must be set'),
    "host empty": wrong("host", "", "must not be empty"),
    "host long": Wrong(
        {"host": "h" * 256},
        problem("host", "h" * 128 + "...", "must be at most 255 bytes"),
    ),
    "host blank": wrong(
        "host", "a host", "must not hold blanks or control characters"
    ),
    "port zero": wrong("port", 0, "must be from 1 to 65535"),
    "port high": wrong("port", 65536, "must be from 1 to 65535"),
    "port negative": wrong("port", -1, "must be from 1 to 65535"),
    "keepalive low": wrong("keepalive", 4, "must be 0 or from 5 to 65535"),
    "keepalive high": wrong("keepalive", 65536, "must be 0 or from 5 to"),
    "keepalive negative": wrong("keepalive", -5, "must be 0 or from 5 to"),
    # Who we are.
    "id empty": wrong(
        "id", "", "must not be empty: leave it unset for a random one"
    ),
    # Kamailio makes one byte of \\xff; the message shows it so, too.
    "id UTF-8": wrong("id", r"a\xff", "malformed UTF-8 at byte 1"),
    "id long": Wrong(
        {"host": "localhost", "id": LONG},
        f'parameter "id": value "{CUT}: 150000 bytes are more than the 65535',
    ),
    "username alone": wrong("username", "name", f'{PAIR} "password"'),
    "username control": wrong(
        "username",
        r"a\x7f",
        "a control character at byte 1 is not allowed",
        password=SECRET,
    ),
    "password alone": hidden("password", SECRET, f'{PAIR} "username"'),
    "password long": hidden(
        "password", LONG, "must be at most 65535 bytes", username="name"
    ),
    # The will.
    "will alone": hidden("will", SECRET, f'{PAIR} "will_topic"'),
    "will_topic alone": wrong("will_topic", "a/b", f'{PAIR} "will"'),
    "will_topic empty": wrong(
        "will_topic", "", "must not be empty", will=SECRET
    ),
    "will_topic wildcard": wrong(
        "will_topic",
        "a/+",
        "wildcard '+' at byte 2 is not allowed in a topic name",
        will=SECRET,
    ),
    "will long": hidden(
        "will",
        LONG,
        "must be at most 65535 bytes, has 150000",
        will_topic="will",
    ),
    "will_qos": wrong("will_qos", 3, "must be from 0 to 2", **WILL),
    "will_qos negative": wrong("will_qos", -1, "must be from 0 to 2", **WILL),
    "will_qos alone": wrong("will_qos", 1, NO_WILL),
    "will_retain": wrong("will_retain", 2, "must be 0 or 1", **WILL),
    "will_retain alone": wrong("will_retain", 1, NO_WILL),
    # TLS.
    "ca_file missing": wrong("ca_file", "/nowhere/ca.pem", "cannot be opened"),
    "ca_file directory": wrong("ca_file", "DIR", "is not a regular file"),
    "ca_file empty": wrong("ca_file", "DIR/empty.pem", "is empty"),
    "ca_file malformed": wrong(
        "ca_file", "DIR/text.pem", "holds no PEM certificate"
    ),
    "ca_path missing": wrong(
        "ca_path", "/nowhere", "cannot be opened as a directory"
    ),
    "ca_path unhashed": wrong(
        "ca_path", "DIR", "holds no certificate under its hash"
    ),
    "both CAs": wrong(
        "ca_path",
        "DIR/ca_path",
        'must not be set together with "ca_file"',
        **CA,
    ),
    "tls_method": wrong(
        "tls_method", "sslv3", "must be tlsv1.3, tlsv1.2 or tlsv1.1", **CA
    ),
    "tls_method old": wrong(
        "tls_method", "tlsv1", "is no longer supported by libmosquitto", **CA
    ),
    "tls_method alone": wrong("tls_method", "tlsv1.3", NO_CA),
    "tls_alpn empty": wrong(
        "tls_alpn", "", "must be from 1 to 254 bytes", **CA
    ),
    "tls_alpn alone": wrong("tls_alpn", "mqtt", NO_CA),
    "certificate alone": wrong(
        "certificate", "DIR/client.pem", f'{PAIR} "private_key"', **CA
    ),
    "certificate missing": wrong(
        "certificate",
        "/nowhere/client.pem",
        "cannot be opened",
        private_key="DIR/client.key",
        **CA,
    ),
    "certificate malformed": wrong(
        "certificate",
        "DIR/text.pem",
        "holds no PEM certificate",
        private_key="DIR/client.key",
        **CA,
    ),
    "certificate without CA": Wrong(
        {"host": "localhost", **CLIENT},
        problem("certificate", "DIR/client.pem", NO_CA),
    ),
    "private_key alone": wrong(
        "private_key", "DIR/client.key", f'{PAIR} "certificate"', **CA
    ),
    "private_key malformed": wrong(
        "private_key",
        "DIR/text.pem",
        "holds no PEM private key",
        certificate="DIR/client.pem",
        **CA,
    ),
    "private_key encrypted": wrong(
        "private_key",
        "DIR/encrypted.key",
        "is encrypted with a passphrase, which nobody can type",
        certificate="DIR/client.pem",
        **CA,
    ),
    "private_key foreign": wrong(
        "private_key",
        "DIR/server.key",
        "does not fit the certificate",
        certificate="DIR/client.pem",
        **CA,
    ),
    "private_key without CA": Wrong(
        {"host": "localhost", **CLIENT},
        problem("private_key", "DIR/client.key", NO_CA),
    ),
    "cipher_list": wrong(
        "cipher_list", "NO-SUCH-CIPHER", "is not a cipher list for", **CA
    ),
    "cipher_list alone": wrong("cipher_list", "HIGH", NO_CA),
    "verify_certificate": wrong(
        "verify_certificate", 2, "must be 0 or 1", **CA
    ),
    "verify_certificate text": wrong(
        "verify_certificate", "no", "must be 0 or 1", **CA
    ),
    # The rest.
    "resubscribe": wrong("resubscribe", 2, "must be 0 or 1"),
    "queue_max_messages": wrong(
        "queue_max_messages", 0, "must be from 1 to 100000000"
    ),
    "queue_max_bytes": wrong("queue_max_bytes", 1023, "must be at least 1024"),
    "queue_policy": wrong(
        "queue_policy", "drop", "must be reject or drop_oldest"
    ),
    "queue_ttl": wrong("queue_ttl", -1, "must be at least 0"),
    "reconnect_delay": wrong("reconnect_delay", 0, "must be from 1 to 86400"),
    "reconnect_delay_max": wrong(
        "reconnect_delay_max", 86401, "must be from 0 to 86400"
    ),
    "reconnect_delay_max small": wrong(
        "reconnect_delay_max",
        2,
        'must not be less than "reconnect_delay", 5',
        reconnect_delay=5,
    ),
    "connect_timeout": wrong("connect_timeout", 0, "must be from 1 to 3600"),
    "drain_timeout": wrong("drain_timeout", 60001, "must be from 0 to 60000"),
}


@pytest.fixture(name="files", scope="module")
def _files() -> Iterator[Certificates]:
    """Certificates, and files that are none."""
    with Environment() as place:
        certificates = place.certificates
        directory = certificates.directory
        (directory / "empty.pem").touch()
        (directory / "text.pem").write_text("no certificate\n")
        subprocess.run(
            ["openssl", "pkey", "-in", certificates.private_key("client")]
            + ["-aes128", "-passout", "pass:secret"]
            + ["-out", directory / "encrypted.key"],
            check=True,
        )
        yield certificates


def configured(
    environment: Environment,
    files: Certificates,
    parameters: Mapping[str, Parameter],
) -> Kamailio:
    """A Kamailio that was not started."""
    return environment.kamailio(
        KamailioConfiguration(
            parameters={
                name: value.replace("DIR", str(files.directory))
                if isinstance(value, str)
                else value
                for name, value in parameters.items()
            }
        )
    )


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_a_wrong_configuration_is_refused(
    environment: Environment, files: Certificates, case: Wrong
) -> None:
    kamailio = configured(environment, files, case.parameters)
    message = case.message.replace("DIR", str(files.directory))

    check = kamailio.check()
    assert check.exit_code == 255
    assert f"mqtt: {message}" in check.output
    assert SECRET not in check.output.replace(message, "")

    kamailio.launch()
    assert kamailio.process.wait() == 255
    assert f"mqtt: {message}" in kamailio.log()
    assert SECRET not in kamailio.log().replace(message, "")


def test_all_that_is_wrong_is_said_at_once(environment: Environment) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(
            parameters={"port": 0, "keepalive": 1, "username": "name"}
        )
    )
    output = kamailio.check().output
    for name in ("host", "port", "keepalive", "username"):
        assert output.count(f'mqtt: parameter "{name}"') == 1


def test_a_daemon_is_refused_too(environment: Environment) -> None:
    kamailio = environment.kamailio(
        KamailioConfiguration(parameters={"host": "localhost", "port": 0})
    )
    output = kamailio.directory / "output"
    with output.open("wb") as stream:
        result = subprocess.run(
            ["kamailio", "-f", kamailio.configuration_path, "-E"]
            + ["-Y", kamailio.directory, "-P", kamailio.directory / "pid"],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=program_environment(),
            timeout=DEADLINE,
            check=False,
        )
    assert result.returncode == 255
    assert problem("port", 0, "must be from 1 to 65535") in output.read_text()


# Right ones.

RIGHT: dict[str, dict[str, Parameter]] = {
    "only a host": {},
    "IPv6": {"host": "::1"},
    "longest host": {"host": "h" * 255},
    "lowest": {
        "port": 1,
        "keepalive": 0,
        "will_qos": 0,
        "will_retain": 0,
        "resubscribe": 0,
        "queue_max_messages": 1,
        "queue_max_bytes": 1024,
        "queue_policy": "reject",
        "queue_ttl": 0,
        "reconnect_delay": 1,
        "reconnect_delay_max": 0,
        "connect_timeout": 1,
        "drain_timeout": 0,
    },
    "highest": {
        "port": 65535,
        "keepalive": 65535,
        "will_qos": 2,
        "will_retain": 1,
        "resubscribe": 1,
        "queue_max_messages": 100000000,
        "queue_max_bytes": 2147483647,
        "queue_policy": "drop_oldest",
        "queue_ttl": 2147483647,
        "reconnect_delay": 86400,
        "reconnect_delay_max": 86400,
        "connect_timeout": 3600,
        "drain_timeout": 60000,
        **WILL,
    },
    "keepalive of 5": {"keepalive": 5},
    "credentials": {"id": "Küche", "username": "name", "password": ""},
    "an empty will": {"will_topic": "$SYS/../ /Küche", "will": ""},
    "TLS": {
        **CA,
        **CLIENT,
        "tls_method": "tlsv1.2",
        "tls_alpn": "mqtt",
        "cipher_list": "HIGH:!aNULL",
    },
    "ca_path": {"ca_path": "DIR/ca_path", "tls_method": "tlsv1.3"},
    "unverified, ca_path": {"ca_path": "DIR", "verify_certificate": 0},
    "unverified, a number": {"verify_certificate": 0, **CA},
    "unverified, a string": {"verify_certificate": "0", **CA},
    "verified, a number": {"verify_certificate": 1, **CA},
    "verified, a string": {"verify_certificate": "1", **CA},
    "unverified without TLS": {"verify_certificate": "0"},
}


@pytest.mark.parametrize("parameters", RIGHT.values(), ids=RIGHT)
def test_a_right_configuration_is_accepted(
    environment: Environment,
    files: Certificates,
    parameters: dict[str, Parameter],
) -> None:
    kamailio = configured(
        environment, files, {"host": "localhost", **parameters}
    )
    check = kamailio.check()
    assert check.exit_code == 0
    assert "ERROR" not in check.output
    assert "mqtt:" not in check.output
    kamailio.start()
    assert kamailio.stop() == 0
