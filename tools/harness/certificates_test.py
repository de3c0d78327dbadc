# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates of a mosquitto, as OpenSSL's own client sees them."""

import subprocess

import pytest

from tools.harness.broker import BrokerTls
from tools.harness.environment import Environment
from tools.harness.process import program_environment


def _verify(environment: Environment, server: str, *trust: object) -> str:
    """Connects to a broker with a certificate and returns the verdict."""
    certificates = environment.certificates
    broker = environment.broker(
        tls=BrokerTls(
            certificates.certificate(server), certificates.private_key(server)
        )
    )
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"{broker.host}:{broker.port}"]
        + ["-verify_hostname", "localhost", *map(str, trust)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=program_environment(),
        check=False,
    ).stdout.decode()


@pytest.mark.parametrize(
    ("server", "verdict"),
    [
        ("server", "0 (ok)"),
        ("wrong_name", "62 (hostname mismatch)"),
        ("expired", "10 (certificate has expired)"),
    ],
)
def test_server_certificates(server: str, verdict: str) -> None:
    with Environment() as environment:
        ca_file = environment.certificates.ca
        output = _verify(environment, server, "-CAfile", ca_file)
    assert f"Verify return code: {verdict}" in output


def test_trust_by_directory() -> None:
    with Environment() as environment:
        certificates = environment.certificates
        related = _verify(
            environment, "server", "-CApath", certificates.ca_path
        )
        unrelated = _verify(
            environment, "server", "-CApath", certificates.unrelated_ca_path
        )
    assert "Verify return code: 0 (ok)" in related
    assert "Verify return code: 21 " in unrelated
