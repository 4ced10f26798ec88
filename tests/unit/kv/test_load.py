"""The load generator (libkv.testing.native.load): what it sends arrives, what it counts is true."""

import socket
import threading
from contextlib import ExitStack

import pytest

import libkv
from libkv.server import Server
from libkv.testing.native import load


def encode(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


@pytest.fixture
def served():
    """(store, descriptors of five connections to its server)"""
    with libkv.Store() as store, Server(store, port=0) as server, ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(5)]
        yield store, [s.fileno() for s in sockets]


@pytest.mark.parametrize("pipeline", [1, 7, 64])
def test_every_request_is_carried_out_once(served, pipeline):
    store, fds = served
    r = load.run(fds, encode(b"INCR", b"n"), 5003, pipeline=pipeline)
    assert (r["requests"], r["errors"], r["nils"]) == (5003, 0, 0)
    assert store.get("n") == b"5003"
    assert 0 < r["p50"] <= r["p99"] <= r["worst"] <= r["seconds"]


def test_numbers_in_order(served):
    store, fds = served
    load.run(fds, encode(b"SET", b"key:__rand_int__", b"__rand_int__"), 1000, pipeline=10, in_order_from=0)
    # two slots a request: key:0 holds 1, key:2 holds 3, ...
    assert store.dbsize() == 1000
    assert store.get("key:000000000996") == b"000000000997"


def test_numbers_at_random_stay_in_range_and_differ(served):
    store, fds = served
    load.run(fds, encode(b"SADD", b"s", b"__rand_int__"), 2000, pipeline=16, numbers=100)
    assert {int(m) for m in store.smembers("s")} == set(range(100))


def test_replies_of_all_shapes_are_walked_over(served):
    store, fds = served
    store.rpush("list", *(b"x" * n for n in (0, 1, 100, 70_000)))
    r = load.run(fds, encode(b"LRANGE", b"list", b"0", b"-1"), 300, pipeline=20)
    assert (r["requests"], r["errors"]) == (300, 0)
    r = load.run(fds, encode(b"MGET", b"none", b"none"), 100, pipeline=3)
    assert (r["requests"], r["nils"]) == (100, 200)
    r = load.run(fds, encode(b"LRANGE", b"none", b"0", b"-1"), 100, pipeline=9)
    assert (r["requests"], r["nils"], r["errors"]) == (100, 0, 0)
    r = load.run(fds, encode(b"COMMAND", b"INFO", b"get", b"none"), 100, pipeline=2)
    assert r["requests"] == 100


def test_errors_are_counted_and_the_first_is_told(served):
    store, fds = served
    store.set("key", "value")
    r = load.run(fds, encode(b"LPUSH", b"key", b"x"), 50, pipeline=5)
    assert r["errors"] == 50
    assert r["error"].startswith("-WRONGTYPE")


def test_requests_larger_than_the_sockets_buffers(served):
    store, fds = served
    value = b"v" * 3_000_000
    r = load.run(fds, encode(b"SET", b"key", value), 20, pipeline=2)
    assert (r["requests"], r["errors"]) == (20, 0)
    assert store.get("key") == value


def test_time_ends_it(served):
    _, fds = served
    r = load.run(fds, encode(b"PING"), 10**12, seconds=0.05)
    assert 0 < r["requests"] < 10**12


def test_a_connection_that_ends_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            s, _ = listener.accept()
            s.recv(100)
            s.sendall(b"+OK\r\n+O")
            s.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as s,
            pytest.raises(ConnectionError, match="after 1 replies"),
        ):
            load.run([s.fileno()], encode(b"PING"), 2, pipeline=2)
        thread.join()


@pytest.mark.parametrize("wrong", [{"fds": []}, {"request": b""}, {"requests": 0}, {"pipeline": 0}, {"numbers": 0}])
def test_what_makes_no_sense_is_refused(wrong):
    arguments = {"fds": [0], "request": b"PING\r\n", "requests": 1, "pipeline": 1, "numbers": 1, **wrong}
    with pytest.raises(ValueError, match="must not be empty or zero"):
        load.run(arguments.pop("fds"), arguments.pop("request"), arguments.pop("requests"), **arguments)
