"""Lua scripts and functions, run inside the store.  Redis docs: https://redis.io/docs/latest/commands/?group=scripting"""

# mypy: no-warn-return-any

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from libkv.api.arguments import Handle, Key, Text, Value
from libkv.errors import DataError, NoScriptError

ScriptText = bytes | str | memoryview


class Script:
    """Made by `register_script`: call it, and the script runs by its SHA-1; it is loaded where it is not known.

    script: its text.  sha: the SHA-1 in hexadecimal.  registered_client: the handle it runs on by itself.
    """

    def __init__(self, registered_client: Any, script: ScriptText) -> None:
        self.registered_client = registered_client
        self.script = script
        text = registered_client.get_encoder().encode(script) if isinstance(script, str) else bytes(script)
        self.sha = hashlib.sha1(text, usedforsecurity=False).hexdigest()

    def __call__(
        self, keys: Sequence[Key] | None = None, args: Iterable[Value] | None = None, client: Any = None
    ) -> Any:
        """Runs it with KEYS and ARGV, on another handle or pipeline if one is given; returns what it returns."""
        from libkv.api.pipeline import Pipeline

        client = self.registered_client if client is None else client
        words = (*(keys or ()), *(args or ()))
        if isinstance(client, Pipeline):
            client.scripts.add(self)  # loaded before the pipeline runs
        try:
            return client.evalsha(self.sha, len(keys or ()), *words)
        except NoScriptError:
            self.sha = client.script_load(self.script)
            return client.evalsha(self.sha, len(keys or ()), *words)

    def get_encoder(self) -> Any:
        """How texts become bytes."""
        return self.registered_client.get_encoder()


class AsyncScript(Script):
    """`Script` for asyncio: a call is awaited."""

    async def __call__(
        self, keys: Sequence[Key] | None = None, args: Iterable[Value] | None = None, client: Any = None
    ) -> Any:
        """As `Script.__call__`."""
        from libkv.api.pipeline import Pipeline

        client = self.registered_client if client is None else client
        words = (*(keys or ()), *(args or ()))
        if isinstance(client, Pipeline):
            client.scripts.add(self)
            return client.evalsha(self.sha, len(keys or ()), *words)
        try:
            return await client.evalsha(self.sha, len(keys or ()), *words)
        except NoScriptError:
            self.sha = await client.script_load(self.script)
            return await client.evalsha(self.sha, len(keys or ()), *words)


class ScriptingCommands(Handle):
    """Scripts come as their text, or by their SHA-1 once they are loaded; functions have names and stay."""

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Runs a script with `numkeys` keys and then arguments; returns its value.  Redis: EVAL."""
        return self.execute_command("EVAL", script, numkeys, *keys_and_args)

    def eval_ro(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        """`eval` of a script that must not write.  Redis: EVAL_RO."""
        return self.execute_command("EVAL_RO", script, numkeys, *keys_and_args)

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Runs a loaded script by its SHA-1; NoScriptError if it is not known.  Redis: EVALSHA."""
        return self.execute_command("EVALSHA", sha, numkeys, *keys_and_args)

    def evalsha_ro(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """`evalsha` of a script that must not write.  Redis: EVALSHA_RO."""
        return self.execute_command("EVALSHA_RO", sha, numkeys, *keys_and_args)

    def register_script(self, script: ScriptText) -> Script:
        """Something to call that runs this script, by its SHA-1 where it can; see `Script`."""
        return Script(self, script)

    def script_exists(self, *args: str) -> list[bool]:
        """Of each SHA-1 whether its script is loaded.  Redis: SCRIPT EXISTS."""
        return self.execute_command("SCRIPT EXISTS", *args)

    def script_debug(self, *args: Any) -> None:
        """Refused by redis-py, and by the store: scripts can't be debugged."""
        raise NotImplementedError("SCRIPT DEBUG is intentionally not implemented in the client.")

    def script_flush(self, sync_type: str | None = None) -> bool:
        """Forgets all scripts.  sync_type: SYNC or ASYNC, which come to the same.  Redis: SCRIPT FLUSH."""
        if sync_type not in ("SYNC", "ASYNC", None):
            raise DataError(
                "SCRIPT FLUSH defaults to SYNC in redis > 6.2, or accepts SYNC/ASYNC. For older versions, "
                "of redis leave as None."
            )
        return self.execute_command("SCRIPT FLUSH", *([] if sync_type is None else [sync_type]))

    def script_kill(self) -> bool:
        """Ends the script that is running, if it has written nothing.  Redis: SCRIPT KILL."""
        return self.execute_command("SCRIPT KILL")

    def script_load(self, script: ScriptText) -> str:
        """Compiles a script and keeps it; returns its SHA-1.  Redis: SCRIPT LOAD."""
        return self.execute_command("SCRIPT LOAD", script)

    # ---- functions

    def fcall(self, function: Any, numkeys: int, *keys_and_args: Any) -> Any:
        """Calls a function with `numkeys` keys and then arguments; returns its value.  Redis: FCALL."""
        return self.execute_command("FCALL", function, numkeys, *keys_and_args)

    def fcall_ro(self, function: Any, numkeys: int, *keys_and_args: Any) -> Any:
        """`fcall` of a function with the flag no-writes.  Redis: FCALL_RO."""
        return self.execute_command("FCALL_RO", function, numkeys, *keys_and_args)

    def function_load(self, code: str, replace: bool | None = False) -> Text:
        """Makes a library of its source, which begins with "#!lua name=..."; returns its name.  Redis: FUNCTION LOAD.

        replace: takes the place of the library of that name.
        """
        return self.execute_command("FUNCTION LOAD", *(["REPLACE"] if replace else []), code)

    def function_delete(self, library: str) -> bool:
        """Deletes a library and its functions; ResponseError if there is none.  Redis: FUNCTION DELETE."""
        return self.execute_command("FUNCTION DELETE", library)

    def function_flush(self, mode: str = "SYNC") -> bool:
        """Deletes all libraries.  mode: SYNC or ASYNC, which come to the same.  Redis: FUNCTION FLUSH."""
        return self.execute_command("FUNCTION FLUSH", mode)

    def function_list(self, library: str | None = "*", withcode: bool | None = False) -> list[Any]:
        """The libraries whose names match a pattern: names and values alternating.  Redis: FUNCTION LIST.

        withcode: with their sources.
        """
        return self.execute_command("FUNCTION LIST", "LIBRARYNAME", library, *(["WITHCODE"] if withcode else []))

    def function_dump(self) -> bytes:
        """All libraries in one payload for `function_restore`.  Redis: FUNCTION DUMP."""
        return self.execute_command("FUNCTION DUMP", NEVER_DECODE=True)

    def function_restore(self, payload: bytes, policy: str | None = "APPEND") -> bool:
        """Brings the libraries of a payload back, all or none.  Redis: FUNCTION RESTORE.

        policy: APPEND (none of them may be there), REPLACE (those that are there give way) or FLUSH (all give way).
        """
        return self.execute_command("FUNCTION RESTORE", payload, policy)

    def function_kill(self) -> Text:
        """Ends the function that is running, if it has written nothing.  Redis: FUNCTION KILL."""
        return self.execute_command("FUNCTION KILL")

    def function_stats(self) -> Any:
        """What function is running, and how many libraries and functions there are.  Redis: FUNCTION STATS."""
        return self.execute_command("FUNCTION STATS")
