"""A store as an object of the application: handles, sessions, closing, and clients of redis-py that stay inside."""

import asyncio
import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import tomllib
import weakref
from pathlib import Path

import pytest
import redis

import libkv
from libkv import errors
from libkv.testing import Clock

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store():
    with libkv.Store() as store:
        yield store


def test_operators(store):
    store["k"] = "v"
    assert "k" in store and store["k"] == b"v"
    del store["k"]
    assert "k" not in store
    with pytest.raises(KeyError, match="k"):
        store["k"]


def test_two_stores_know_nothing_of_each_other(store):
    with libkv.Store() as other:
        store.set("k", 1)
        assert other.get("k") is None


def test_decode_responses():
    with libkv.Store(decode_responses=True) as store:
        store.hset("h", mapping={"ä": "ö"})
        assert store.hgetall("h") == {"ä": "ö"}
        assert store.db(0).hget("h", "ä") == "ö" == store.client().hget("h", "ä")
        assert store.pipeline().hget("h", "ä").execute() == ["ö"]
        assert store.get_encoder().decode_responses


def test_encoding_that_does_not_fit():
    with libkv.Store(encoding="ascii", encoding_errors="replace") as store:
        store.set("k", "ä")
        assert store.get("k") == b"?"


def test_settings_from_keywords():
    with libkv.Store(databases=4, maxmemory="1mb", hash_max_listpack_entries=3) as store:
        assert store.config_get("maxmemory") == {"maxmemory": "1048576"}
        store.hset("h", mapping=dict.fromkeys("abcd", 1))
        assert store.object("encoding", "h") == b"hashtable"
        with pytest.raises(errors.ResponseError, match="DB index is out of range"):
            store.db(4)


def test_same_seed_same_choices():
    def choices():
        with libkv.Store(seed=7) as store:
            store.sadd("s", *range(1000))
            return [store.srandmember("s") for _ in range(20)]

    assert choices() == choices()


def test_database_views(store):
    one, two = store.db(1), store.db(2)
    store.set("k", 0)
    one.set("k", 1)
    two.set("k", 2)
    assert (store.get("k"), one.get("k"), two.get("k")) == (b"0", b"1", b"2")
    assert one.pipeline().get("k").execute() == [b"1"]
    assert one.client().get("k") == b"1" and one.db(2).get("k") == b"2"
    with two.pipeline() as pipe:
        pipe.watch("k")
        one.set("k", "not that one")
        pipe.multi()
        assert pipe.get("k").execute() == [b"2"]
    assert (one.database, store.database) == (1, 0)


@pytest.mark.parametrize(
    "words", ["SELECT 1", "multi", "EXEC", "WATCH a", "HELLO 2", "RESET", "QUIT", "discard", "client reply off"]
)
def test_shared_handles_refuse_what_changes_a_session(store, words):
    for handle in (store, store.db(1)):
        with pytest.raises(errors.DataError, match=r"shares one between all its callers"):
            handle.execute_command(*words.split())
        handle.set("k", 1)
        assert handle.get("k") == b"1"


def test_client_has_a_session_of_its_own(store):
    with store.client() as client:
        assert client.select(3) is True
        client.set("k", 3)
        assert client.client_setname("joe") is True
        assert client.client_getname() == "joe" and store.client_getname() is None
        assert client.client_id() != store.client_id()
        assert client.execute_command("MULTI") == b"OK"
        assert client.execute_command("INCR", "k") == b"QUEUED"
        assert client.execute_command("EXEC") == [4]
        assert client.reset() == "RESET"
        assert client.get("k") is None, "RESET goes back to database 0"
        assert store.db(3).get("k") == b"4"
        assert client.quit() is True
        with pytest.raises(errors.StoreClosed):
            client.ping()


def test_response_callbacks(store):
    store.set("k", "21")
    view = store.db(0)
    view.set_response_callback("get", lambda reply, **options: int(reply) * 2)
    assert view.get("k") == 42 and view.pipeline().get("k").execute() == [42]
    assert store.get("k") == b"21"
    store.set_response_callback("GET", lambda reply, **options: float(reply))
    store.set_response_callback("SET", lambda reply, **options: reply)
    assert store.set("k", "5") == b"OK" and store.get("k") == 5.0 == store["k"]


def test_close():
    store = libkv.Store()
    view, client, pipe = store.db(1), store.client(), store.pipeline()
    pipe.set("a", 1)
    store.close()
    store.close()
    assert store.closed and "closed" in repr(store)
    for call in (store.ping, view.ping, client.ping, pipe.execute, store.client, store.dbsize):
        with pytest.raises(errors.StoreClosed):
            call()
    assert issubclass(errors.StoreClosed, redis.ConnectionError)


def test_with_closes():
    with libkv.Store() as store:
        assert store.ping() is True
    assert store.closed
    with libkv.Store() as store, store.db(1) as view:
        view.set("k", 1)
    assert store.closed


def test_dropping_the_last_reference_closes():
    gc.collect()
    gc.disable()
    try:
        store = libkv.Store()
        gone = weakref.ref(store)
        pipe = store.pipeline()
        pipe.watch("a")
        view = store.db(1)
        del store
        assert gone() is not None, "the view and the pipeline keep it"
        view.set("k", 1)
        del view
        del pipe
        assert gone() is None, "without waiting for the garbage collector"
    finally:
        gc.enable()


@pytest.mark.parametrize("way", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pickling_and_copying_raise(store, way):
    for handle in (store, store.db(1), store.client()):
        with pytest.raises(TypeError, match="its data live in this process"):
            way(handle)


def test_threads_share_a_store(store):
    view = store.db(1)

    def work():
        for _ in range(500):
            store.incr("n")
            view.incr("n")
            store.pipeline().incr("m").incr("m").execute()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (store.get("n"), view.get("n"), store.get("m")) == (b"2000", b"2000", b"4000")


def test_lock_between_threads(store):
    order = []

    def work(name):
        with store.lock("job", timeout=20, sleep=0.001):
            order.append((name, "in"))
            order.append((name, "out"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(order) == 10
    assert all(a[0] == b[0] for a, b in zip(order[::2], order[1::2], strict=True))


def test_clock(store):
    clock = Clock(store, now=1_000_000.5)
    store.set("k", 1, ex=60)
    assert store.time() == (1_000_000, 500_000) and store.pttl("k") == 60_000
    clock.advance(59.999)
    assert store.pttl("k") == 1
    clock.advance(0.001)
    assert store.pttl("k") == 0, "it lives through its last millisecond"
    clock.advance(0.001)
    assert "k" not in store
    clock.now = 5
    assert clock.now == 5 and store.time() == (5, 0)
    clock.release()
    assert store.time()[0] > 1_700_000_000


# ---- redis-py's clients


def test_redis_client(store):
    with libkv.redis_client(store, decode_responses=True) as client:
        assert type(client) is redis.Redis
        store.set("k", "v")
        assert client.get("k") == "v"
        assert client.hset("h", mapping={"a": 1}) == 1 and client.hgetall("h") == {"a": "1"}
        with client.pipeline() as pipe:
            pipe.watch("k")
            pipe.multi()
            assert pipe.incr("n").get("k").execute() == [1, "v"]
        with pytest.raises(redis.ResponseError, match=r"^WRONGTYPE"):
            client.lpush("k", 1)
        big = "x" * 3_000_000
        assert client.set("big", big) and client.get("big") == big
        assert client.mget([f"k{i}" for i in range(20_000)]) == [None] * 20_000
        assert "in this process" in repr(client)


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_client_options(store, protocol):
    client = libkv.redis_client(store, db=2, protocol=protocol, client_name="app")
    client.zadd("z", {"m": 1.5})
    assert store.db(2).zscore("z", "m") == 1.5
    assert client.zscore("z", "m") == 1.5 and client.client_getname() in (b"app", "app")
    single = client.client()
    assert single.client_id() == single.client_id()
    single.close()
    client.close()


def test_redis_client_connects_again(store):
    client = libkv.redis_client(store)
    first = client.client_id()
    assert client.execute_command("QUIT") is True
    assert client.ping() and client.client_id() != first


def test_redis_client_after_close(store):
    client = libkv.redis_client(store, retry=None)
    client.ping()
    store.close()
    with pytest.raises(redis.ConnectionError):
        client.ping()


def test_redis_client_in_threads(store):
    client = libkv.redis_client(store)

    def work():
        for _ in range(300):
            client.incr("n")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("n") == b"1200"


def test_aio_redis_client(store):
    async def main():
        async with libkv.aio_redis_client(store, decode_responses=True) as client:
            assert type(client) is redis.asyncio.Redis
            assert await client.set("k", "v") is True
            assert await client.get("k") == "v" and store.get("k") == b"v"
            with pytest.raises(redis.ResponseError):
                await client.lpush("k", 1)
            assert await asyncio.gather(*(client.incr("n") for _ in range(50))) == list(range(1, 51))
            async with client.pipeline() as pipe:
                assert await pipe.set("a", 1).get("a").execute() == [True, "1"]
            big = "x" * 1_000_000
            await client.set("big", big)
            assert await client.get("big") == big

    asyncio.run(main())


# ---- the package


def test_names_of_the_package():
    for name in libkv.__all__:
        assert getattr(libkv, name) is not None
        assert name in dir(libkv)
    with pytest.raises(AttributeError, match="nonsense"):
        libkv.nonsense  # noqa: B018


def test_version_is_the_distribution_s():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert libkv.__version__ == project["version"]


def test_plugin(tmp_path):
    """The fixtures in a test run of their own, as in another project."""
    (tmp_path / "test_it.py").write_text(
        "def test_store_and_clock(kv_store, kv_clock):\n"
        "    kv_store.set('k', 1, ex=10)\n"
        "    kv_clock.advance(11)\n"
        "    assert 'k' not in kv_store\n"
        "def test_empty_again(kv_store):\n"
        "    assert kv_store.dbsize() == 0\n"
        "def test_server(kv_redis, kv_store, kv_server):\n"
        "    kv_redis.set('k', 'v')\n"
        "    assert kv_store.get('k') == b'v' and kv_server.port > 0\n"
        "def test_clock_on_the_wire(kv_clock, kv_redis):\n"
        "    kv_redis.set('k', 1, px=1500)\n"
        "    kv_clock.advance(2)\n"
        "    assert kv_redis.exists('k') == 0\n"
    )
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "libkv.testing.plugin",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_plugin_loads_nothing_by_itself():
    heavy = "('redis', 'libkv.store', 'libkv.api')"
    check = f"import sys, libkv.testing.plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr
