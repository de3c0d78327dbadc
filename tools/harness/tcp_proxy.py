# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy in front of a broker whose network can be made to fail."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from tools.harness.tcp_server import TcpServer, shut

_CHUNK = 4096

_Watcher = Callable[[bytes], None]


def _ignore(_: bytes) -> None:
    pass


class TcpProxy:
    """Forwards connections to a port of 127.0.0.1.

    The attributes may be changed at any time and hold for all connections:
    `delay` seconds before each chunk is forwarded, `limit` bytes after which a
    connection is cut, counted from its start and in both directions together.

    `watch` is called for each connection and returns two functions: the first
    gets what the client sends before it is forwarded, the second what the
    broker sends.
    """

    def __init__(
        self,
        target_port: int,
        *,
        delay: float = 0.0,
        limit: int | None = None,
        watch: Callable[[], tuple[_Watcher, _Watcher]] = lambda: (
            _ignore,
            _ignore,
        ),
    ) -> None:
        self._target_port = target_port
        self._watch = watch
        self.delay = delay
        self.limit = limit
        self._flowing = threading.Event()
        self._flowing.set()
        self._refusing = False
        self._lock = threading.Lock()
        self.connections = 0
        self._server = TcpServer(self._forward)
        self.host = "127.0.0.1"
        self.port = self._server.port

    def close(self) -> None:
        self._flowing.set()
        self._server.close()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stall(self) -> None:
        """Nothing is forwarded any more; connections stay open."""
        self._flowing.clear()

    def resume(self) -> None:
        self._flowing.set()

    def refuse(self, refuse: bool = True) -> None:
        """Cuts all connections, and closes new ones at once."""
        self._refusing = refuse
        if refuse:
            self.cut()

    def cut(self) -> None:
        """Ends the connections there are."""
        self._server.cut_connections()

    def _forward(self, client: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        if self._refusing:
            return
        count = _Count()
        from_client, from_broker = self._watch()
        with socket.create_connection(("127.0.0.1", self._target_port)) as end:
            back = threading.Thread(
                target=self._pump,
                args=(end, client, count, from_broker),
                daemon=True,
            )
            back.start()
            self._pump(client, end, count, from_client)
            back.join()

    def _pump(
        self,
        source: socket.socket,
        sink: socket.socket,
        count: _Count,
        watcher: _Watcher,
    ) -> None:
        """Forwards one direction until either end goes."""
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                watcher(data)
                time.sleep(self.delay)
                self._flowing.wait()
                if self.limit is not None:
                    data = data[: count.take(len(data), self.limit)]
                sink.sendall(data)
                if count.reached:
                    break
        shut(source)
        shut(sink)


class _Count:
    """The bytes that a connection has carried."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self.reached = False

    def take(self, size: int, limit: int) -> int:
        """How many of `size` more bytes the limit allows."""
        with self._lock:
            allowed = max(0, min(size, limit - self._bytes))
            self._bytes += allowed
            self.reached = self._bytes >= limit
            return allowed
