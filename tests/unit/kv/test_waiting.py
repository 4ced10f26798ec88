"""Calls of this process that wait: in threads, in event loops, through redis-py; what they leave behind: nothing."""

import asyncio
import contextlib
import gc
import os
import random
import signal
import threading
import time

import pytest
import redis

import libkv
from libkv.testing import Clock
from tests.resp import command


@pytest.fixture
def store():
    with libkv.Store() as store:
        yield store
        if not store.closed:
            assert blocked(store) == 0
            store.check()


def blocked(store):
    return int(store.info("clients")["blocked_clients"])


def until(condition):
    for _ in range(5000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it does not come to that")


class Call:
    """A call in a thread of its own."""

    def __init__(self, function, *args, **kwargs):
        self.value = self.error = None
        self.thread = threading.Thread(target=self.run, args=(function, args, kwargs), daemon=True)
        self.thread.start()

    def run(self, function, args, kwargs):
        try:
            self.value = function(*args, **kwargs)
        except BaseException as error:
            self.error = error

    def result(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.value


def calls_that_wait(store, *calls):
    """Begins each when the one before it waits."""
    begun = []
    for function, *args in calls:
        begun.append(Call(function, *args))
        until(lambda: blocked(store) == len(begun))
    return begun


# ---- threads


def test_threads_are_served_in_order(store):
    calls = calls_that_wait(store, *[(store.blpop, "k", 0)] * 4)
    store.rpush("k", 1, 2)
    assert [call.result() for call in calls[:2]] == [(b"k", b"1"), (b"k", b"2")]
    store.lpush("k", 3)
    assert calls[2].result() == (b"k", b"3")
    store.pipeline().rpush("k", 4).rpush("k", 5).execute()
    assert calls[3].result() == (b"k", b"4")
    assert store.lrange("k", 0, -1) == [b"5"]


def test_every_method(store):
    waits = [
        (store.blpop, "l"),
        (store.brpop, ["l", "l2"], 100),
        (store.blmove, "l", "d", 100),
        (store.brpoplpush, "l", "d"),
        (lambda: store.blmpop(0, 1, "l", direction="LEFT", count=2),),
        (store.bzpopmin, "z"),
        (store.bzpopmax, ["z", "z2"], 0),
        (lambda: store.bzmpop(0, 1, ["z"], max=True, count=2),),
    ]
    calls = calls_that_wait(store, *waits)
    store.rpush("l", *range(6))
    store.zadd("z", {"a": 1, "b": 2, "c": 3, "d": 4.5})
    assert [call.result() for call in calls] == [
        (b"l", b"0"),
        (b"l", b"5"),
        b"1",
        b"4",
        [b"l", [b"2", b"3"]],
        (b"z", b"a", 1.0),
        (b"z", b"d", 4.5),
        [b"z", [[b"c", b"3"], [b"b", b"2"]]],
    ]
    assert store.blpop("none", 0.001) is None and store.wait(1, 1) == 0 and store.wait(0, 0) == 0


def test_views_and_clients(store):
    with store.client() as client:
        view, number = store.db(3), client.client_id()
        calls = calls_that_wait(store, (view.blpop, "k", 0), (client.blpop, "k", 0))
        assert view.set("other", 1)  # the view is not held up by its own call
        with pytest.raises(RuntimeError, match="another thread waits"):
            client.get("k")
        view.rpush("k", "in 3")
        assert calls[0].result() == (b"k", b"in 3")
        assert store.client_unblock(number, error=True) is True and store.client_unblock(number) is False
        with pytest.raises(libkv.errors.ResponseError, match=r"^UNBLOCKED"):
            calls[1].result()
        assert client.get("k") is None


def test_pipelines(store):
    assert store.pipeline().blpop("k", 0).rpush("k", 1).blpop("k", 0).execute() == [None, 1, (b"k", b"1")]
    call = Call(store.pipeline(transaction=False).set("x", 1).blpop("k", 0).get("x").execute)
    until(lambda: blocked(store) == 1)
    store.set("x", 2)
    store.rpush("k", "v")
    assert call.result() == [True, (b"k", b"v"), b"2"]


def test_the_clock_decides(store):
    clock = Clock(store)
    call = Call(store.blpop, "k", 60)
    until(lambda: blocked(store) == 1)
    clock.advance(59.9)
    assert blocked(store) == 1
    clock.advance(0.2)
    assert call.result() is None
    call = Call(store.blpop, "k", 0.05)
    until(lambda: blocked(store) == 1)
    clock.release()  # it goes on with the time that was left
    assert call.result() is None


def test_pause(store):
    store.client_pause(100_000, all=False)
    call = Call(store.set, "k", 1)
    view = Call(store.db(1).set, "k", 1)
    until(lambda: blocked(store) == 2)
    assert store.get("k") is None
    assert store.client_unpause() == b"OK"
    assert call.result() is True and view.result() is True and store.get("k") == b"1"
    store.client_pause(20)
    assert store.get("k") == b"1"


def test_closing_the_store(store):
    client = store.client()
    calls = calls_that_wait(store, (store.blpop, "k", 0), (client.blpop, "k", 0), (store.db(1).bzpopmin, "z", 0))
    store.close()
    for call in calls:
        with pytest.raises(libkv.errors.StoreClosed):
            call.result()


def test_closing_a_client(store):
    client = store.client()
    call = Call(client.blpop, "k", 0)
    until(lambda: blocked(store) == 1)
    client.close()
    with pytest.raises(libkv.errors.StoreClosed):
        call.result()
    assert store.rpush("k", 1) == 1


def test_ctrl_c(store):
    """KeyboardInterrupt ends the wait, and nothing is taken for it: also when it comes just as the wait begins."""
    for _ in range(100):
        thread = threading.Thread(
            target=lambda: (until(lambda: blocked(store) == 1), os.kill(os.getpid(), signal.SIGINT))
        )
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            store.blpop("k", 0)
        thread.join()
        assert blocked(store) == 0
        assert store.rpush("k", "v") == 1 and store.lpop("k") == b"v"


def test_signal_handlers_run_and_the_wait_goes_on(store):
    seen = []

    def handler(number, frame):
        seen.append(number)
        store.rpush("k", "by the handler")

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        thread = threading.Thread(
            target=lambda: (until(lambda: blocked(store) == 1), os.kill(os.getpid(), signal.SIGUSR1))
        )
        thread.start()
        assert store.blpop("k", 0) == (b"k", b"by the handler")
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_many_producers_and_consumers(store):
    """Each element is taken once."""
    taken = []

    def consume():
        while (item := store.blpop(["a", "b"], 0)[1]) != b"end":
            taken.append(int(item))

    consumers = [Call(consume) for _ in range(4)]
    producers = [Call(lambda n=n: [store.rpush("ab"[i % 2], n * 1000 + i) for i in range(500)]) for n in range(3)]
    for call in producers:
        call.result()
    until(lambda: not store.exists("a", "b"))
    store.rpush("a", *["end"] * 4)
    for call in consumers:
        call.result()
    assert sorted(taken) == [n * 1000 + i for n in range(3) for i in range(500)]


def test_clients_of_a_server(store):
    with libkv.Server(store, port=0) as server, redis.Redis(port=server.port) as client:
        call = Call(client.blpop, "k", 30)
        until(lambda: blocked(store) == 1)
        store.rpush("k", "from here")
        assert call.result() == (b"k", b"from here")
        call = Call(store.blpop, "k", 30)
        until(lambda: blocked(store) == 1)
        client.rpush("k", "from there")
        assert call.result() == (b"k", b"from there")
        assert client.blpop("k", 0.05) is None


def test_fork(store):
    """In the child nobody waits: what is pushed there stays there, and the parent's call goes on."""
    call = Call(store.blpop, "k", 0)
    until(lambda: blocked(store) == 1)
    child = os.fork()
    if child == 0:
        good = False
        with contextlib.suppress(BaseException):
            good = store.rpush("k", 1) == 1 and store.llen("k") == 1 and blocked(store) == 0
            store.check()
            good = good and store.blpop("none", 0.001) is None
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.rpush("k", 2)
    assert call.result() == (b"k", b"2")


# ---- sessions fed with bytes


def test_fed_sessions(store):
    a, b = store.new_session(), store.new_session()
    assert (
        a.feed(command("BLPOP", "k", 0) + command("PING") + command("BLPOP", "k", 0) + command("ECHO", "x")[:9]) == b""
    )
    assert a.waits and not b.waits and a.wait(0) == b""
    assert b.feed(command("RPUSH", "k", "1")) == b":1\r\n"
    assert a.wait(0) == b"*2\r\n$1\r\nk\r\n$1\r\n1\r\n+PONG\r\n"
    assert a.feed(command("ECHO", "x")[9:]) == b""
    b.feed(command("RPUSH", "k", "2"))
    assert a.wait() == b"*2\r\n$1\r\nk\r\n$1\r\n2\r\n$1\r\nx\r\n" and not a.waits
    assert a.feed(command("BLPOP", "k", "0.01")) == b""
    assert a.wait() == b"*-1\r\n"
    a.feed(command("BLPOP", "k", "0"))
    a.close()
    assert store.rpush("k", 1) == 1


def test_pause_of_fed_sessions(store):
    session = store.new_session()
    store.client_pause(30)
    assert session.feed(command("SET", "k", 1) + command("GET", "k")) == b"" and session.waits
    assert session.wait() == b"+OK\r\n$1\r\n1\r\n" and not session.waits
    store.client_pause(100_000, all=False)
    assert session.feed(command("GET", "k") + command("INCR", "k") + command("GET", "k")) == b"$1\r\n1\r\n"
    other = store.new_session()
    other.feed(command("CLIENT", "UNPAUSE"))
    assert session.wait(0) == b":2\r\n$1\r\n2\r\n"


def test_streams(store):
    call = Call(lambda: store.xread({"s": "$"}, block=0))
    until(lambda: blocked(store) == 1)
    entry = store.xadd("s", {"a": 1})
    assert str(entry) in str(call.result()) and store.xread({"s": "$"}, block=1) in ([], {}, None)

    async def main():
        task = asyncio.create_task(store.aio.xread({"s": "$"}, block=0))
        await asyncio.sleep(0)
        entry = store.xadd("s", {"a": 2})
        assert str(entry) in str(await task)

    asyncio.run(main())


def test_ten_thousand_that_wait(store):
    sessions = [store.new_session() for _ in range(10_000)]
    for i, session in enumerate(sessions):
        assert session.feed(command("BLPOP", f"k{i % 100}", "all", 1000 + i % 7)) == b""
    store.check()
    facts = store.info("clients")
    assert facts["blocked_clients"] == facts["clients_in_timeout_table"] == 10_000
    store.rpush("k5", *range(3))
    assert [s.wait(0)[-3:-2] for s in sessions[5:405:100]] == [b"0", b"1", b"2", b""]
    random.Random(1).shuffle(sessions)
    for session in sessions[:5000]:
        session.close()
    store.check()
    store.rpush("all", *range(10_000))
    assert blocked(store) == 0
    assert sum(session.wait(0) != b"" for session in sessions[5000:]) >= 4997


@pytest.mark.parametrize("words", ["BLPOP a b 0", "BZMPOP 0 2 a b MIN", "BLMOVE a b LEFT LEFT 5", "WAIT 1 5"])
def test_without_memory(store, words):
    """Each allocation of a command that begins to wait fails in turn: it answers, and waits for nothing."""
    refused = 0
    for n in range(20):
        session = store.new_session()
        store.fail_allocations_after(n)
        reply = session.feed(command(*words.split()))
        store.fail_allocations_after(-1)
        store.check()
        refused += reply.startswith(b"-OOM")
        assert session.waits == (reply == b"")
        session.close()
        if reply == b"":
            break
    assert reply == b"" and (refused > 0) == (not words.startswith("WAIT"))


# ---- asyncio


def test_aio(store):
    async def main():
        aio = store.aio
        assert await aio.set("k", 1) is True and await aio.get("k") == b"1"
        call = asyncio.create_task(aio.blpop("l", 0))
        await asyncio.sleep(0)
        assert blocked(store) == 1
        await aio.rpush("l", "x")
        assert await call == (b"l", b"x")
        assert await aio.blpop("l", 0.001) is None
        thread = Call(lambda: (until(lambda: blocked(store) == 3), store.zadd("z", {"m": 1, "n": 2, "o": 3})))
        assert await asyncio.gather(
            aio.bzpopmin("z"), aio.bzpopmax(["z"]), aio.db(0).bzmpop(0, 1, ["z"], min=True)
        ) == [
            (b"z", b"m", 1.0),
            (b"z", b"o", 3.0),
            [b"z", [[b"n", b"2"]]],
        ]
        thread.result()
        with pytest.raises(libkv.errors.ResponseError, match="WRONGTYPE"):
            await aio.lpush("k", 1)
        with pytest.raises(libkv.errors.DataError, match="changes a session"):
            await aio.execute_command("SELECT", 1)
        async with aio.client() as client:
            assert await client.client_setname("me") and await client.client_getname() == "me"
        await aio.client_pause(20)
        assert await aio.get("k") == b"1"

    asyncio.run(main())


def test_aio_iterators_and_pipelines(store):
    async def main():
        aio = store.aio
        await aio.mset({f"k{i}": i for i in range(30)})
        assert {key async for key in aio.scan_iter(count=5)} == {b"k%d" % i for i in range(30)}
        await aio.sadd("s", *range(20))
        await aio.hset("h", mapping={"a": 1})
        await aio.zadd("z", {"m": 1.5})
        assert len({m async for m in aio.sscan_iter("s")}) == 20
        assert [pair async for pair in aio.hscan_iter("h")] == [(b"a", b"1")]
        assert [pair async for pair in aio.zscan_iter("z")] == [(b"m", 1.5)]
        async with aio.pipeline() as pipe:
            assert await pipe.set("x", 1).incr("x").blpop("none", 0).execute() == [True, 2, None]
            await pipe.watch("x")
            assert await pipe.get("x") == b"2"
            pipe.multi()
            pipe.incr("x")
            store.set("x", 10)
            with pytest.raises(libkv.errors.WatchError):
                await pipe.execute()
        async with aio.pipeline(transaction=False) as pipe:
            call = asyncio.create_task(pipe.blpop("l", 0).get("x").execute())
            await asyncio.sleep(0)
            store.rpush("l", "v")
            assert await call == [(b"l", b"v"), b"10"]

        async def add(pipe):
            value = int(await pipe.get("x"))
            pipe.multi()
            pipe.set("x", value + 1)

        assert await aio.transaction(add, "x") == [True] and store.get("x") == b"11"

    asyncio.run(main())


def test_aio_lock(store):
    async def main():
        order = []

        async def work(n):
            async with store.aio.lock("lock", timeout=5, sleep=0.001):
                order.append(n)
                await asyncio.sleep(0.002)
                order.append(n)

        await asyncio.gather(*(work(n) for n in range(4)))
        assert order[::2] == order[1::2] and sorted(order[::2]) == [0, 1, 2, 3]
        lock = store.aio.lock("lock", timeout=5)
        assert await lock.acquire() and await lock.locked() and await lock.owned()
        assert not await store.aio.lock("lock", blocking_timeout=0.01, sleep=0.002).acquire()
        assert await lock.extend(1) and await lock.reacquire()
        await lock.release()
        with pytest.raises(libkv.errors.LockError):
            await lock.release()

    asyncio.run(main())


def test_aio_lock_leaves_the_loop_free(store):
    """CLIENT PAUSE makes each step of a lock wait; other tasks go on, and the one that waits can be cancelled."""

    async def main():
        lock = store.aio.lock("lock", timeout=50)
        assert await lock.acquire()
        other = store.aio.lock("other", timeout=50)
        assert await other.acquire()
        for step in (lock.release, lambda: other.extend(5), other.reacquire, store.aio.lock("third").acquire):
            store.client_pause(3_600_000, all=False)
            task = asyncio.create_task(step())
            for _ in range(20):
                await asyncio.sleep(0)
            assert not task.done() and store.get("lock") is not None
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            store.client_unpause()
            assert await lock.owned() and await other.owned() and not store.exists("third")
        await lock.release()  # which was cancelled before
        assert await store.aio.lock("lock").acquire()

    asyncio.run(main())


def test_aio_lock_lost_inside_its_block(store):
    async def main():
        async with store.aio.lock("lock", timeout=5, raise_on_release_error=False):
            store.delete("lock")
        with pytest.raises(libkv.errors.LockNotOwnedError):
            async with store.aio.lock("lock", timeout=5):
                store.set("lock", "another's")
        with pytest.raises(libkv.errors.LockError):
            async with store.aio.lock("lock", blocking=False):
                pass

    asyncio.run(main())


POPS = {
    "blpop": (lambda aio: aio.blpop("l", 0), "l"),
    "brpop": (lambda aio: aio.brpop(["none", "l"], 0), "l"),
    "blmpop": (lambda aio: aio.blmpop(0, 2, "none", "l", direction="RIGHT", count=3), "l"),
    "blmpop left": (lambda aio: aio.blmpop(0, 1, "l", direction="LEFT", count=2), "l"),
    "bzpopmin": (lambda aio: aio.bzpopmin("z", 0), "z"),
    "bzpopmax": (lambda aio: aio.bzpopmax("z", 0), "z"),
    "bzmpop": (lambda aio: aio.bzmpop(0, 1, ["z"], max=True, count=2), "z"),
}


@pytest.mark.parametrize("name", POPS)
def test_aio_cancelled(store, name):
    """Before an element came: it stays in the store.  In the same moment: it is put back."""
    pop, key = POPS[name]

    async def cancelled(push_first):
        task = asyncio.create_task(pop(store.aio))
        await asyncio.sleep(0)
        assert blocked(store) == 1
        if push_first:
            push()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert blocked(store) == 0
        if not push_first:
            push()
        assert contents() == expected
        store.delete(key)

    def push():
        store.rpush("l", "a", "b", "c", "d") if key == "l" else store.zadd(
            "z", {"a": 1, "b": 1.5, "c": float("inf"), "d": 4}
        )

    def contents():
        return store.lrange("l", 0, -1) if key == "l" else store.zrange("z", 0, -1, withscores=True)

    push()
    expected = contents()
    store.delete(key)
    asyncio.run(cancelled(False))
    asyncio.run(cancelled(True))


def test_aio_cancelled_when_the_reply_has_been_seen(store):
    async def main():
        task = asyncio.create_task(store.aio.blpop("l", 0))
        await asyncio.sleep(0)
        store.rpush("l", "x")
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, task.cancel)  # after the reader's callback, before the task goes on
        with contextlib.suppress(asyncio.CancelledError):
            assert await task == (b"l", b"x")
            return 0
        return 1

    put_back = asyncio.run(main())
    assert store.llen("l") == put_back


def test_aio_wait_for(store):
    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.aio.blpop("l", 0), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.aio.blpop("l", 0)
        assert blocked(store) == 0
        store.rpush("l", 1)
        assert await asyncio.wait_for(store.aio.blpop("l", 0), 5) == (b"l", b"1")

    asyncio.run(main())


def test_aio_closing(store):
    async def main():
        client = store.aio.client()
        calls = [
            asyncio.create_task(c) for c in (store.aio.blpop("l", 0), client.blpop("l", 0), store.aio.blpop("m", 0))
        ]
        await asyncio.sleep(0)
        calls.pop().cancel()
        await client.aclose()
        with pytest.raises(libkv.errors.StoreClosed):
            await calls[1]
        store.close()
        with pytest.raises(libkv.errors.StoreClosed):
            await calls[0]

    asyncio.run(main())


def test_aio_call_that_its_loop_left_alone(store):
    loop = asyncio.new_event_loop()
    task = loop.create_task(store.aio.blpop("l", 0))
    loop.run_until_complete(asyncio.sleep(0))
    assert blocked(store) == 1
    loop.close()
    task._log_destroy_pending = False  # that it is pending is what this test is about
    del task
    gc.collect()  # the task and its callbacks know each other
    assert blocked(store) == 0


# ---- redis-py on a session


def test_redis_client(store):
    client = libkv.redis_client(store)
    call = Call(client.blpop, "k", 30)
    until(lambda: blocked(store) == 1)
    store.rpush("k", 1)
    assert call.result() == (b"k", b"1")
    assert client.blpop("k", 0.01) is None
    assert client.pipeline(transaction=False).blpop("k", 0.01).ping().execute() == [None, True]
    hasty = libkv.redis_client(store, socket_timeout=0.01, retry=None)
    with pytest.raises(redis.TimeoutError):
        hasty.blpop("k", 30)
    until(lambda: blocked(store) == 0)
    assert store.rpush("k", 2) == 1


def test_aio_redis_client(store):
    async def main():
        client = libkv.aio_redis_client(store)
        call = asyncio.create_task(client.blpop("k", 30))
        while blocked(store) == 0:
            await asyncio.sleep(0)
        store.rpush("k", 1)
        assert await call == (b"k", b"1")
        assert await client.blpop("k", 0.01) is None
        call = asyncio.create_task(client.blpop("k", 30))
        while blocked(store) == 0:
            await asyncio.sleep(0)
        for _ in range(9):  # while redis-py is sending, Python 3.11's wait_for swallows a cancellation
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await client.aclose()
        assert blocked(store) == 0

    asyncio.run(main())
