# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of memory and descriptors, all along, and a line of progress now and
then."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tools.harness.kamailio import Kamailio
from tools.harness.process import resident_memory

_SAMPLE_INTERVAL = 5.0  # Seconds.


@dataclass(frozen=True)
class Usage:
    """What one process has in use; memory in bytes."""

    resident: int
    private: int
    descriptors: int


@dataclass(frozen=True)
class Sample:
    at: float  # time.monotonic()
    dispatcher: Usage
    worker: Usage
    shared: int  # Bytes.


class Sampler:
    def __init__(self, kamailio: Kamailio) -> None:
        self._kamailio = kamailio
        self._dispatcher = kamailio.dispatcher_pid()
        self._worker = next(
            pid
            for pid, name in kamailio.processes().items()
            if "udp receiver" in name
        )

    def sample(self) -> Sample:
        return Sample(
            time.monotonic(),
            self._usage(self._dispatcher),
            self._usage(self._worker),
            self._kamailio.shared_memory_used(),
        )

    def _usage(self, pid: int) -> Usage:
        return Usage(
            resident_memory(pid),
            self._kamailio.private_memory_used(pid),
            len(self._kamailio.descriptors(pid)),
        )


class Monitor:
    """Takes samples until it is closed, and calls `report` with each of
    them."""

    def __init__(
        self, sampler: Sampler, report: Callable[[Sample], None]
    ) -> None:
        self.samples: list[Sample] = []
        self._sampler = sampler
        self._report = report
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        # A Kamailio that has ended is for the run to notice.
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            while not self._over.wait(_SAMPLE_INTERVAL):
                self.samples.append(self._sampler.sample())
                self._report(self.samples[-1])
