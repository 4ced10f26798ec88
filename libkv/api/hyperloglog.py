"""Counting distinct things in 12 KB.  Redis docs: https://redis.io/docs/latest/commands/?group=hyperloglog"""

# mypy: no-warn-return-any

from __future__ import annotations

from libkv.api.arguments import Handle, Key, Value


class HyperLogLogCommands(Handle):
    """Estimates of how many different values were added, within 0.81 %."""

    def pfadd(self, name: Key, *values: Value) -> int:
        """Adds values; returns 1 if the estimate (or the key) changed.  Redis: PFADD."""
        return self.execute_command("PFADD", name, *values)

    def pfcount(self, *sources: Key) -> int:
        """The estimated number of different values added to any of these.  Redis: PFCOUNT."""
        return self.execute_command("PFCOUNT", *sources)

    def pfmerge(self, dest: Key, *sources: Key) -> bool:
        """Makes `dest` count what any of the sources (and itself) has seen.  Redis: PFMERGE."""
        return self.execute_command("PFMERGE", dest, *sources)
