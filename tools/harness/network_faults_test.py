# SPDX-License-Identifier: GPL-3.0-or-later
import socket

import pytest

from tools.harness.network_faults import FullBacklogListener, SilentDnsServer
from tools.harness.waiting import wait_for


def test_a_full_backlog_lets_no_connection_through() -> None:
    with FullBacklogListener() as listener:
        with pytest.raises(TimeoutError):
            socket.create_connection((listener.host, listener.port), 0.5)


def test_a_dns_server_that_does_not_answer() -> None:
    with SilentDnsServer() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.1)
            client.sendto(b"query", (server.host, server.port))
            wait_for(lambda: server.queries == [b"query"], "the query")
            with pytest.raises(TimeoutError):
                client.recv(1)
