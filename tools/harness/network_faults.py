# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that are there and do not answer."""

from __future__ import annotations

import socket
import threading


class FullBacklogListener:
    """A TCP port whose queue of connections is full: the kernel drops every
    further SYN, so that connecting there takes forever."""

    _FILLERS = 8

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.host = "127.0.0.1"
        self.port: int = self._listener.getsockname()[1]
        self._fillers = []
        for _ in range(self._FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self._fillers.append(filler)

    def close(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._listener.close()

    def __enter__(self) -> FullBacklogListener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SilentDnsServer:
    """A UDP port that takes queries and never answers. For a resolver to use
    it, it must stand at port 53 of an address in resolv.conf, in a network of
    its own."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.queries: list[bytes] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def close(self) -> None:
        # An empty datagram is no query: it ends the thread.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.host, self.port))
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> SilentDnsServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> None:
        while query := self._socket.recv(4096):
            self.queries.append(query)
