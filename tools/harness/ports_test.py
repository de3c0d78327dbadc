# SPDX-License-Identifier: GPL-3.0-or-later
import socket
import subprocess
import sys

from tools.harness import ports


def test_ports_are_distinct_and_can_be_bound() -> None:
    given = [ports.free_port() for _ in range(20)]
    assert len(set(given)) == len(given)
    for port in given:
        with socket.create_server(("127.0.0.1", port)):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            datagram.bind(("127.0.0.1", port))


def test_another_process_does_not_get_a_reserved_port() -> None:
    port = ports.free_port()
    program = (
        "import random\n"
        "from tools.harness import ports\n"
        f"numbers = iter([{port}, {ports.free_port()}, 0])\n"
        "random.randrange = lambda *_: next(numbers)\n"
        "print(ports.free_port())\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
        check=True,
    ).stdout
    # Both are reserved here, so the third number, any port, is what is left.
    assert output == b"0\n"
