"""The server behind the store.  Redis docs: https://redis.io/docs/latest/commands/?group=server

Some methods exist in redis-py only to say that they don't; they do so here too.
"""

# mypy: no-warn-return-any

from __future__ import annotations

from typing import Any

from libkv.api.arguments import Arguments, Handle, Key, Pattern, Text, TextList, Value, flags, option
from libkv.errors import ConnectionError, DataError, RedisError


class ServerCommands(Handle):
    """Its configuration, its figures, its command table, and all the data at once."""

    def command(self, **kwargs: Any) -> dict[str, dict[str, Any]]:
        """The command table, by name.  Redis: COMMAND."""
        return self.execute_command("COMMAND", **kwargs)

    def command_count(self, **kwargs: Any) -> int:
        """How many commands there are.  Redis: COMMAND COUNT."""
        return self.execute_command("COMMAND COUNT", **kwargs)

    def command_docs(self, *args: Any) -> None:
        """Refused by redis-py; `execute_command("COMMAND DOCS")` gives the reply."""
        raise NotImplementedError("COMMAND DOCS is intentionally not implemented in the client.")

    def command_getkeys(self, *args: Any) -> list[str]:
        """The keys in a command, given as separate words.  Redis: COMMAND GETKEYS."""
        return self.execute_command("COMMAND GETKEYS", *args)

    def command_getkeysandflags(self, *args: Any) -> list[Any]:
        """The keys in a command, each with what is done to it.  Redis: COMMAND GETKEYSANDFLAGS."""
        return self.execute_command("COMMAND GETKEYSANDFLAGS", *args)

    def command_info(self, **kwargs: Any) -> None:
        """Refused by redis-py; `execute_command("COMMAND INFO", ...)` gives the reply."""
        raise NotImplementedError("COMMAND INFO is intentionally not implemented in the client.")

    def command_list(
        self, module: str | None = None, category: str | None = None, pattern: str | None = None
    ) -> TextList:
        """The names of the commands: of a module, of an ACL category, or matching a pattern.  Redis: COMMAND LIST."""
        words = option("MODULE", module) + option("ACLCAT", category) + option("PATTERN", pattern)
        return self.execute_command("COMMAND LIST", *(["FILTERBY", *words] if words else []))

    def config_get(self, pattern: Pattern = "*", *args: Pattern, **kwargs: Any) -> dict[str, str]:
        """The settings whose names match one of the patterns.  Redis: CONFIG GET."""
        return self.execute_command("CONFIG GET", pattern, *args, **kwargs)

    def config_resetstat(self, **kwargs: Any) -> bool:
        """Puts the counters of INFO back to 0.  Redis: CONFIG RESETSTAT."""
        return self.execute_command("CONFIG RESETSTAT", **kwargs)

    def config_rewrite(self, **kwargs: Any) -> Text:
        """Writes the settings into the file they came from.  Redis: CONFIG REWRITE."""
        return self.execute_command("CONFIG REWRITE", **kwargs)

    def config_set(self, name: Key, value: Value, *args: Value, **kwargs: Any) -> bool:
        """Changes a setting, or several (name, value, name, value, ...), or none if one is bad.  Redis: CONFIG SET."""
        return self.execute_command("CONFIG SET", name, value, *args, **kwargs)

    def dbsize(self, **kwargs: Any) -> int:
        """How many keys there are.  Redis: DBSIZE."""
        return self.execute_command("DBSIZE", **kwargs)

    def debug_object(self, key: Key, **kwargs: Any) -> dict[str, Any]:
        """The insides of a value; the setting `enable-debug-command` must allow it.  Redis: DEBUG OBJECT."""
        return self.execute_command("DEBUG OBJECT", key, **kwargs)

    def debug_segfault(self, **kwargs: Any) -> None:
        """Refused by redis-py, with this text."""
        text = "DEBUG SEGFAULT is intentionally not implemented in the client."
        raise NotImplementedError(_with_link(text, "debug-segfault"))

    def flushall(self, asynchronous: bool = False, **kwargs: Any) -> bool:
        """Deletes the keys of all databases; with `asynchronous` their memory is freed little by little afterwards.

        Redis: FLUSHALL.
        """
        return self.execute_command("FLUSHALL", *(["ASYNC"] if asynchronous else []), **kwargs)

    def flushdb(self, asynchronous: bool = False, **kwargs: Any) -> bool:
        """As `flushall`, for this database.  Redis: FLUSHDB."""
        return self.execute_command("FLUSHDB", *(["ASYNC"] if asynchronous else []), **kwargs)

    def hello(self) -> None:
        """Refused by redis-py; `execute_command("HELLO")` gives the reply."""
        raise NotImplementedError("HELLO is intentionally not implemented in the client.")

    def info(self, section: str | None = None, *args: str, **kwargs: Any) -> dict[str, Any]:
        """The figures of the server, of all default sections or of those named.  Redis: INFO."""
        return self.execute_command("INFO", *([] if section is None else [section, *args]), **kwargs)

    def lolwut(self, *version_numbers: Value, **kwargs: Any) -> Text:
        """A drawing, and the version.  Redis: LOLWUT."""
        if version_numbers:
            return self.execute_command("LOLWUT VERSION", *version_numbers, **kwargs)
        return self.execute_command("LOLWUT", **kwargs)

    def memory_doctor(self, **kwargs: Any) -> None:
        """Refused by redis-py; `execute_command("MEMORY DOCTOR")` gives the reply."""
        raise NotImplementedError(
            _with_link("MEMORY DOCTOR is intentionally not implemented in the client.", "memory-doctor")
        )

    def memory_help(self, **kwargs: Any) -> None:
        """Refused by redis-py; `execute_command("MEMORY HELP")` gives the reply."""
        raise NotImplementedError(
            _with_link("MEMORY HELP is intentionally not implemented in the client.", "memory-help")
        )

    def memory_malloc_stats(self, **kwargs: Any) -> Text:
        """Figures of the store's heap, as text.  Redis: MEMORY MALLOC-STATS."""
        return self.execute_command("MEMORY MALLOC-STATS", **kwargs)

    def memory_purge(self, **kwargs: Any) -> bool:
        """Gives unused pages back to the system.  Redis: MEMORY PURGE."""
        return self.execute_command("MEMORY PURGE", **kwargs)

    def memory_stats(self, **kwargs: Any) -> dict[str, Any]:
        """What the memory is used for, in bytes.  Redis: MEMORY STATS."""
        return self.execute_command("MEMORY STATS", **kwargs)

    def memory_usage(self, key: Key, samples: int | None = None, **kwargs: Any) -> int | None:
        """Bytes that a key and its value take, or None.

        samples: elements of a collection that are measured; 0: all.  Redis: MEMORY USAGE.
        """
        words = option("SAMPLES", samples) if isinstance(samples, int) else []
        return self.execute_command("MEMORY USAGE", key, *words, **kwargs)

    def module_list(self) -> list[dict[Any, Any]]:
        """No modules.  Redis: MODULE LIST."""
        return self.execute_command("MODULE LIST")

    def module_load(self, path: str, *args: Any) -> bool:
        """Raises an error: modules are compiled for redis-server.  Redis: MODULE LOAD."""
        return self.execute_command("MODULE LOAD", path, *args)

    def module_loadex(self, path: str, options: list[str] | None = None, args: list[str] | None = None) -> Text:
        """As `module_load`.  Redis: MODULE LOADEX."""
        words = [] if options is None else ["CONFIG", *options]
        words += [] if args is None else ["ARGS", *args]
        return self.execute_command("MODULE LOADEX", path, *words)

    def module_unload(self, name: str) -> bool:
        """Raises an error: there is none to unload.  Redis: MODULE UNLOAD."""
        return self.execute_command("MODULE UNLOAD", name)

    def shutdown(
        self,
        save: bool = False,
        nosave: bool = False,
        now: bool = False,
        force: bool = False,
        abort: bool = False,
        **kwargs: Any,
    ) -> None:
        """Ends the server of this store, as far as it has one; the application goes on.  Redis: SHUTDOWN."""
        if save and nosave:
            raise DataError("SHUTDOWN save and nosave cannot both be set")
        words: Arguments = flags(save=save, nosave=nosave, now=now, force=force, abort=abort)
        try:
            self.execute_command("SHUTDOWN", *words, **kwargs)
        except ConnectionError:
            return
        raise RedisError("SHUTDOWN seems to have failed.")

    def slowlog_get(self, num: int | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """The slowest calls, the newest first, up to `num` (10 if not given; -1: all).  Redis: SLOWLOG GET."""
        return self.execute_command("SLOWLOG GET", *([] if num is None else [num]), NEVER_DECODE=True, **kwargs)

    def slowlog_len(self, **kwargs: Any) -> int:
        """How many calls the slow log holds.  Redis: SLOWLOG LEN."""
        return self.execute_command("SLOWLOG LEN", **kwargs)

    def slowlog_reset(self, **kwargs: Any) -> bool:
        """Empties the slow log.  Redis: SLOWLOG RESET."""
        return self.execute_command("SLOWLOG RESET", **kwargs)

    def swapdb(self, first: int, second: int, **kwargs: Any) -> bool:
        """Exchanges the contents of two databases.  Redis: SWAPDB."""
        return self.execute_command("SWAPDB", first, second, **kwargs)

    def time(self, **kwargs: Any) -> tuple[int, int]:
        """The server's clock: seconds since 1970, and microseconds.  Redis: TIME."""
        return self.execute_command("TIME", **kwargs)

    def wait(self, num_replicas: int, timeout: int, **kwargs: Any) -> int:
        """Waits until so many replicas have all that was written before, at most `timeout` milliseconds (0: for ever).

        Returns how many have it.  Redis: WAIT.
        """
        return self.execute_command("WAIT", num_replicas, timeout, **kwargs)


def _with_link(text: str, page: str) -> str:
    """A refusal as redis-py words it: with its link, and indented."""
    margin = " " * 12
    return f"\n{margin}{text}\n\n{margin}For more information, see https://redis.io/commands/{page}\n{margin}"
