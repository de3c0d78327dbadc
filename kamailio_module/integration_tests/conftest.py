# SPDX-License-Identifier: GPL-3.0-or-later
"""What all integration tests have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tools.harness.environment import Environment

_ENVIRONMENT = pytest.StashKey[Environment]()


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Iterator[Environment]:
    """A place for the brokers, Kamailios and clients of one test."""
    with Environment() as place:
        request.node.stash[_ENVIRONMENT] = place
        yield place


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Adds the ends of the logs to the report of a failure."""
    outcome: Any = yield
    report = outcome.get_result()
    place = item.stash.get(_ENVIRONMENT, None)
    if report.when == "call" and report.failed and place is not None:
        for name, text in place.log_tails().items():
            report.sections.append((name, text))
