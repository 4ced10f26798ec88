"""TLS: the same sessions through ssl, with and without clients' certificates."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import libkv
from libkv.server import ListenError, Server
from libkv.server.tls import tls_context
from tests.resp import command
from tests.servers import Process, Start, free_port, read_until_closed


def make_certificate(
    home: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """NAME.crt and NAME.key in home, signed by the issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (home / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (home / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ca, server, client (signed by ca) and stranger (signed by nobody)."""
    home = tmp_path_factory.mktemp("certificates")
    ca = make_certificate(home, "ca")
    make_certificate(home, "server", ca)
    make_certificate(home, "client", ca)
    make_certificate(home, "stranger")
    return home


def config(home: Path, **more: str) -> dict[str, str]:
    directives = {
        "tls-cert-file": str(home / "server.crt"),
        "tls-key-file": str(home / "server.key"),
        "tls-ca-cert-file": str(home / "ca.crt"),
    }
    return {**directives, **{name.replace("_", "-"): value for name, value in more.items()}}


def connect(port: int, home: Path, certificate: str | None = "client") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(home / "ca.crt"))
    if certificate:
        context.load_cert_chain(home / f"{certificate}.crt", home / f"{certificate}.key")
    raw = socket.create_connection(("127.0.0.1", port))
    raw.settimeout(10)
    return context.wrap_socket(raw, server_hostname="localhost")


def test_the_same_store_by_tls_and_without(certificates: Path) -> None:
    with libkv.Store() as store:
        server = Server(store, port=0, tls_port=0, tls=tls_context(config(certificates)))
        with server, connect(server.tls_port, certificates) as s:
            s.sendall(command("SET", "key", "by tls") + command("CLIENT", "LIST"))
            assert s.recv(5) == b"+OK\r\n"
            assert f"laddr=127.0.0.1:{server.tls_port}" in s.recv(1000).decode()
            assert store.get("key") == b"by tls"
            with socket.create_connection(("127.0.0.1", server.port)) as plain:
                plain.sendall(command("GET", "key"))
                assert plain.recv(100) == b"$6\r\nby tls\r\n"
            with pytest.raises(ListenError, match="Address already in use"):
                Server(store, port=None, tls_port=server.tls_port, tls=tls_context(config(certificates))).start()
        assert not server.running


def read_exactly(s: ssl.SSLSocket, wanted: bytes) -> bool:
    got = b""
    while len(got) < len(wanted):
        part = s.recv(len(wanted) - len(got))
        if not part:
            break
        got += part
    return got == wanted


def wait_blocked(store: libkv.Store) -> None:
    for _ in range(5000):
        if store.info("clients")["blocked_clients"]:
            return
        time.sleep(0.001)
    raise AssertionError("nobody waits")


def test_commands_that_wait(certificates: Path) -> None:
    """Served by writes over TLS, over the other transport, and of this process; what follows them is run then."""
    tls = tls_context(config(certificates))
    with libkv.Store() as store, Server(store, port=0, tls_port=0, tls=tls) as server:
        one, two = (connect(server.tls_port, certificates) for _ in range(2))
        with one, two, socket.create_connection(("127.0.0.1", server.port)) as plain:
            one.sendall(command("BLPOP", "k", 0) + command("PING"))
            two.sendall(command("PING"))
            assert read_exactly(two, b"+PONG\r\n")
            wait_blocked(store)
            two.sendall(command("RPUSH", "k", "a"))
            assert read_exactly(one, b"*2\r\n$1\r\nk\r\n$1\r\na\r\n+PONG\r\n") and read_exactly(two, b":1\r\n")
            one.sendall(command("BLPOP", "k", 0))
            wait_blocked(store)
            plain.sendall(command("RPUSH", "k", "b"))
            assert read_exactly(one, b"*2\r\n$1\r\nk\r\n$1\r\nb\r\n") and plain.recv(100) == b":1\r\n"
            one.sendall(command("BLPOP", "k", 0.01) + command("BLPOP", "k", 0))
            assert read_exactly(one, b"*-1\r\n")
            wait_blocked(store)
            assert store.rpush("k", "c") == 1
            assert read_exactly(one, b"*2\r\n$1\r\nk\r\n$1\r\nc\r\n")


def test_large_values_and_pipelines(certificates: Path) -> None:
    value = bytes(range(256)) * 20_000
    server = Server(libkv.Store(), port=None, tls_port=0, tls=tls_context(config(certificates)))
    with server, connect(server.tls_port, certificates) as s:
        request = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n%s\r\n" % (len(value), value) + b"GET a\r\n" * 5 + b"QUIT\r\n"
        sender = threading.Thread(target=s.sendall, args=(request,))
        sender.start()
        assert read_until_closed(s) == b"+OK\r\n" + b"$%d\r\n%s\r\n" % (len(value), value) * 5 + b"+OK\r\n"
        sender.join()


def ends(port: int, home: Path, certificate: str | None) -> bool:
    """Whether the server refuses this client."""
    try:
        with connect(port, home, certificate) as s:
            s.sendall(b"PING\r\n")
            return s.recv(100) != b"+PONG\r\n"
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize(
    ("who", "nobody", "stranger"), [("yes", True, True), ("optional", False, True), ("no", False, False)]
)
def test_certificates_of_clients(certificates: Path, who: str, nobody: bool, stranger: bool) -> None:
    context = tls_context(config(certificates, tls_auth_clients=who))
    with Server(libkv.Store(), port=None, tls_port=0, tls=context) as server:
        assert ends(server.tls_port, certificates, None) == nobody
        assert ends(server.tls_port, certificates, "stranger") == stranger
        assert not ends(server.tls_port, certificates, "client")


def test_who_does_not_speak_tls_is_sent_away(certificates: Path) -> None:
    with Server(libkv.Store(), port=None, tls_port=0, tls=tls_context(config(certificates))) as server:
        with socket.create_connection(("127.0.0.1", server.tls_port)) as s:
            s.settimeout(10)
            s.sendall(b"PING\r\n" * 10)
            assert b"PONG" not in read_until_closed(s)
        assert not ends(server.tls_port, certificates, "client")


def test_limits_hold(certificates: Path) -> None:
    store = libkv.Store(maxclients=2)
    with Server(store, port=None, tls_port=0, tls=tls_context(config(certificates))) as server:
        with connect(server.tls_port, certificates) as one, connect(server.tls_port, certificates) as two:
            for s in (one, two):
                s.sendall(b"PING\r\n")
                assert s.recv(100) == b"+PONG\r\n"
            with connect(server.tls_port, certificates) as three:
                assert read_until_closed(three) == b"-ERR max number of clients reached\r\n"
            one.sendall(b"CLIENT ID\r\n")
            number = int(one.recv(100)[1:])
            # killed by another thread
            assert store.execute((b"CLIENT", b"KILL", b"ID", b"%d" % number)) == 1
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                assert read_until_closed(one) != b""
        with connect(server.tls_port, certificates) as s:
            s.sendall(b"*1\r\n$-5\r\n")
            assert read_until_closed(s) == b"-ERR Protocol error: invalid bulk length\r\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tls-cert-file": ""}, "TLS needs tls-cert-file and tls-key-file"),
        ({"tls-key-file": "/nonexistent"}, "tls-key-file /nonexistent: .*No such file"),
        ({"tls-ca-cert-file": "/nonexistent"}, "tls-ca-cert-file /nonexistent"),
        ({"tls-ca-cert-file": ""}, "tls-auth-clients needs tls-ca-cert-file or tls-ca-cert-dir"),
        ({"tls-protocols": "TLSv9"}, "tls-protocols: TLSv9"),
    ],
)
def test_bad_settings_are_named(certificates: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tls_context({**config(certificates), **change})


def test_protocol_versions(certificates: Path) -> None:
    context = tls_context(config(certificates, tls_protocols="TLSv1.3"))
    with Server(libkv.Store(), port=None, tls_port=0, tls=context) as server:
        with connect(server.tls_port, certificates) as s:
            assert s.version() == "TLSv1.3"
        old = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", server.tls_port)) as raw, pytest.raises(ssl.SSLError):
            old.wrap_socket(raw, server_hostname="localhost")


def tls_options(home: Path, port: int) -> list[str]:
    options = [f"--{name} {value}".split(" ", 1) for name, value in config(home).items()]
    return [word for option in options for word in option] + ["--tls-port", str(port)]


def test_the_program_serves_tls(start: Start, certificates: Path) -> None:
    port = free_port()
    ours: Process = start(*tls_options(certificates, port), "--loglevel", "verbose")
    with connect(port, certificates) as s:
        s.sendall(b"PING\r\nCONFIG GET tls-port\r\nQUIT\r\n")
        assert read_until_closed(s) == b"+PONG\r\n*2\r\n$8\r\ntls-port\r\n$%d\r\n%d\r\n+OK\r\n" % (len(str(port)), port)
    ours.wait_log("Accepted 127.0.0.1")
    assert ours.ask(b"PING\r\nQUIT\r\n").startswith(b"+PONG")
    assert ours.stop() == 0
    bad = start("--tls-port", str(port), ready=False)
    assert bad.popen.wait(10) == 1
    assert re.search("Failed to configure TLS. TLS needs tls-cert-file", bad.log())
