"""TLS: a second host of the same sessions, on a thread of Python's with ssl.MemoryBIO between socket and session.

    socket -> incoming BIO -> SSLObject.read -> session.feed
    session.take -> SSLObject.write -> outgoing BIO -> socket

It holds the GIL while it works, and so is not the fast way; the limits, refusals and log lines are the plain server's.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libkv.server.bytesession import ByteSession
from libkv.server.configure import limits

if TYPE_CHECKING:
    from libkv.server.server import NativeServer
    from libkv.store import StoreCore

_READ = 65536
_VERBOSE, _WARNING = 1, 3
_VERSIONS = {
    "tlsv1": ssl.TLSVersion.TLSv1,
    "tlsv1.1": ssl.TLSVersion.TLSv1_1,
    "tlsv1.2": ssl.TLSVersion.TLSv1_2,
    "tlsv1.3": ssl.TLSVersion.TLSv1_3,
}
_FULL = b"-ERR max number of clients reached\r\n"
_PROTECTED = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set.\r\n"


def tls_context(config: Mapping[str, str]) -> ssl.SSLContext:
    """The context that the tls-* directives describe.

    config: directives by name.  ValueError or OSError (ssl.SSLError too): which directive, and what is wrong with it.
    """
    if not config.get("tls-cert-file") or not config.get("tls-key-file"):
        raise ValueError("TLS needs tls-cert-file and tls-key-file (PEM files)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(
            config["tls-cert-file"], config["tls-key-file"], config.get("tls-key-file-pass") or (lambda: "")
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tls-cert-file {config['tls-cert-file']}, tls-key-file {config['tls-key-file']}: {error}"
        ) from None
    who = config.get("tls-auth-clients", "yes")
    context.verify_mode = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL}.get(who, ssl.CERT_REQUIRED)
    ca_file, ca_dir = config.get("tls-ca-cert-file") or None, config.get("tls-ca-cert-dir") or None
    if ca_file or ca_dir:
        try:
            context.load_verify_locations(ca_file, ca_dir)
        except OSError as error:
            raise ValueError(f"tls-ca-cert-file {ca_file}, tls-ca-cert-dir {ca_dir}: {error}") from None
    elif who != "no":
        raise ValueError("tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir to check certificates against")
    names = config.get("tls-protocols", "").split()
    if names:
        unknown = [name for name in names if name.lower() not in _VERSIONS]
        if unknown:
            raise ValueError(f"tls-protocols: {unknown[0]} is none of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3")
        versions = sorted(_VERSIONS[name.lower()] for name in names)
        context.minimum_version, context.maximum_version = versions[0], versions[-1]
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.get("tls-ciphers"):
        context.set_ciphers(config["tls-ciphers"])
    if config.get("tls-prefer-server-ciphers") == "yes":
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if config.get("tls-dh-params-file"):
        context.load_dh_params(config["tls-dh-params-file"])
    return context


@dataclass(eq=False)
class _Client:
    sock: socket.socket
    session: ByteSession
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject
    shaken: bool = False
    plain: bytearray = field(default_factory=bytearray)  # replies that are not encrypted yet
    cipher: bytearray = field(default_factory=bytearray)  # bytes that the socket has not taken yet
    ending: bool = False
    soft_since: float = 0.0
    began: float = field(default_factory=time.monotonic)


class TlsServer:
    """Listens for TLS and serves a store; used by libkv.server.Server."""

    def __init__(
        self, store: StoreCore, native: NativeServer, bind: str, port: int, backlog: int, context: ssl.SSLContext
    ) -> None:
        self._store = store
        self._native = native
        self._context = context
        self._kick = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.epoll()
        self._poll.register(self._kick, select.EPOLLIN)
        self._clients: dict[int, _Client] = {}
        self._listeners: dict[int, socket.socket] = {}
        self._stopping = False
        self.port = port
        for word in bind.split():
            self._listen(word, backlog)
        self._thread = threading.Thread(target=self._run, name="kv-tls", daemon=True)

    def _listen(self, word: str, backlog: int) -> None:
        host = word.removeprefix("-")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(({"*": "", "::*": ""}.get(host, host), self.port))
            s.listen(backlog)
        except OSError as error:
            s.close()
            if word.startswith("-"):
                return
            self._close_all()
            raise OSError(f"{host}:{self.port}: bind: {error.strerror}") from None
        self.port = s.getsockname()[1]
        s.setblocking(False)
        self._listeners[s.fileno()] = s
        self._poll.register(s, select.EPOLLIN)

    # ---- life

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends all connections and the thread."""
        self._stopping = True
        if self._thread.is_alive():
            os.eventfd_write(self._kick, 1)
            if self._thread is not threading.current_thread():
                self._thread.join()
        self._close_all()

    def forget(self) -> None:
        """In a forked child: gives up the copies of the descriptors."""
        for client in self._clients.values():
            client.sock.close()
        self._clients.clear()
        self._close_all()

    def _close_all(self) -> None:
        if self._kick < 0:
            return
        for client in list(self._clients.values()):
            self._close(client)
        for s in self._listeners.values():
            s.close()
        self._listeners.clear()
        self._poll.close()
        os.close(self._kick)
        self._kick = -1

    def _run(self) -> None:
        swept = time.monotonic()
        while not self._stopping and not self._native.ended:
            for fd, _ in self._poll.poll(0.25):
                if fd == self._kick:
                    os.eventfd_read(self._kick)
                    self._kicked()
                elif fd in self._listeners:
                    self._accept(self._listeners[fd])
                elif fd in self._clients:
                    self._serve(self._clients[fd])
            if time.monotonic() - swept >= 1:
                swept = time.monotonic()
                self._sweep()
        for client in list(self._clients.values()):
            self._close(client)

    # ---- connections

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, peer = listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        settings = limits(self._store)
        addr = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        own = sock.getsockname()
        laddr = f"[{own[0]}]:{own[1]}" if ":" in own[0] else f"{own[0]}:{own[1]}"
        self._native.log(_VERBOSE, f"Accepted {addr}")
        refusal = None
        if self._native.clients + len(self._clients) >= settings["maxclients"]:
            refusal = _FULL
        elif settings["protected"] and not (peer[0].startswith("127.") or peer[0] == "::1"):
            refusal = _PROTECTED
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings["tcp_keepalive"]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings["tcp_keepalive"])
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = _Client(
            sock,
            ByteSession(self._store, addr, laddr, sock.fileno(), self._kick),
            incoming,
            outgoing,
            self._context.wrap_bio(incoming, outgoing, server_side=True),
        )
        if refusal is not None:
            # as plain bytes can't be sent, the reason comes after the handshake
            client.plain += refusal
            client.ending = True
        self._clients[sock.fileno()] = client
        self._poll.register(sock, select.EPOLLIN)

    def _close(self, client: _Client) -> None:
        fd = client.sock.fileno()
        self._clients.pop(fd, None)
        client.session.close()
        self._poll.unregister(fd)
        client.sock.close()

    def _serve(self, client: _Client) -> None:
        """Takes what the socket has, runs it, and sends what it has room for."""
        try:
            data = client.sock.recv(_READ)
            if data:
                client.incoming.write(data)
            else:
                client.incoming.write_eof()
                client.ending = True
                if not client.shaken:
                    client.plain.clear()
        except BlockingIOError:
            pass
        except OSError as error:
            self._native.log(_VERBOSE, f"Reading from client: {error.strerror}")
            self._close(client)
            return
        try:
            if not client.shaken:
                client.tls.do_handshake()
                client.shaken = True
            while not client.ending:
                self._feed(client, client.tls.read(_READ))
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            client.ending = True
        except ssl.SSLError as error:
            self._native.log(_VERBOSE, f"Error accepting a client connection: {error.reason or error}")
            client.ending = True
            client.plain.clear()
        self._send(client)

    def _feed(self, client: _Client, data: bytes) -> None:
        if not data:
            client.ending = True
        elif not client.session.feed(data):
            client.ending = True
            why = client.session.protocol_error
            if why:
                self._native.log(_VERBOSE, f"Protocol error ({why}) from client: {client.session.line()}")
        elif client.session.unread > limits(self._store)["query"]:
            client.ending = True
            self._native.log(_WARNING, f"Closing client that reached max query buffer length: {client.session.line()}")

    def _send(self, client: _Client) -> None:
        """Encrypts the replies and writes what the socket takes; the connection may be gone afterwards."""
        client.plain += client.session.take(len(client.plain) + len(client.cipher))
        if client.session.killed:
            self._close(client)
            return
        self._check_output(client)
        try:
            if client.shaken and client.plain:
                del client.plain[: client.tls.write(client.plain)]
            client.cipher += client.outgoing.read()
            while client.cipher:
                del client.cipher[: client.sock.send(client.cipher)]
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            self._close(client)
            return
        # what is left to say before a handshake is over (a refusal) waits for it
        if not client.cipher and not client.plain and (client.ending or client.session.ending):
            self._close(client)
            return
        events = (0 if client.ending and client.shaken else select.EPOLLIN) | (select.EPOLLOUT if client.cipher else 0)
        self._poll.modify(client.sock, events)

    def _check_output(self, client: _Client) -> None:
        hard, soft, seconds = client.session.output_limits
        pending = len(client.plain) + len(client.cipher)
        now = time.monotonic()
        if soft and pending >= soft:
            client.soft_since = client.soft_since or now
        else:
            client.soft_since = 0.0
        if (hard and pending >= hard) or (client.soft_since and now - client.soft_since > seconds):
            self._native.log(
                _WARNING,
                f"Client {client.session.line()} scheduled to be closed ASAP for overcoming of output buffer limits.",
            )
            client.ending = True
            client.plain.clear()
            client.cipher.clear()

    def _kicked(self) -> None:
        """Another thread has ended a session, or given it something to send."""
        for client in list(self._clients.values()):
            if not client.ending and not client.session.resume():
                client.ending = True
            self._send(client)

    def _sweep(self) -> None:
        """Once a second: silence, soft limits, handshakes that never end."""
        timeout = limits(self._store)["timeout"]
        for client in list(self._clients.values()):
            if timeout and client.session.idle > timeout and not client.session.waits:
                self._native.log(_VERBOSE, "Closing idle client")
                self._close(client)
            elif not client.shaken and time.monotonic() - client.began > 10:
                self._close(client)
            elif client.soft_since:
                self._send(client)
