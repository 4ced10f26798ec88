"""Replicas and clusters, of which a store knows that it has none.

Redis docs: https://redis.io/docs/latest/commands/role/, https://redis.io/docs/latest/commands/?group=cluster
"""

# mypy: no-warn-return-any

from __future__ import annotations

from typing import Any

from libkv.api.arguments import Handle, Text


class ReplicationCommands(Handle):
    """What a server without replicas, without a master and without a cluster answers."""

    def role(self) -> list[Any]:
        """[b"master", 0, []].  Redis: ROLE."""
        return self.execute_command("ROLE")

    def replicaof(self, *args: Any, **kwargs: Any) -> Text:
        """``replicaof("NO", "ONE")`` is so already; another host raises ResponseError.  Redis: REPLICAOF."""
        return self.execute_command("REPLICAOF", *args, **kwargs)

    def slaveof(self, host: str | None = None, port: int | None = None, **kwargs: Any) -> bool:
        """As `replicaof`; without arguments NO ONE.  Redis: SLAVEOF."""
        words: tuple[Any, Any] = ("NO", "ONE") if host is None and port is None else (host, port)
        return self.execute_command("SLAVEOF", *words, **kwargs)

    def failover(self) -> None:
        """Refused by redis-py; `execute_command("FAILOVER")` gives the reply."""
        raise NotImplementedError("FAILOVER is intentionally not implemented in the client.")

    def cluster(self, cluster_arg: str, *args: Any, **kwargs: Any) -> Any:
        """Raises ResponseError: cluster support is disabled.  Redis: CLUSTER."""
        return self.execute_command(f"CLUSTER {cluster_arg.upper()}", *args, **kwargs)

    def readonly(self, **kwargs: Any) -> bool:
        """Raises ResponseError: cluster support is disabled.  Redis: READONLY."""
        return self.execute_command("READONLY", **kwargs)

    def readwrite(self, **kwargs: Any) -> bool:
        """Raises ResponseError: cluster support is disabled.  Redis: READWRITE."""
        return self.execute_command("READWRITE", **kwargs)
