# SPDX-License-Identifier: GPL-3.0-or-later
"""Kamailio's RPC commands by JSON-RPC, over HTTP and over a FIFO."""

from __future__ import annotations

import http.client
import json
import os
import select
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.harness.waiting import DEADLINE

# What a Kamailio, with TCP, needs to serve it over HTTP.
HTTP_MODULES = ("xhttp", "jsonrpcs")
HTTP_ROUTES = """
modparam("jsonrpcs", "transport", 1)
event_route[xhttp:request] {
    jsonrpc_dispatch();
}
"""


@dataclass(frozen=True)
class RpcFault(Exception):
    """What a command answers instead of a result."""

    code: int
    text: str


def _request(method: str, params: tuple[Any, ...], **more: str) -> bytes:
    return json.dumps(
        {
            "jsonrpc": "2.0",
            "method": method,
            "params": params,
            "id": 1,
            **more,
        },
        ensure_ascii=False,
    ).encode(errors="surrogateescape")


def _result(answer: bytes) -> Any:
    decoded = json.loads(answer)
    if "error" in decoded:
        error = decoded["error"]
        raise RpcFault(error["code"], error["message"])
    return decoded["result"]


class HttpRpc:
    """Calls commands over HTTP; a connection for each. Thread-safe."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    def call(self, method: str, *params: Any) -> Any:
        """The result; raises RpcFault. A string may have bytes that are not
        UTF-8, as surrogates."""
        connection = http.client.HTTPConnection(
            *self._address, timeout=DEADLINE
        )
        try:
            connection.request("POST", "/", _request(method, params))
            return _result(connection.getresponse().read())
        finally:
            connection.close()


class FifoRpc:
    """Calls commands by the FIFO of jsonrpcs, which finds the FIFO for the
    reply in the same directory."""

    _REPLY_NAME = "reply"

    def __init__(self, fifo: Path) -> None:
        self._fifo = fifo

    def configuration(self) -> str:
        return f"""
            modparam("jsonrpcs", "transport", 2)
            modparam("jsonrpcs", "fifo_name", "{self._fifo}")
            modparam("jsonrpcs", "fifo_reply_dir", "{self._fifo.parent}/")
            """

    def call(self, method: str, *params: Any) -> Any:
        """The result; raises RpcFault."""
        request = _request(method, params, reply_name=self._REPLY_NAME)
        reply = self._fifo.with_name(self._REPLY_NAME)
        os.mkfifo(reply)
        try:
            return _result(self._exchange(request, reply))
        finally:
            reply.unlink()

    def _exchange(self, request: bytes, reply: Path) -> bytes:
        # jsonrpcs does not wait for a reader.
        with open(os.open(reply, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
            self._fifo.write_bytes(request)
            ready, _, _ = select.select([reader], [], [], DEADLINE)
            assert ready, f"no reply to {request!r}"
            os.set_blocking(reader.fileno(), True)
            return reader.read()
