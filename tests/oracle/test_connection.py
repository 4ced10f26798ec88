"""The connection group side by side with redis-server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.resp import parse


@pytest.mark.parametrize(
    "words",
    [
        ("PING",),
        ("PING", "hello"),
        ("PING", "a", "b"),
        ("ECHO", "x" * 3000),
        ("ECHO",),
        ("ECHO", "a", "b"),
        ("SELECT", "5"),
        ("SELECT", "16"),
        ("SELECT", "-1"),
        ("SELECT", "abc"),
        ("SELECT", "3000000000"),
        ("SELECT", "99999999999999999999"),
        ("SELECT",),
        ("AUTH", "x"),
        ("AUTH", "a", "b"),
        ("AUTH", "default", "anything"),
        ("AUTH", "a", "b", "c"),
        ("HELLO", "4"),
        ("HELLO", "1"),
        ("HELLO", "abc"),
        ("HELLO", "2", "AUTH", "x", "y"),
        ("HELLO", "3", "SETNAME"),
        ("HELLO", "3", "SETNAME", "a b"),
        ("HELLO", "3", "AUTH", "default"),
        ("HELLO", "3", "FOO"),
        ("CLIENT",),
        ("CLIENT", "FOO"),
        ("CLIENT", "KILL"),
        ("CLIENT", "KILL", "foo"),
        ("CLIENT", "KILL", "1.2.3.4:5"),
        ("CLIENT", "KILL", "ID", "999999"),
        ("CLIENT", "KILL", "ID", "abc"),
        ("CLIENT", "KILL", "ID", "0"),
        ("CLIENT", "KILL", "ID", "-4"),
        ("CLIENT", "KILL", "TYPE", "foo"),
        ("CLIENT", "KILL", "TYPE", "master"),
        ("CLIENT", "KILL", "TYPE", "replica", "SKIPME", "no"),
        ("CLIENT", "KILL", "TYPE", "pubsub"),
        ("CLIENT", "KILL", "USER", "foo"),
        ("CLIENT", "KILL", "SKIPME", "maybe"),
        ("CLIENT", "KILL", "LADDR", "x", "ADDR"),
        ("CLIENT", "KILL", "MAXAGE", "5"),
        ("CLIENT", "KILL", "ADDR", "1.2.3.4:5", "ID", "77777"),
        ("CLIENT", "LIST", "ID"),
        ("CLIENT", "LIST", "ID", "x"),
        ("CLIENT", "LIST", "FOO"),
        ("CLIENT", "LIST", "TYPE"),
        ("CLIENT", "LIST", "TYPE", "foo"),
        ("CLIENT", "LIST", "TYPE", "master"),
        ("CLIENT", "LIST", "TYPE", "PubSub"),
        ("CLIENT", "LIST", "ID", "999999"),
        ("CLIENT", "LIST", "ID", "1", "TYPE", "normal"),
        ("CLIENT", "SETNAME", "a b"),
        ("CLIENT", "SETNAME", "new\nline"),
        ("CLIENT", "SETNAME"),
        ("CLIENT", "GETNAME"),
        ("CLIENT", "GETNAME", "x"),
        ("CLIENT", "ID", "x"),
        ("CLIENT", "INFO", "x"),
        ("CLIENT", "REPLY"),
        ("CLIENT", "REPLY", "foo"),
        ("CLIENT", "REPLY", "ON"),
        ("RESET", "x"),
    ],
    ids=lambda words: "-".join(words)[:40],
)
def test_same_replies(pair: Any, words: tuple[str, ...]) -> None:
    pair.same(*words)
    pair.resp3()
    pair.same(*words)
    pair.resp2()


def test_names(pair: Any) -> None:
    pair.same("CLIENT", "SETNAME", "worker-1")
    pair.same("CLIENT", "GETNAME")
    pair.same("HELLO", "2", "SETNAME", "bad name")
    pair.same("CLIENT", "GETNAME")
    pair.both("HELLO", "2", "SETNAME", "worker-2")
    pair.same("CLIENT", "GETNAME")
    pair.same("CLIENT", "SETNAME", "")
    pair.same("CLIENT", "GETNAME")


def test_hello_reply(pair: Any) -> None:
    for version in ((), ("2",), ("3",), ()):
        theirs, ours = (re.sub(rb"id\r\n:\d+", b"id\r\n:", reply) for reply in pair.both("HELLO", *version))
        assert ours == theirs
    pair.resp2()


def test_reset_forgets_everything(pair: Any) -> None:
    pair.same("SELECT", "3")
    pair.same("CLIENT", "SETNAME", "x")
    pair.same("WATCH", "k")
    pair.same("MULTI")
    pair.same("SET", "k", "v")
    pair.same("RESET")
    pair.same("EXEC")
    pair.same("CLIENT", "GETNAME")
    assert pair.same("SET", "where", "db0") == b"+OK\r\n"
    pair.resp3()
    pair.same("RESET")
    pair.same("GET", "nothing")
    pair.same("SELECT", "0")
    pair.same("GET", "where")


@pytest.fixture
def password(pair: Any) -> Iterator[Any]:
    pair.same("CONFIG", "SET", "requirepass", "a secret")
    yield pair
    pair.both("AUTH", "a secret")
    pair.same("CONFIG", "SET", "requirepass", "")


def test_password(password: Any) -> None:
    pair = password
    pair.same("GET", "a")  # a session that was here before goes on
    pair.same("RESET")
    pair.same("GET", "a")
    pair.same("PING")
    pair.same("NOSUCH")
    pair.same("HELLO")
    pair.same("HELLO", "3")
    pair.same("HELLO", "3", "SETNAME", "x")
    for wrong in ("", "a", "a secre", "a secret ", "A secret", "a secreta secret"):
        pair.same("AUTH", wrong)
        pair.same("AUTH", "default", wrong)
    pair.same("AUTH", "somebody", "a secret")
    pair.same("GET", "a")
    pair.same("AUTH", "a secret")
    pair.same("GET", "a")
    pair.same("RESET")
    pair.same("AUTH", "default", "a secret")
    pair.same("GET", "a")
    pair.same("RESET")
    theirs, ours = pair.both("HELLO", "2", "AUTH", "default", "a secret", "SETNAME", "me")
    assert ours.startswith(b"*14\r\n") and theirs.startswith(b"*14\r\n")
    pair.same("CLIENT", "GETNAME")


def fields(reply: bytes) -> list[str]:
    """The names of a line of CLIENT LIST, in order."""
    text = parse(reply)[0].decode()
    assert text.endswith("\n")
    return [word.partition("=")[0] for word in text.splitlines()[0].split(" ")]


def test_client_list_has_the_same_fields(pair: Any) -> None:
    for words in (("CLIENT", "LIST"), ("CLIENT", "INFO")):
        theirs, ours = pair.both(*words)
        assert fields(ours) == fields(theirs)
        facts = dict(word.partition("=")[::2] for word in parse(ours)[0].decode().split())
        real = dict(word.partition("=")[::2] for word in parse(theirs)[0].decode().split())
        for name in (
            "db",
            "sub",
            "psub",
            "ssub",
            "multi",
            "cmd",
            "user",
            "redir",
            "resp",
            "name",
            "events",
            "argv-mem",
        ):
            assert facts[name] == real[name], name


def test_client_list_in_a_transaction(pair: Any) -> None:
    pair.same("SELECT", "2")
    pair.same("WATCH", "k")
    pair.same("MULTI")
    pair.same("CLIENT", "INFO")
    pair.same("PING")
    theirs, ours = pair.both("EXEC")
    for name in ("db", "multi", "flags", "cmd"):
        values = [re.search(rf" {name}=(\S+)".encode(), reply)[1] for reply in (theirs, ours)]  # type: ignore[index]
        if name == "flags":
            values = [v.replace(b"U", b"") for v in values]
        assert values[0] == values[1], name
