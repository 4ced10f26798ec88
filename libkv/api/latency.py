"""How long things take.  Redis docs: https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/

Some methods exist in redis-py only to say that they don't; they do so here too.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from typing import Any

from libkv.api.arguments import Handle, Text
from libkv.api.server import _with_link


class LatencyCommands(Handle):
    """The latency monitor: the setting `latency-monitor-threshold` (milliseconds) starts it."""

    def latency_doctor(self) -> None:
        """Refused by redis-py; `execute_command("LATENCY DOCTOR")` gives the reply."""
        raise NotImplementedError(
            _with_link("LATENCY DOCTOR is intentionally not implemented in the client.", "latency-doctor")
        )

    def latency_graph(self) -> None:
        """Refused by redis-py; `execute_command("LATENCY GRAPH", event)` gives the reply."""
        raise NotImplementedError(
            _with_link("LATENCY GRAPH is intentionally not implemented in the client.", "latency-graph")
        )

    def latency_histogram(self, *args: Any) -> None:
        """Refused by redis-py; `execute_command("LATENCY HISTOGRAM", ...)` gives the reply."""
        raise NotImplementedError("LATENCY HISTOGRAM is intentionally not implemented in the client.")

    def latency_history(self, event: str) -> list[list[int]]:
        """The spikes of an event, the oldest first: [seconds since 1970, milliseconds].  Redis: LATENCY HISTORY."""
        return self.execute_command("LATENCY HISTORY", event)

    def latency_latest(self) -> list[list[Text | int]]:
        """Of each event: its name, when its last spike was, how long that was, and its longest (ms).

        Redis: LATENCY LATEST.
        """
        return self.execute_command("LATENCY LATEST")

    def latency_reset(self, *events: str) -> int:
        """Forgets the spikes of these events, or of all; returns of how many events.  Redis: LATENCY RESET."""
        return self.execute_command("LATENCY RESET", *events)
