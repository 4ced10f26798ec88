"""A store on the network: RESP over TCP, unix sockets and TLS, on a thread that never takes the GIL.

with libkv.Store() as store, Server(store, port=0) as server:
    redis.Redis(port=server.port).set("key", "value")
    store.get("key")
"""

from __future__ import annotations

import atexit
import os
import select
import ssl
import threading
from collections.abc import Sequence
from types import TracebackType

from libkv.errors import KvError
from libkv.server.configure import read_config
from libkv.server.log import LogPump
from libkv.server.server import NativeServer
from libkv.server.tls import TlsServer, tls_context
from libkv.store import StoreCore

__all__ = ["ListenError", "Server"]


class ListenError(KvError, OSError):
    """An address can't be listened at; the text says which, why, and what to do.

    where: the address and the system's reason only.
    """

    def __init__(self, where: str) -> None:
        super().__init__(_explain(where))
        self.where = where


class Server:
    """Serves a store to clients of Redis.

    store: kept alive while the server runs.  host: an address or name, or several, as redis.conf's bind takes them
    ("*", "::*", a leading "-": may be missing).  port: TCP port; 0: a free one (see `port`); None: no TCP.
    unixsocket: a path to listen at as well; unixsocketperm: its mode, 0: what the umask leaves.
    backlog: connections that may wait to be accepted.
    spin: microseconds for which the loop polls before it sleeps, while requests come quickly: lower latency for CPU
    time; 0: never; None: the store's libkv-spin.  On a machine with one processor it never does.
    tls, tls_port: an ssl.SSLContext and the port for clients that speak TLS
    (served by a thread of Python's).

    start() raises ListenError.  maxclients, timeout, tcp-keepalive, protected-mode, client-output-buffer-limit,
    requirepass and so on are the store's configuration (CONFIG SET).
    """

    def __init__(
        self,
        store: StoreCore,
        host: str | Sequence[str] = "127.0.0.1",
        port: int | None = 6379,
        *,
        unixsocket: str | os.PathLike[str] | None = None,
        unixsocketperm: int = 0,
        backlog: int = 511,
        spin: int | None = 0,
        tls_port: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not isinstance(store, StoreCore):
            raise TypeError(f"a Server serves a libkv.Store, not {store!r}")
        if port is not None and not (hasattr(port, "__index__") and 0 <= port <= 65535):
            raise ValueError(f"port is {port!r}, and must be from 0 to 65535, or None for no TCP")
        if (tls_port is None) != (tls is None):
            raise ValueError("tls and tls_port go together")
        self.store = store
        self._bind = host if isinstance(host, str) else " ".join(host)
        self._port = port
        self._unixsocket = None if unixsocket is None else os.path.abspath(os.fspath(unixsocket))
        self._unixsocketperm = unixsocketperm
        self._backlog = backlog
        self._spin = -1 if spin is None else spin
        if (os.cpu_count() or 1) == 1:
            self._spin = 0
        self._tls_port = tls_port
        self._tls_context = tls
        self._tls: TlsServer | None = None
        self._native: NativeServer | None = None
        self._pump: LogPump | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_config(cls, store: StoreCore) -> Server:
        """A server as the store's configuration describes it: bind, port, unixsocket, tcp-backlog, libkv-spin, tls-*.

        ValueError: TLS is asked for, and its files are not usable.
        """
        config = read_config(store)
        tls_port = int(config["tls-port"]) or None
        return cls(
            store,
            config["bind"],
            int(config["port"]) or None,
            unixsocket=config["unixsocket"] or None,
            unixsocketperm=int(config["unixsocketperm"], 8),
            backlog=int(config["tcp-backlog"]),
            spin=None,
            tls_port=tls_port,
            tls=tls_context(config) if tls_port else None,
        )

    # ---- life

    def start(self) -> Server:
        """Listens and serves; returns itself.  A server that has been stopped may be started again."""
        if self.running:
            raise RuntimeError("the server is running already")
        self.stop()
        native = NativeServer(self.store, spin=self._spin)
        try:
            if self._port is not None:
                native.listen(self._bind, self._port, self._backlog)
            if self._unixsocket is not None:
                native.listen_unix(self._unixsocket, self._unixsocketperm, self._backlog)
            if self._tls_port is not None and self._tls_context is not None:
                self._tls = TlsServer(self.store, native, self._bind, self._tls_port, self._backlog, self._tls_context)
        except OSError as error:
            raise ListenError(str(error)) from None
        self._native = native
        if not self.store.servers:
            self._tell_config(native)
        self._pump = LogPump(native, self._ended)
        self.store.servers.add(self)
        _running.add(self)
        native.start()
        self._pump.start()
        if self._tls is not None:
            self._tls.start()
        return self

    def _tell_config(self, native: NativeServer) -> None:
        """CONFIG GET shows where the store's first server listens, and CONFIG SET moves it."""
        native.tell_config("port", str(native.port))
        if self._port is not None:
            native.tell_config("bind", self._bind)
        native.tell_config("unixsocket", self._unixsocket or "")
        native.tell_config("tls-port", str(self.tls_port))
        native.follow_config()

    def end(self) -> None:
        """Asks the server to stop and returns at once: wait() and stop() wait for it.  For signal handlers."""
        if self._native is not None:
            self._native.end()

    def stop(self) -> None:
        """Ends all connections and gives the addresses back.  Twice does no harm."""
        with self._lock:
            if self._native is not None:
                self._native.stop()
            if self._tls is not None:
                self._tls.stop()
                self._tls = None
        pump = self._pump
        if pump is not None and pump is not threading.current_thread() and pump.is_alive():
            pump.join()
        self._leave()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the server has ended (SHUTDOWN, stop()), at most timeout seconds: whether it has.

        Ctrl-C interrupts it."""
        native = self._native
        if native is None or native.ended:
            return True
        ready = select.select([native.end_fd], [], [], timeout)[0]
        if ready:
            self.stop()
        return bool(ready)

    def _ended(self) -> None:
        """The loop has ended by itself or by stop(); in the log's thread."""
        self._leave()

    def _leave(self) -> None:
        self.store.servers.discard(self)
        _running.discard(self)

    def _forget(self) -> None:
        """In a forked child: the server is the parent's."""
        if self._native is not None:
            self._native.forget()
        if self._tls is not None:
            self._tls.forget()
        self._native = self._tls = self._pump = None

    # ---- what it is

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._native is not None and not self._native.ended

    @property
    def port(self) -> int:
        """The TCP port; 0 without TCP."""
        return self._native.port if self._native is not None else self._port or 0

    @property
    def tls_port(self) -> int:
        """The TLS port; 0 without TLS."""
        return self._tls.port if self._tls is not None else self._tls_port or 0

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where a client of this machine reaches it: (host, port), or the unix socket's path."""
        if self._port is None:
            return self._unixsocket
        host = self._bind.split()[0].removeprefix("-") if self._bind.split() else "127.0.0.1"
        return ({"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::*": "::1", "::": "::1"}.get(host, host), self.port)

    @property
    def clients(self) -> int:
        """Connections being served (without those of TLS)."""
        return self._native.clients if self.running and self._native is not None else 0

    def __repr__(self) -> str:
        return f"<libkv.server.Server {self.address} {'running' if self.running else 'stopped'}>"

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _explain(text: str) -> str:
    """An address, the reason, and what to do about it."""
    advice = {
        "Address already in use": "another process listens there: stop it, or choose another port (0: any free one)",
        "Permission denied": "ports below 1024 and foreign directories need privileges: choose another",
        "Cannot assign requested address": "no interface of this machine has the address",
        "No such file or directory": "the directory of the socket must exist",
    }
    hint = next((what for reason, what in advice.items() if text.endswith(reason)), None)
    return f"can't listen at {text}" + (f" ({hint})" if hint else "")


# servers that run (strong: the loop's thread uses what they hold)
_running: set[Server] = set()


def _stop_all() -> None:
    for server in list(_running):
        server.stop()


def _forget_all() -> None:
    for server in list(_running):
        server._forget()
    _running.clear()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)
