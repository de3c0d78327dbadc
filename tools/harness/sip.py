# SPDX-License-Identifier: GPL-3.0-or-later
"""A SIP client over UDP and TCP (RFC 3261), enough to drive a routing script.

It sends requests without retransmission, so that a request that was not
answered stays visible.
"""

from __future__ import annotations

import itertools
import os
import socket
import statistics
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tools.harness.waiting import DEADLINE, wait_for

_HEADER_END = b"\r\n\r\n"
_SHORT_NAMES = {"i": "call-id", "l": "content-length", "c": "content-type"}


@dataclass(frozen=True)
class SipResponse:
    status: int
    reason: str
    headers: Mapping[str, str]  # Names in lower case.
    body: bytes
    latency: float  # Seconds from the request.


@dataclass
class BurstResult:
    """What became of many requests."""

    sent: int
    responses: list[SipResponse] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return len(self.responses)

    @property
    def median_latency(self) -> float:
        return statistics.median(each.latency for each in self.responses)

    @property
    def longest_latency(self) -> float:
        return max(each.latency for each in self.responses)


def _parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    start_line, *lines = head.decode(errors="replace").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers[_SHORT_NAMES.get(name, name)] = value.strip()
    return start_line, headers


class SipClient:
    """Sends requests from one socket; a thread collects the responses."""

    def __init__(
        self, port: int, *, host: str = "127.0.0.1", transport: str = "udp"
    ) -> None:
        self._transport = transport
        self._target = (host, port)
        self._is_stream = transport == "tcp"
        kind = socket.SOCK_STREAM if self._is_stream else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.settimeout(DEADLINE)
        self._socket.connect(self._target)
        self._address = "%s:%d" % self._socket.getsockname()
        self._socket.settimeout(None)
        self._numbers = itertools.count(1)
        self._identity = os.urandom(6).hex()
        self._sent_at: dict[str, float] = {}
        self._responses: dict[str, SipResponse] = {}
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def close(self) -> None:
        try:
            # Wakes the receiver, which a close() alone does not.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster.
        self._receiver.join()
        self._socket.close()

    def __enter__(self) -> SipClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(
        self,
        method: str = "OPTIONS",
        *,
        user: str = "test",
        uri: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> str:
        """Sends a request and returns its Call-ID at once. It is for `user` at
        the server itself, unless `uri` says another Request-URI."""
        number = next(self._numbers)
        call_id = f"{self._identity}-{number}"
        host, port = self._target
        uri = uri or f"sip:{user}@{host}:{port}"
        fields = {
            "Via": f"SIP/2.0/{self._transport.upper()} {self._address}"
            f";branch=z9hG4bK{call_id};rport",
            "Max-Forwards": "70",
            "From": f"<sip:harness@{self._address}>;tag={number}",
            "To": f"<{uri}>",
            "Call-ID": call_id,
            "CSeq": f"{number} {method}",
            "Contact": f"<sip:harness@{self._address}>",
        }
        fields.update(headers or {})
        fields["Content-Length"] = str(len(body))
        head = f"{method} {uri} SIP/2.0\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in fields.items()
        )
        self._sent_at[call_id] = time.monotonic()
        try:
            self._socket.sendall(head.encode() + b"\r\n" + body)
        except ConnectionRefusedError:
            # An ICMP error from an earlier datagram; that the request is
            # unanswered says as much.
            pass
        return call_id

    def any_response(self, call_ids: Iterable[str]) -> bool:
        """Whether any of these requests has its final response."""
        return any(call_id in self._responses for call_id in call_ids)

    def response(
        self, call_id: str, *, deadline: float = DEADLINE
    ) -> SipResponse:
        """Waits for the final response to a request."""
        return wait_for(
            lambda: self._responses.get(call_id),
            f"the response to {call_id}",
            deadline=deadline,
        )

    def take_response(self, call_id: str) -> SipResponse | None:
        """The final response to a request, where it has come. Both are then
        forgotten, which a client that sends for hours needs."""
        response = self._responses.pop(call_id, None)
        if response is not None:
            del self._sent_at[call_id]
        return response

    def request(
        self,
        method: str = "OPTIONS",
        *,
        user: str = "test",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        deadline: float = DEADLINE,
    ) -> SipResponse:
        """Sends a request and waits for its final response."""
        call_id = self.send(method, user=user, headers=headers, body=body)
        return self.response(call_id, deadline=deadline)

    def burst(
        self,
        count: int,
        method: str = "OPTIONS",
        *,
        user: str = "test",
        headers: Iterable[Mapping[str, str]] | None = None,
        body: bytes = b"",
        outstanding: int = 50,
        deadline: float = DEADLINE,
    ) -> BurstResult:
        """Sends `count` requests, with at most `outstanding` of them
        unanswered at a time, and gives up where none is answered for
        `deadline` seconds. `headers` gives each request its own."""
        each_headers = iter(headers) if headers is not None else None
        waiting: set[str] = set()
        result = BurstResult(sent=0)
        last_progress = time.monotonic()
        while result.answered < count:
            while result.sent < count and len(waiting) < outstanding:
                own = next(each_headers) if each_headers is not None else None
                waiting.add(
                    self.send(method, user=user, headers=own, body=body)
                )
                result.sent += 1
            answered = [one for one in waiting if one in self._responses]
            if answered:
                waiting.difference_update(answered)
                result.responses += [self._responses[one] for one in answered]
                last_progress = time.monotonic()
            elif time.monotonic() - last_progress > deadline:
                break
            else:
                time.sleep(0.001)
        return result

    def _receive(self) -> None:
        try:
            if self._is_stream:
                self._receive_stream()
            else:
                self._receive_datagrams()
        except OSError:
            pass  # Reset by the peer; what is missing stays unanswered.

    def _receive_datagrams(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(65536)
            except ConnectionRefusedError:
                continue  # Nobody listens there yet, or any more.
            if not datagram:
                return
            head, _, body = datagram.partition(_HEADER_END)
            self._accept(*_parse_head(head), body)

    def _receive_stream(self) -> None:
        with self._socket.makefile("rb") as stream:
            lines: list[bytes] = []
            for line in stream:
                if line != b"\r\n":
                    lines.append(line.rstrip(b"\r\n"))
                elif lines:  # Empty lines between messages are keep-alives.
                    start_line, headers = _parse_head(b"\r\n".join(lines))
                    size = int(headers.get("content-length", "0"))
                    self._accept(start_line, headers, stream.read(size))
                    lines = []

    def _accept(
        self, start_line: str, headers: dict[str, str], body: bytes
    ) -> None:
        version, status, reason = (start_line.split(" ", 2) + ["", ""])[:3]
        call_id = headers.get("call-id", "")
        sent_at = self._sent_at.get(call_id)
        if version != "SIP/2.0" or sent_at is None or int(status) < 200:
            return
        latency = time.monotonic() - sent_at
        self._responses.setdefault(
            call_id, SipResponse(int(status), reason, headers, body, latency)
        )
