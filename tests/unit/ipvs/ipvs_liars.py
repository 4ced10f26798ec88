"""Servers for the checks: honest ones and liars, on loopback, each in a thread of its own."""

import contextlib
import datetime
import ipaddress
import select
import socket
import ssl
import struct
import threading

PAGE = b"<h1>fine</h1>"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n" + PAGE


def read_head(peer):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = peer.recv(4096)
        if not piece:
            return data
        data += piece
    return data


def honest(peer, stop):
    read_head(peer)
    peer.sendall(ANSWER)


def wrong_page(peer, stop):
    read_head(peer)
    peer.sendall(ANSWER.replace(b"fine", b"evil"))


def unavailable(peer, stop):
    read_head(peer)
    peer.sendall(b"HTTP/1.0 503 No\r\n\r\n")


def silent(peer, stop):
    read_head(peer)
    stop.wait(10)


def slow_drip(peer, stop):
    read_head(peer)
    for byte in ANSWER * 20:
        if stop.wait(0.02):
            return
        peer.sendall(bytes([byte]))


def endless(peer, stop):
    read_head(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    while not stop.is_set():
        peer.sendall(b"x" * 65536)


def reset(peer, stop):
    read_head(peer)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def half_answer(peer, stop):
    read_head(peer)
    peer.sendall(ANSWER[:30])


def gibberish(peer, stop):
    peer.sendall(b"\xff\x00 what is this?\r\n\r\n")
    stop.wait(0.2)


def mail(peer, stop):
    peer.sendall(b"220 mail\r\n")
    for answer in (b"250 hello\r\n", b"221 bye\r\n"):
        if not peer.recv(1000):
            return
        peer.sendall(answer)


class Server:
    """Accepts on 127.0.0.1 and lets `behaviour(peer, stop)` talk to each client; `port` says where."""

    def __init__(self, behaviour, context=None):
        self.behaviour = behaviour
        self.context = context
        self.stop = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.talks = []
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while not self.stop.is_set():
            if select.select([self.socket], [], [], 0.05)[0]:
                peer, _ = self.socket.accept()
                talk = threading.Thread(target=self.talk, args=(peer,))
                talk.start()
                self.talks = [old for old in self.talks if old.is_alive()] + [talk]

    def talk(self, peer):
        with contextlib.suppress(OSError, ssl.SSLError), peer:
            peer.settimeout(5)
            if self.context is not None:
                peer = self.context.wrap_socket(peer, server_side=True)
            with peer:
                self.behaviour(peer, self.stop)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join()
        for talk in self.talks:
            talk.join()
        self.socket.close()


class Datagrams:
    """A UDP server: `answer(data)` or None for silence."""

    def __init__(self, answer):
        self.answer = answer
        self.stop = threading.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stop.is_set():
            if select.select([self.socket], [], [], 0.05)[0]:
                data, peer = self.socket.recvfrom(65536)
                answer = self.answer(data)
                if answer is not None:
                    self.socket.sendto(answer, peer)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop.set()
        self.thread.join()
        self.socket.close()


def certificates(directory):
    """A test CA, and a server certificate for 127.0.0.1 and "web.test": (ca path, server context)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def certificate(name, key, issuer, issuer_key, authority):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = [x509.DNSName("web.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca, pair = directory / "ca.pem", directory / "server.pem"
    ca.write_bytes(certificate("test CA", ca_key, "test CA", ca_key, True))
    pair.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate("web.test", key, "test CA", ca_key, False)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    return ca, context
