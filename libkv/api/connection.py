"""Sessions.  Redis docs: https://redis.io/docs/latest/commands/?group=connection

A `Store` has one session that all its callers share; what belongs to a session (its database, its name) is best set
on a `Client` (`store.client()`), which has its own.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from typing import Any

from libkv.api.arguments import Arguments, Handle, Text, Value, option
from libkv.errors import DataError


class ConnectionCommands(Handle):
    """The session itself, and the others."""

    def auth(self, password: str, username: str | None = None, **kwargs: Any) -> bool:
        """Logs the session in.  Redis: AUTH."""
        who = [] if username is None else [username]
        return self.execute_command("AUTH", *who, password, **kwargs)

    def client_getname(self, **kwargs: Any) -> str | None:
        """The name of this session, or None.  Redis: CLIENT GETNAME."""
        return self.execute_command("CLIENT GETNAME", **kwargs)

    def client_id(self, **kwargs: Any) -> int:
        """The number of this session.  Redis: CLIENT ID."""
        return self.execute_command("CLIENT ID", **kwargs)

    def client_info(self, **kwargs: Any) -> dict[str, str | int]:
        """What the server knows about this session.  Redis: CLIENT INFO."""
        return self.execute_command("CLIENT INFO", **kwargs)

    def client_kill(self, address: str, **kwargs: Any) -> bool | int:
        """Ends the session from this "address:port".  Redis: CLIENT KILL."""
        return self.execute_command("CLIENT KILL", address, **kwargs)

    def client_kill_filter(
        self,
        _id: Any = None,
        _type: str | None = None,
        addr: str | None = None,
        skipme: bool | None = None,
        laddr: Any = None,
        user: str | None = None,
        maxage: int | None = None,
        **kwargs: Any,
    ) -> int:
        """Ends the sessions that meet every condition given; returns how many.

        skipme: whether to leave out the caller's (yes, if not given).  maxage: seconds, a condition of servers newer
        than 7.0.  Redis: CLIENT KILL.
        """
        kinds = ("normal", "master", "slave", "replica", "pubsub")
        if _type is not None and str(_type).lower() not in kinds:
            raise DataError(f"CLIENT KILL type must be one of {kinds!r}")
        if skipme is not None and not isinstance(skipme, bool):
            raise DataError("CLIENT KILL skipme must be a bool")
        me = None if skipme is None else "YES" if skipme else "NO"
        words = option("TYPE", _type) + option("SKIPME", me) + option("ID", _id) + option("ADDR", addr)
        words += option("LADDR", laddr) + option("USER", user) + option("MAXAGE", maxage)
        if not words:
            raise DataError("CLIENT KILL <filter> <value> ... ... <filter> <value> must specify at least one filter")
        return self.execute_command("CLIENT KILL", *words, **kwargs)

    def client_list(
        self,
        _type: str | None = None,
        client_id: list[Any] = [],  # noqa: B006  (redis-py's signature; it is never changed)
        **kwargs: Any,
    ) -> list[dict[str, str]]:
        """All sessions, those of a type (normal, master, replica, pubsub), or with these ids.  Redis: CLIENT LIST."""
        kinds = ("normal", "master", "replica", "pubsub")
        if _type is not None and str(_type).lower() not in kinds:
            raise DataError(f"CLIENT LIST _type must be one of {kinds!r}")
        if not isinstance(client_id, list):
            raise DataError("client_id must be a list")
        words: Arguments = option("TYPE", _type) + (["ID", *client_id] if client_id else [])
        return self.execute_command("CLIENT LIST", *words, **kwargs)

    def client_setname(self, name: str, **kwargs: Any) -> bool:
        """Names this session.  Redis: CLIENT SETNAME."""
        return self.execute_command("CLIENT SETNAME", name, **kwargs)

    def echo(self, value: Value, **kwargs: Any) -> Text:
        """Gives `value` back.  Redis: ECHO."""
        return self.execute_command("ECHO", value, **kwargs)

    def ping(self, **kwargs: Any) -> bool:
        """True, if the store answers.  Redis: PING."""
        return self.execute_command("PING", **kwargs)

    def quit(self, **kwargs: Any) -> bool:
        """Ends this session.  Redis: QUIT."""
        return self.execute_command("QUIT", **kwargs)

    def reset(self) -> str:
        """Puts this session into the state of a new one.  Redis: RESET."""
        return self.execute_command("RESET")

    def select(self, index: int, **kwargs: Any) -> bool:
        """Changes the database of this session.  Redis: SELECT."""
        return self.execute_command("SELECT", index, **kwargs)
