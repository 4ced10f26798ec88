"""Sessions.  Redis docs: https://redis.io/docs/latest/commands/?group=connection

A `Store` has one session that all its callers share; what belongs to a session (its database, its name) is best set
on a `Client` (`store.client()`), which has its own.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libkv.api.arguments import Arguments, Handle, Key, Text, Value, flags, option
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

    def client_pause(self, timeout: int, all: bool = True, **kwargs: Any) -> bool:
        """Holds all clients up for `timeout` milliseconds, or with all=False those that write.

        Calls of this process too, this handle's included.  Redis: CLIENT PAUSE.
        """
        if not isinstance(timeout, int):
            raise DataError("CLIENT PAUSE timeout must be an integer")
        return self.execute_command("CLIENT PAUSE", str(timeout), *([] if all else ["WRITE"]), **kwargs)

    def client_setname(self, name: str, **kwargs: Any) -> bool:
        """Names this session.  Redis: CLIENT SETNAME."""
        return self.execute_command("CLIENT SETNAME", name, **kwargs)

    def client_unblock(self, client_id: int, error: bool = False, **kwargs: Any) -> bool:
        """Ends the wait of another session, as if its time were over, or with an UNBLOCKED error.

        Returns whether it waited.  Redis: CLIENT UNBLOCK.
        """
        return self.execute_command("CLIENT UNBLOCK", int(client_id), *(["ERROR"] if error else []), **kwargs)

    def client_unpause(self, **kwargs: Any) -> Text:
        """Ends CLIENT PAUSE.  Redis: CLIENT UNPAUSE."""
        return self.execute_command("CLIENT UNPAUSE", **kwargs)

    def client_no_evict(self, mode: str) -> Text:
        """Whether `maxmemory-clients` spares this session: ON or OFF.  Redis: CLIENT NO-EVICT."""
        return self.execute_command("CLIENT NO-EVICT", mode)

    def client_getredir(self, **kwargs: Any) -> int:
        """The session that gets this one's invalidations; 0: itself, -1: it does not track.  Redis: CLIENT GETREDIR."""
        return self.execute_command("CLIENT GETREDIR", **kwargs)

    def client_tracking(
        self,
        on: bool = True,
        clientid: int | None = None,
        prefix: Sequence[Key] = [],
        bcast: bool = False,
        optin: bool = False,
        optout: bool = False,
        noloop: bool = False,
        **kwargs: Any,
    ) -> Text:
        """Has this session told when keys change that it has read (or, with bcast, that begin with a prefix).

        clientid: another session gets the messages, that of a `pubsub()` (`session_id`); a session that only calls
        takes none.  optin, optout: only, or not, what follows CLIENT CACHING.  noloop: not its own changes.
        Redis: CLIENT TRACKING.
        """
        if len(prefix) != 0 and bcast is False:
            raise DataError("Prefix can only be used with bcast")
        words = option("REDIRECT", clientid) + [word for one in prefix for word in ("PREFIX", one)]
        words += flags(bcast=bcast, optin=optin, optout=optout, noloop=noloop)
        return self.execute_command("CLIENT TRACKING", "ON" if on else "OFF", *words, **kwargs)

    def client_tracking_off(
        self,
        clientid: int | None = None,
        prefix: Sequence[Key] = [],
        bcast: bool = False,
        optin: bool = False,
        optout: bool = False,
        noloop: bool = False,
    ) -> Text:
        """Ends `client_tracking`."""
        return self.client_tracking(False, clientid, prefix, bcast, optin, optout, noloop)

    def client_tracking_on(
        self,
        clientid: int | None = None,
        prefix: Sequence[Key] = [],
        bcast: bool = False,
        optin: bool = False,
        optout: bool = False,
        noloop: bool = False,
    ) -> Text:
        """The same as `client_tracking`."""
        return self.client_tracking(True, clientid, prefix, bcast, optin, optout, noloop)

    def client_trackinginfo(self, **kwargs: Any) -> list[Any]:
        """What `client_tracking` has set: names and values in turn.  Redis: CLIENT TRACKINGINFO."""
        return self.execute_command("CLIENT TRACKINGINFO", **kwargs)

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
