# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP phone, at a server that is a socket of the test."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tools.harness.sip_phone import SipPhone
from tools.harness.waiting import DEADLINE

INVITE = (
    "INVITE sip:bob@127.0.0.1 SIP/2.0\r\n"
    "Record-Route: <sip:one;lr>\r\n"
    "Record-Route: <sip:two;lr>\r\n"
    "Via: SIP/2.0/UDP one;branch=z9hG4bK1\r\n"
    "Via: SIP/2.0/UDP two;branch=z9hG4bK2\r\n"
    "From: <sip:alice@example.org>;tag=a\r\n"
    "To: <sip:bob@example.org>\r\n"
    "Call-ID: 4711\r\n"
    "CSeq: 7 INVITE\r\n"
    "Contact: <sip:alice@192.0.2.1>\r\n"
    "Content-Length: 0\r\n\r\n"
)


class Server:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(DEADLINE)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._peer: object = None

    def receive(self) -> bytes:
        data, self._peer = self._socket.recvfrom(65536)
        return data

    def send(self, text: str) -> None:
        self._socket.sendto(text.encode(), self._peer)  # type: ignore

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(name="phone")
def _phone(server: Server) -> Iterator[SipPhone]:
    phone = SipPhone(server.port, "bob", "example.org")
    yield phone
    phone.close()


def called(server: Server, phone: SipPhone) -> None:
    """The server knows where the phone is, and has sent it an INVITE."""
    phone.send("REGISTER", "sip:example.org")
    server.receive()
    server.send(INVITE)


def test_any_bytes_can_be_sent(server: Server, phone: SipPhone) -> None:
    phone.send("OPTIONS", "sip:a@b", {"User-Agent": "caf\udce9\0ü"}, body="ü")
    head, _, body = server.receive().partition(b"\r\n\r\n")
    assert b"\r\nUser-Agent: caf\xe9\0\xc3\xbc\r\n" in head
    assert head.endswith(b"Content-Length: 2")
    assert body == "ü".encode()


def test_a_response_repeats_what_it_must(
    server: Server, phone: SipPhone
) -> None:
    called(server, phone)
    phone.respond(phone.wait_request("INVITE"), 200)
    lines = server.receive().decode().split("\r\n")
    assert lines[:8] == [
        "SIP/2.0 200 Status 200",
        "record-route: <sip:one;lr>",
        "record-route: <sip:two;lr>",
        "via: SIP/2.0/UDP one;branch=z9hG4bK1",
        "via: SIP/2.0/UDP two;branch=z9hG4bK2",
        "from: <sip:alice@example.org>;tag=a",
        "call-id: 4711",
        "cseq: 7 INVITE",
    ]
    assert lines[8].startswith("To: <sip:bob@example.org>;tag=")


def test_requests_in_a_dialog(server: Server, phone: SipPhone) -> None:
    called(server, phone)
    invite = phone.wait_request("INVITE")
    phone.send_in_dialog("BYE", invite)
    bye = server.receive().decode()
    assert bye.startswith("BYE sip:alice@192.0.2.1 SIP/2.0\r\n")
    assert bye.index("Route: <sip:one;lr>") < bye.index("Route: <sip:two;lr>")
    assert "\r\nTo: <sip:alice@example.org>;tag=a\r\n" in bye
    assert "\r\nFrom: <sip:bob@example.org>;tag=" in bye

    # The caller's side, whose ACK has the number of its INVITE.
    request_line, _, fields = INVITE.partition("\r\n")
    assert request_line.startswith("INVITE ")
    server.send(f"SIP/2.0 200 OK\r\n{fields}")
    phone.send_in_dialog("ACK", phone.wait_response("4711"))
    ack = server.receive().decode()
    assert ack.index("Route: <sip:two;lr>") < ack.index("Route: <sip:one;lr>")
    assert "\r\nFrom: <sip:alice@example.org>;tag=a\r\n" in ack
    assert "\r\nCSeq: 7 ACK\r\n" in ack
