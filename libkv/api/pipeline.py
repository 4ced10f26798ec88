"""Pipelines: commands collected first and run together, as one transaction or simply in a row.

Theory of operation, which is redis-py's.  A pipeline is in one of three states:

    buffering  ---- watch() ---->  watching  ---- multi() ---->  buffering again, in an explicit transaction
        ^                             |                                   |
        +-------- unwatch() ----------+                                   |
        +---------------------------- execute(), reset() -----------------+

While it buffers, every command is queued and returns the pipeline, so that calls can be chained.  While it watches,
commands run at once, so that the values a decision depends on can be read; if a watched key changes before
`execute`, nothing is executed and WatchError raised.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

from libkv.api.replies import Shape, shape_reply, text
from libkv.api.scripting import Script
from libkv.encode import Encoder
from libkv.errors import ConnectionError, ExecAbortError, RedisError, ResponseError, WatchError

if TYPE_CHECKING:
    from libkv.api.signatures import QueuedCommands as Commands
    from libkv.session import Session
    from libkv.store import StoreCore
else:
    from libkv.api.commands import Commands

Results = Callable[[list["Queued"], list[Any], bool], list[Any]]
Queued = tuple[tuple[Any, ...], dict[str, Any]]  # the words of a command, and the options of its reply


class Pipeline(Commands):
    """Made by `Store.pipeline`.  Its commands return the pipeline itself; `execute` returns the list of results.

    Not to be shared between threads.  As a context manager it forgets at the end what was not executed.
    """

    UNWATCH_COMMANDS: ClassVar[set[str]] = {"DISCARD", "EXEC", "UNWATCH"}

    def __init__(
        self,
        store: StoreCore,
        database: int,
        encoder: Encoder,
        response_callbacks: dict[str, Shape],
        transaction: bool,
        shard_hint: str | None,
    ) -> None:
        self._store = store
        self._database = database
        self._session: Session | None = None  # made when needed, kept until reset
        self.encoder = encoder
        self.response_callbacks = response_callbacks
        self.transaction = transaction
        self.shard_hint = shard_hint
        self.watching = False
        self.explicit_transaction = False
        self.command_stack: list[Queued] = []
        self.scripts: set[Script] = set()  # registered ones that were queued: they are loaded before all runs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.reset()

    def __len__(self) -> int:
        return len(self.command_stack)

    def __bool__(self) -> bool:
        return True

    def get_encoder(self) -> Encoder:
        """How this pipeline encodes and decodes."""
        return self.encoder

    def reset(self) -> None:  # redis-py's pipelines hide the command RESET too
        """Forgets what is queued and what is watched."""
        self.command_stack = []
        self.scripts = set()
        self.watching = False
        self.explicit_transaction = False
        if self._session is not None:
            self._session.close()  # which unwatches
            self._session = None

    def close(self) -> None:
        """The same as `reset`."""
        self.reset()

    def multi(self) -> None:
        """After `watch`: starts queueing; what follows is executed as one transaction."""
        if self.explicit_transaction:
            raise RedisError("Cannot issue nested calls to MULTI")
        if self.command_stack:
            raise RedisError("Commands without an initial WATCH have already been issued")
        self.explicit_transaction = True

    def watch(self, *names: Any) -> bool:
        """Has `execute` fail with WatchError if one of these keys changes before; commands now run at once."""
        self._check_watch()
        return bool(self.execute_command("WATCH", *names))

    def _check_watch(self) -> None:
        if self.explicit_transaction:
            raise RedisError("Cannot issue a WATCH after a MULTI")

    def unwatch(self) -> bool:
        """Watches nothing any more, and goes back to queueing."""
        return bool(self.watching and self.execute_command("UNWATCH")) or True

    def discard(self) -> None:
        """Sends DISCARD: it is queued, or fails, as any command; `reset` is what forgets a transaction."""
        self.execute_command("DISCARD")

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Queues any command, given as words, and returns the pipeline; runs it at once while watching."""
        if (self.watching or args[0] == "WATCH") and not self.explicit_transaction:
            return self.immediate_execute_command(*args, **options)
        return self.pipeline_execute_command(*args, **options)

    def pipeline_execute_command(self, *args: Any, **options: Any) -> Pipeline:
        """Queues a command, whatever the state."""
        self.command_stack.append((args, options))
        return self

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Runs a command at once, whatever the state."""
        reply = self._store.execute(self.encoder.encode_command(args), self._own_session())
        return self._shape(args[0], reply, options)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Runs what is queued and returns one result for each command.

        raise_on_error: raises the first error; else errors stand in the list where results would.  A transaction
        with an error runs to its end all the same.  WatchError if a watched key has changed.
        """
        stack = self.command_stack
        if not stack and not self.watching:
            return []
        try:
            for script in self.scripts:
                self._store.execute((b"SCRIPT", b"LOAD", self.encoder.encode(script.script)), self._own_session())
            words, results_of = self._plan(stack)
            replies = self._store.execute_many(words, self._own_session())
            return results_of(stack, self._checked(replies), raise_on_error)
        finally:
            self.reset()

    def _plan(self, stack: list[Queued]) -> tuple[list[tuple[bytes, ...]], Results]:
        """The commands to be run for this stack, and what makes the results of their replies."""
        if self.transaction or self.explicit_transaction:
            sent = [args for args, options in stack if "EMPTY_RESPONSE" not in options]
            return [self.encoder.encode_command(args) for args in [("MULTI",), *sent, ("EXEC",)]], self._of_transaction
        return [self.encoder.encode_command(args) for args, _ in stack], self._of_a_row

    def _own_session(self) -> Session:
        if self._session is None:
            self._session = self._store.new_session(self._database, protocol=3)
        return self._session

    def _shape(self, name: Any, reply: Any, options: dict[str, Any]) -> Any:
        value = shape_reply(self.response_callbacks, self.encoder, name, reply, options)
        if name in self.UNWATCH_COMMANDS:
            self.watching = False
        elif name == "WATCH":
            self.watching = True
        return value

    @staticmethod
    def _checked(replies: list[Any]) -> list[Any]:
        for reply in replies:
            if isinstance(reply, ConnectionError):  # loading, no permission: it concerns all of them
                raise reply
        return replies

    def _of_a_row(self, stack: list[Queued], replies: list[Any], raise_on_error: bool) -> list[Any]:
        results: list[Any] = []
        for (args, options), reply in zip(stack, replies, strict=True):
            try:
                results.append(self._shape(args[0], reply, options))
            except ResponseError as error:
                results.append(error)
        if raise_on_error:
            self._raise_first_error(stack, results)
        return results

    def _of_transaction(self, stack: list[Queued], replies: list[Any], raise_on_error: bool) -> list[Any]:
        begun, *queued, results = replies
        errors: list[tuple[int, Any]] = [(0, begun)] if isinstance(begun, RedisError) else []
        answers = iter(queued)
        for number, (args, options) in enumerate(stack):
            if "EMPTY_RESPONSE" in options:
                errors.append((number, options["EMPTY_RESPONSE"]))  # never sent: its result is known
                continue
            answer = next(answers)
            if isinstance(answer, RedisError):
                _annotate(answer, number + 1, args)
                errors.append((number, answer))
        if isinstance(results, RedisError):
            refused = [error for _, error in errors if isinstance(error, RedisError)]
            raise refused[0] if refused and isinstance(results, ExecAbortError) else results
        self.watching = False
        if results is None:
            raise WatchError("Watched variable changed.")
        for number, error in errors:
            results.insert(number, error)
        if len(results) != len(stack):
            raise ResponseError("Wrong number of response items from pipeline execution")
        if raise_on_error:
            self._raise_first_error(stack, results)
        return [
            result if isinstance(result, RedisError) else self._shape(args[0], result, options)
            for result, (args, options) in zip(results, stack, strict=True)
        ]

    def _raise_first_error(self, stack: list[Queued], results: list[Any]) -> None:
        for number, (result, (args, _)) in enumerate(zip(results, stack, strict=True), start=1):
            if isinstance(result, ResponseError):
                _annotate(result, number, args)
                raise result


def _annotate(error: RedisError, number: int, args: tuple[Any, ...]) -> None:
    """Tells in the error's text which command of the pipeline it belongs to."""
    command = textwrap.shorten(" ".join(str(text(word)) for word in args), width=100, placeholder="...")
    message = f"Command # {number} ({command}) of pipeline caused error: {error.args[0]}"
    error.args = (message, *error.args[1:])
