# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP server on a free port that runs a function for every connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


def shut(connection: socket.socket) -> None:
    """Ends a connection both ways, which wakes who waits for it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class TcpServer:
    """Each connection has a thread that runs `handler`; when it returns, the
    connection is closed. At close() all connections are cut."""

    def __init__(
        self,
        handler: Callable[[socket.socket], None],
        *,
        port: int = 0,
    ) -> None:
        self._handler = handler
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut_connections(self) -> None:
        """Cuts those there are; new ones are accepted as before."""
        with self._lock:
            for connection in self._connections:
                shut(connection)

    def close(self) -> None:
        with self._lock:
            self._closing = True
        shut(self._listener)
        self.cut_connections()
        # The first thread may still add one: it is joined before that one.
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # Closing.
            with self._lock:
                if self._closing:
                    connection.close()
                    return
                self._connections.add(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            # A peer that goes away in the middle is part of the game.
            with contextlib.suppress(OSError):
                self._handler(connection)
        finally:
            with self._lock:
                self._connections.discard(connection)
            shut(connection)
            connection.close()
