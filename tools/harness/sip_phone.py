# SPDX-License-Identifier: GPL-3.0-or-later
"""A SIP phone over UDP (RFC 3261) that a test moves step by step.

Unlike SipClient it can be called, and be in a dialog. It has no timers: it
retransmits nothing, and what it does not answer stays unanswered.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tools.harness.waiting import wait_for

_BLANK_LINE = "\r\n\r\n"

# Fields of a request that its responses repeat (RFC 3261 8.2.6).
_REPEATED = ("via", "record-route", "from", "call-id", "cseq")


def _encode(text: str) -> bytes:
    # So that a test can also send what is not UTF-8.
    return text.encode(errors="surrogateescape")


@dataclass(frozen=True)
class SipMessage:
    start_line: str
    fields: tuple[tuple[str, str], ...]  # Names in lower case.
    body: str

    @property
    def status(self) -> int | None:
        """None for a request."""
        version, status, *_ = self.start_line.split(" ")
        return int(status) if version == "SIP/2.0" else None

    @property
    def method(self) -> str:
        """Of the request, or of the one that it responds to."""
        return self["cseq"].split()[1]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.fields if each == name]

    def __getitem__(self, name: str) -> str:
        return self.all(name)[0]


def _parse(data: bytes) -> SipMessage:
    text = data.decode(errors="surrogateescape")
    head, _, body = text.partition(_BLANK_LINE)
    start_line, *lines = head.split("\r\n")
    fields = []
    for line in lines:
        name, _, value = line.partition(":")
        fields.append((name.strip().lower(), value.strip()))
    return SipMessage(start_line, tuple(fields), body)


class SipPhone:
    """The phone of `user` in `domain`, at a SIP server of this machine."""

    def __init__(self, port: int, user: str, domain: str) -> None:
        self.uri = f"sip:{user}@{domain}"
        self._server = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._address = "%s:%d" % self._socket.getsockname()
        self.contact = f"sip:{user}@{self._address}"
        self._tag = os.urandom(4).hex()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._received: list[SipMessage] = []
        self._closing = False
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def close(self) -> None:
        self._closing = True
        # Wakes the receiver.
        self._socket.sendto(b"", self._socket.getsockname())
        self._receiver.join()
        self._socket.close()

    def send(
        self,
        method: str,
        uri: str,
        fields: Mapping[str, str] | None = None,
        *,
        routes: list[str] | None = None,
        body: str = "",
    ) -> str:
        """Sends a request and returns its Call-ID. `fields` replaces header
        fields of it, and adds others."""
        number = next(self._numbers)
        lines = {
            "Via": f"SIP/2.0/UDP {self._address}"
            f";branch=z9hG4bK{self._tag}{number};rport",
            "Max-Forwards": "70",
            "From": f"<{self.uri}>;tag={self._tag}",
            "To": f"<{uri}>",
            "Call-ID": f"{self._tag}-{number}",
            "CSeq": f"{number} {method}",
            "Contact": f"<{self.contact}>",
            **(fields or {}),
        }
        head = [f"{method} {uri} SIP/2.0"]
        head += [f"{name}: {value}" for name, value in lines.items()]
        head += [f"Route: {route}" for route in routes or []]
        self._send(head, body)
        return lines["Call-ID"]

    def request(
        self,
        method: str,
        uri: str,
        fields: Mapping[str, str] | None = None,
    ) -> SipMessage:
        """Sends a request and waits for its final response."""
        call_id = self.send(method, uri, fields)
        return self.wait_response(call_id)

    def register(self, fields: Mapping[str, str] | None = None) -> SipMessage:
        """Registers the contact, where `fields` do not say otherwise."""
        domain = self.uri.partition("@")[2]
        return self.request(
            "REGISTER",
            f"sip:{domain}",
            {"To": f"<{self.uri}>", "Expires": "600", **(fields or {})},
        )

    def send_in_dialog(
        self,
        method: str,
        peer: SipMessage,
        fields: Mapping[str, str] | None = None,
        *,
        body: str = "",
    ) -> None:
        """Sends a request in the dialog of which `peer` is the response to
        our INVITE, or the INVITE that we have responded to."""
        routes = peer.all("record-route")
        ours, theirs = peer["from"], peer["to"]
        if peer.status is None:
            ours, theirs = f"{theirs};tag={self._tag}", ours
        else:
            routes.reverse()
        # An ACK has the number of its INVITE.
        number = peer["cseq"].split()[0] if method == "ACK" else None
        self.send(
            method,
            re.findall("<(.*)>", peer["contact"])[0],
            {
                "From": ours,
                "To": theirs,
                "Call-ID": peer["call-id"],
                **({"CSeq": f"{number} ACK"} if number else {}),
                **(fields or {}),
            },
            routes=routes,
            body=body,
        )

    def respond(
        self, request: SipMessage, status: int, body: str = ""
    ) -> None:
        head = [f"SIP/2.0 {status} Status {status}"]
        head += [
            f"{name}: {value}"
            for name, value in request.fields
            if name in _REPEATED
        ]
        to = request["to"]
        if "tag=" not in to:
            to = f"{to};tag={self._tag}"
        head.append(f"To: {to}")
        head.append(f"Contact: <{self.contact}>")
        self._send(head, body)

    def wait_request(self, method: str) -> SipMessage:
        return self._wait(
            lambda one: one.status is None and one.method == method,
            f"a {method}",
        )

    def wait_response(self, call_id: str) -> SipMessage:
        """Waits for the final response to the newest request of a call."""
        return self._wait(
            lambda one: one["call-id"] == call_id and (one.status or 0) >= 200,
            f"the response to {call_id}",
        )

    def _send(self, head: list[str], body: str) -> None:
        text = "\r\n".join(
            [*head, f"Content-Length: {len(_encode(body))}", "", body]
        )
        self._socket.sendto(_encode(text), self._server)

    def _wait(
        self, wanted: Callable[[SipMessage], bool], what: str
    ) -> SipMessage:
        """Waits for such a message and takes it."""

        def take() -> SipMessage | None:
            with self._lock:
                for message in self._received:
                    if wanted(message):
                        self._received.remove(message)
                        return message
            return None

        return wait_for(take, f"{what} at the phone {self.uri}")

    def _receive(self) -> None:
        while True:
            data = self._socket.recv(65536)
            if self._closing:
                return
            if data.strip(b"\r\n\0"):  # Else a keep-alive.
                with self._lock:
                    self._received.append(_parse(data))
