"""The table of directives, and what a store makes of it through CONFIG."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libkv
from libkv.engine.directives import DIRECTIVES, FILE_WORDS, Directive, directive
from libkv.server.configure import put_directive, read_config
from tests.resp import command, parse

WORDS = [
    b"normal",
    b"slave",
    b"0",
    b"1",
    b"-1",
    b"60",
    b"1gb",
    b"50",
    b"yes",
    b"no",
    b"one",
    b"KEA",
    b"a",
    b"99.9",
    b"now",
]
ROOT = Path(__file__).resolve().parents[3]


class Client:
    """One session of a store, replies parsed."""

    def __init__(self, **config: Any) -> None:
        self.store = libkv.Store(**config)
        self.session = self.store.new_session()

    def call(self, *args: Any) -> Any:
        return parse(self.session.feed(command(*args)))[0]

    def get(self, name: str) -> str:
        reply = self.call("CONFIG", "GET", name)
        assert reply[0] == name.encode()
        return reply[1].decode()

    def refused(self, *args: Any) -> str:
        """The error of a CONFIG SET."""
        kind, text = self.call("CONFIG", "SET", *args)
        assert kind == "-"
        return text.decode()


@pytest.fixture
def client() -> Iterator[Client]:
    one = Client()
    yield one
    one.store.close()


def test_names_are_unique() -> None:
    names = [row.name for row in DIRECTIVES] + [row.alias for row in DIRECTIVES if row.alias]
    names += [word.name for word in FILE_WORDS]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


def test_lookup_knows_aliases_in_any_case() -> None:
    assert directive("SLAVE-priority") is directive("replica-priority")
    assert directive("include") is None


def test_every_default_is_a_value_that_can_be_set(client: Client) -> None:
    """And it reads back as itself: what CONFIG GET shows is accepted by CONFIG SET and by the file."""
    for row in DIRECTIVES:
        shown = client.get(row.name)
        if row.kind == "dir":
            assert Path(shown) == Path.cwd()
        else:
            assert shown == row.default, row.name
        if not (row.immutable or row.protected):
            assert client.call("CONFIG", "SET", row.name, shown) == ("+", b"OK"), row.name
        if row.name not in ("unixsocket", "replicaof"):
            assert put_directive(client.store, row.name, [shown]) is None, row.name
        assert client.get(row.name) == shown


def test_read_config_is_the_table_of_the_store(client: Client) -> None:
    client.call("CONFIG", "SET", "hz", "77", "requirepass", "a b\n")
    values = read_config(client.store)
    assert set(values) == {row.name for row in DIRECTIVES}
    assert values["hz"] == "77" and values["requirepass"] == "a b\n"


@pytest.mark.parametrize("row", [row for row in DIRECTIVES if row.kind == "integer" and not row.immutable], ids=str)
def test_limits_of_numbers(client: Client, row: Directive) -> None:
    for value in (row.low, row.high):
        assert client.call("CONFIG", "SET", row.name, value) == ("+", b"OK")
        assert client.get(row.name) == str(min(max(value, 1), 500) if row.name == "hz" else value)
    between = f"argument must be between {row.low} and {row.high} inclusive"
    outside = [row.low - 1] + ([row.high + 1] if row.high < 2**63 - 1 else [])
    for value in outside:
        assert client.refused(row.name, value).endswith(between)


def test_hidden_ones_are_shown_by_name_only(client: Client) -> None:
    hidden = {row.name.encode() for row in DIRECTIVES if row.hidden}
    shown = set(client.call("CONFIG", "GET", "*")[::2])
    assert hidden and not hidden & shown
    for name in hidden:
        assert client.call("CONFIG", "GET", name)[0] == name


def test_several_directives_change_together_or_not_at_all(client: Client) -> None:
    before = read_config(client.store)
    text = client.refused("hz", "20", "save", "60 5", "notify-keyspace-events", "KEA", "timeout", "soon")
    assert "'timeout'" in text
    assert read_config(client.store) == before
    reply = client.call("CONFIG", "SET", "hz", "20", "save", "60 5", "notify-keyspace-events", "KEA", "timeout", "5")
    assert reply == ("+", b"OK")
    after = read_config(client.store)
    assert {name for name in before if before[name] != after[name]} == {
        "hz",
        "save",
        "notify-keyspace-events",
        "timeout",
    }


def test_a_server_can_refuse_and_then_nothing_changes() -> None:
    """The port is taken: the setting beside it stays as it was, too, and the server listens where it did."""
    one = Client()
    with socket.create_server(("127.0.0.1", 0)) as taken, libkv.Server(one.store, host="127.0.0.1", port=0) as server:
        before = read_config(one.store)
        text = one.refused("hz", "44", "port", taken.getsockname()[1], "bind", "127.0.0.1")
        assert text.endswith("'port') - Unable to listen on this port. Check server logs.")
        assert read_config(one.store) == before
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
            wire.sendall(b"PING\r\n")
            assert wire.recv(100) == b"+PONG\r\n"
    one.store.close()


def test_shutdown_ends_the_server_and_not_the_store() -> None:
    one = Client()
    one.call("SET", "key", "value")
    server = libkv.Server(one.store, host="127.0.0.1", port=0)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(b"SHUTDOWN NOSAVE\r\nPING\r\n")
        assert wire.recv(100) == b""
    server.stop()
    assert one.call("GET", "key") == b"value"
    one.store.close()


def test_without_memory_nothing_changes(client: Client) -> None:
    """Allocation after allocation fails; the values are the old ones or the new ones, never some of each."""
    pairs = ("masterauth", "x" * 100, "requirepass", "y" * 2000, "save", "1 1", "syslog-ident", "z")[:6]
    before = read_config(client.store)
    done = False
    for n in range(40):
        client.store.fail_allocations_after(n)
        reply = client.call("CONFIG", "SET", *pairs)
        client.store.fail_allocations_after(-1)
        done = reply == ("+", b"OK")
        if done:
            break
        assert reply[0] == "-" and read_config(client.store) == before
    assert done and n > 0
    assert client.get("requirepass") == "y" * 2000
    client.store.check()


def test_a_value_of_too_many_words_is_refused_whole(client: Client) -> None:
    assert client.call("CONFIG", "SET", "save", " ".join(["1 1"] * 128)) == ("+", b"OK")
    assert len(client.get("save").split()) == 256
    assert client.refused("save", " ".join(["1 1"] * 129)).endswith("wrong number of arguments")
    assert client.refused("bind", " ".join(["::1"] * 17)).endswith("Too many bind addresses specified.")


def test_settings_take_effect_at_once(client: Client) -> None:
    client.call("SADD", "small", "1", "2")
    client.call("CONFIG", "SET", "set-max-intset-entries", "1")
    client.call("SADD", "large", "1", "2")
    assert client.call("OBJECT", "ENCODING", "small") == b"intset"
    assert client.call("OBJECT", "ENCODING", "large") == b"hashtable"


def test_constructor_takes_directives_and_names_the_wrong_one() -> None:
    one = Client(hz=33, save="", maxmemory_clients="5%")
    assert one.get("hz") == "33" and one.get("save") == "" and one.get("maxmemory-clients") == "5%"
    one.store.close()
    with pytest.raises(ValueError, match=r"maxmemory_policy.*must be one of the following: volatile-lru"):
        libkv.Store(maxmemory_policy="random")


def test_passwords_stay_out_of_the_slow_log(client: Client) -> None:
    client.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
    client.call("CONFIG", "SET", "requirepass", "secret", "hz", "nothing")
    newest = client.call("SLOWLOG", "GET", "1")[0]
    assert newest[3] == [b"CONFIG", b"SET", b"requirepass", b"(redacted)", b"hz", b"nothing"]


def test_the_slow_log_keeps_the_newest(client: Client) -> None:
    client.call("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "50")
    for i in range(200):
        client.call("ECHO", i)
    entries = client.call("SLOWLOG", "GET", "-1")
    assert [e[3] for e in entries] == [[b"ECHO", b"%d" % i] for i in range(199, 149, -1)]
    ids = [e[0] for e in entries]
    assert ids == list(range(ids[0], ids[0] - 50, -1))
    client.call("CONFIG", "SET", "slowlog-max-len", "5")
    client.call("ECHO", "last")
    assert client.call("SLOWLOG", "LEN") == 5
    client.call("CONFIG", "SET", "slowlog-max-len", "0")
    client.call("ECHO", "nothing is kept")
    assert client.call("SLOWLOG", "LEN") == 0
    client.store.check()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([row for row in DIRECTIVES if row.kind != "dir"]),
    st.one_of(
        st.binary(max_size=40),
        st.lists(st.sampled_from(WORDS)).map(b" ".join),
        st.integers(-(2**70), 2**70).map(lambda n: b"%d" % n),
    ),
)
def test_any_bytes_are_a_value_or_a_reason(row: Directive, value: bytes) -> None:
    """A value that is taken reads back as one that is taken and reads the same."""
    store = _shared_store()
    reason = put_directive(store, row.name, [value])
    if reason is None:
        shown = read_config(store)[row.name]
        again = put_directive(store, row.name, [shown.encode("utf-8", "surrogateescape")])
        if row.name not in ("replicaof", "save"):
            assert again is None and read_config(store)[row.name] == shown
    else:
        assert isinstance(reason, str) and reason


_stores: list[libkv.Store] = []


def _shared_store() -> libkv.Store:
    if not _stores:
        _stores.append(libkv.Store())
    return _stores[0]


def test_the_docs_page_is_current() -> None:
    script = ROOT / "docs" / "build" / "configuration.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
