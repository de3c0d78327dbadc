# SPDX-License-Identifier: GPL-3.0-or-later
"""Topics that a step expects."""

from __future__ import annotations

from dataclasses import dataclass

from tools.scenario_run import values
from tools.scenario_run.errors import ValueRefused
from tools.scenario_run.schema import key


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter matches a topic name (MQTT 3.1.1, section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    if wanted[-1] == "#":
        wanted.pop()
        # '#' stands for the level above it, too.
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        one in ("+", level) for one, level in zip(wanted, levels)
    )


@dataclass(frozen=True, kw_only=True)
class ExpectedTopic:
    """One of these keys, or none for any topic."""

    topic: str | None = key(values.topic_name, None)
    topic_filter: str | None = key(values.topic_filter, None)

    def check(self, path: str) -> None:
        if self.topic is not None and self.topic_filter is not None:
            raise ValueRefused(
                path, None, "either topic or topic_filter, not both"
            )

    def fits_topic(self, topic: str) -> bool:
        if self.topic is not None:
            return topic == self.topic
        return self.topic_filter is None or matches(self.topic_filter, topic)

    def topic_text(self) -> list[str]:
        """The expectation in words; empty where there is none."""
        if self.topic is not None:
            return [f"topic {self.topic}"]
        if self.topic_filter is not None:
            return [f"topic like {self.topic_filter}"]
        return []
