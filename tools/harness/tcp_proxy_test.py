# SPDX-License-Identifier: GPL-3.0-or-later
import socket
from collections.abc import Iterator

import pytest

from tools.harness.tcp_proxy import TcpProxy
from tools.harness.tcp_server import TcpServer
from tools.harness.waiting import DEADLINE


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(4096):
        connection.sendall(data)


@pytest.fixture(name="proxy")
def _proxy() -> Iterator[TcpProxy]:
    server = TcpServer(_echo)
    with TcpProxy(server.port) as proxy:
        yield proxy
    server.close()


def _connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), DEADLINE)


def _receive_all(client: socket.socket) -> bytes:
    received = b""
    try:
        while data := client.recv(4096):
            received += data
    except ConnectionResetError:
        pass
    return received


def test_forwards_both_ways(proxy: TcpProxy) -> None:
    with _connect(proxy) as client:
        client.sendall(b"x" * 100000)
        client.settimeout(DEADLINE)
        received = b""
        while len(received) < 100000:
            received += client.recv(4096)
    assert received == b"x" * 100000


def test_the_end_of_one_side_ends_the_other(proxy: TcpProxy) -> None:
    with _connect(proxy) as client:
        client.shutdown(socket.SHUT_WR)
        assert _receive_all(client) == b""


def test_a_stall_holds_data_back(proxy: TcpProxy) -> None:
    with _connect(proxy) as client:
        proxy.stall()
        client.sendall(b"late")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.resume()
        client.settimeout(DEADLINE)
        assert client.recv(4) == b"late"


def test_cut_after_a_number_of_bytes(proxy: TcpProxy) -> None:
    proxy.limit = 15
    with _connect(proxy) as client:
        client.sendall(b"0123456789")
        # Ten went there and five came back.
        assert _receive_all(client) == b"01234"


def test_cut(proxy: TcpProxy) -> None:
    with _connect(proxy) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        proxy.cut()
        assert _receive_all(client) == b""
    with _connect(proxy) as client:
        client.sendall(b"b")
        assert client.recv(1) == b"b"
    assert proxy.connections == 2


def test_refuse(proxy: TcpProxy) -> None:
    proxy.refuse()
    with _connect(proxy) as client:
        assert _receive_all(client) == b""
    proxy.refuse(False)
    with _connect(proxy) as client:
        client.sendall(b"b")
        assert client.recv(1) == b"b"
