# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP client, and sipp, against a server that echoes or stays silent."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.harness.sip import SipClient
from tools.harness.sipp import run_sipp
from tools.harness.waiting import Timeout

SCENARIO = Path(__file__).absolute().parents[2] / "testdata/sipp/message.xml"


def _response(request: bytes) -> bytes:
    """A 200 with the headers and the body of the request."""
    _, _, rest = request.partition(b"\r\n")
    return b"SIP/2.0 200 All right\r\n" + rest


class _Server:
    """Answers each datagram, but for requests to the user "silent"."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            request, sender = self._socket.recvfrom(65536)
            if not request:
                return
            self.requests.append(request)
            if b"sip:silent@" not in request:
                self._socket.sendto(
                    b"SIP/2.0 100 Trying\r\nCall-ID: other\r\n\r\n", sender
                )
                self._socket.sendto(_response(request), sender)


@pytest.fixture(name="server")
def _server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.close()


def test_a_request_and_its_response(server: _Server) -> None:
    with SipClient(server.port) as client:
        response = client.request(
            "MESSAGE", headers={"X-Test": "value"}, body=b"a\0\r\n\r\nb"
        )
    assert (response.status, response.reason) == (200, "All right")
    assert response.headers["x-test"] == "value"
    assert response.headers["content-length"] == "7"
    assert response.body == b"a\0\r\n\r\nb"
    assert 0 < response.latency < 10
    assert server.requests[0].startswith(b"MESSAGE sip:test@127.0.0.1:")


def test_a_request_for_another_uri(server: _Server) -> None:
    with SipClient(server.port) as client:
        response = client.response(client.send(uri="sip:bob@example.org"))
    assert server.requests[0].startswith(
        b"OPTIONS sip:bob@example.org SIP/2.0\r\n"
    )
    assert response.headers["to"] == "<sip:bob@example.org>"


def test_no_response(server: _Server) -> None:
    with SipClient(server.port) as client, pytest.raises(Timeout):
        client.request(user="silent", deadline=0.05)


def test_a_burst(server: _Server) -> None:
    with SipClient(server.port) as client:
        result = client.burst(
            100,
            headers=({"X-Number": str(number)} for number in range(100)),
        )
    assert (result.sent, result.answered) == (100, 100)
    assert 0 < result.median_latency <= result.longest_latency
    numbers = {int(each.headers["x-number"]) for each in result.responses}
    assert numbers == set(range(100))


def test_a_burst_that_is_not_answered(server: _Server) -> None:
    with SipClient(server.port) as client:
        result = client.burst(
            100, user="silent", outstanding=7, deadline=0.05
        )
    assert (result.sent, result.answered) == (7, 0)


def test_tcp() -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            for _ in range(2):
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += stream.readline()
                request += stream.read(3)
                response = b"\r\n" + _response(request)
                connection.sendall(response[:50])
                connection.sendall(response[50:])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        with SipClient(port, transport="tcp") as client:
            for body in (b"one", b"two"):
                assert client.request("MESSAGE", body=body).body == body
        thread.join()


def test_sipp(server: _Server) -> None:
    result = run_sipp(
        SCENARIO,
        server.port,
        calls=3,
        keys={"user": "somebody", "text": "good morning"},
    )
    assert result.exit_code == 0, result.output
    assert len(server.requests) == 3
    for request in server.requests:
        assert request.startswith(b"MESSAGE sip:somebody@")
        assert request.rstrip().endswith(b"\r\n\r\ngood morning")


def test_sipp_without_an_answer(server: _Server) -> None:
    result = run_sipp(
        SCENARIO,
        server.port,
        keys={"user": "silent", "text": "good morning"},
        timeout=1,
    )
    assert result.exit_code != 0
