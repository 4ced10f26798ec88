"""The embedded API's scripts and functions beside redis-py on redis-server, and scripts as job queues write them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import libkv

redis = pytest.importorskip("redis", reason="missing redis (PyPI)")

LIBRARY = """#!lua name=x
redis.register_function{function_name='f', callback=function(k, a) return {k, a} end, flags={'no-writes'}, description='d'}
"""

# moves a job from waiting to active, and marks it, in one step: the way job queues do it
MOVE_TO_ACTIVE = """
local id = redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
if not id then return {0, 'empty'} end
local key = ARGV[1] .. id
redis.call('HSET', key, 'processedOn', ARGV[2], 'attempts', redis.call('HINCRBY', key, 'tries', 1))
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 100, '*', 'event', 'active', 'jobId', id)
local job = redis.call('HGETALL', key)
local fields = {}
for i = 1, #job, 2 do fields[job[i]] = job[i + 1] end
return {id, cjson.encode({id = id, tries = tonumber(fields.tries)}), #job}
"""

FINISH = """
local removed = redis.call('LREM', KEYS[1], -1, ARGV[1])
if removed == 0 then return redis.error_reply('Missing lock for job ' .. ARGV[1]) end
local options = cmsgpack.unpack(ARGV[2])
if options.keep then
    redis.call('ZADD', KEYS[2], options.at, ARGV[1])
    local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', options.at - options.age, 'LIMIT', 0, 100)
    for _, id in ipairs(old) do redis.call('ZREM', KEYS[2], id) end
    return #old
end
return redis.status_reply('GONE')
"""

LIMITER = """
local now = tonumber(redis.call('TIME')[1])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local capacity, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local tokens = math.min(capacity, (tonumber(bucket[1]) or capacity) + (now - (tonumber(bucket[2]) or now)) * rate)
local allowed = tokens >= 1
if allowed then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate) * 1000)
return {allowed and 1 or 0, math.floor(tokens)}
"""


@pytest.fixture
def clients(redis_socket: str) -> Iterator[tuple[Any, Any]]:
    real = redis.Redis(unix_socket_path=redis_socket)
    real.flushall()
    real.function_flush()
    real.script_flush()
    store = libkv.Store()
    yield real, store
    real.function_flush()
    real.close()
    store.close()


def outcome(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    try:
        return call(*args, **named)
    except Exception as error:
        return type(error).__name__, str(error)


CALLS: list[Callable[[Any], Any]] = [
    lambda c: c.eval("return {1, ARGV[1], {ok='x'}, redis.call('get', KEYS[1])}", 1, "k", "a"),
    lambda c: c.eval("return redis.call('hgetall', 'none')", 0),
    lambda c: c.eval("error('x')", 0),
    lambda c: c.eval_ro("return 1", 0),
    lambda c: c.eval_ro("return redis.call('set','a','b')", 0),
    lambda c: c.evalsha("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0),
    lambda c: c.script_load("return 1"),
    lambda c: c.evalsha("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0),
    lambda c: c.evalsha_ro("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0),
    lambda c: c.script_exists("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "x"),
    lambda c: c.script_flush(),
    lambda c: c.script_flush("ASYNC"),
    lambda c: c.script_kill(),
    lambda c: c.script_debug("YES"),
    lambda c: c.function_load(LIBRARY),
    lambda c: c.function_load(LIBRARY),
    lambda c: c.function_load(LIBRARY, True),
    lambda c: c.function_list(),
    lambda c: c.function_list("x", True),
    lambda c: c.function_list("nothing"),
    lambda c: c.function_stats(),
    lambda c: c.fcall("f", 1, "a", "b"),
    lambda c: c.fcall_ro("f", 1, "a", "b"),
    lambda c: c.function_restore(c.function_dump(), "REPLACE"),
    lambda c: c.function_restore(c.function_dump()),
    lambda c: c.function_restore(b"x"),
    lambda c: c.function_kill(),
    lambda c: c.function_delete("x"),
    lambda c: c.function_delete("x"),
    lambda c: c.function_flush(),
    lambda c: c.function_flush("ASYNC"),
]


def test_same_values_and_errors(clients: tuple[Any, Any]) -> None:
    for number, call in enumerate(CALLS):
        theirs, ours = (outcome(call, client) for client in clients)
        assert ours == theirs, number


def test_registered_scripts(clients: tuple[Any, Any]) -> None:
    for client in clients:
        add = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
        assert add(keys=["n"], args=[5]) == 5
        client.script_flush()
        assert add(["n"], [5]) == 10
        client.script_flush()
        pipe = client.pipeline()
        add(["n"], [1], client=pipe)
        pipe.get("n")
        add(["n"], [1], client=pipe)
        assert pipe.execute() == [11, b"11", 12]
        with client.pipeline() as pipe:
            pipe.watch("n")
            pipe.multi()
            add(["n"], [1], client=pipe)
            assert pipe.execute() == [13]


def test_a_job_queue(clients: tuple[Any, Any]) -> None:
    import msgpack

    results: list[list[Any]] = [[], []]
    for client, result in zip(clients, results, strict=True):
        move = client.register_script(MOVE_TO_ACTIVE)
        finish = client.register_script(FINISH)
        for n in range(5):
            client.hset(f"job:{n}", mapping={"data": json.dumps({"n": n}), "tries": 0})
            client.lpush("wait", n)
        for at in range(7):
            result.append(move(keys=["wait", "active", "events"], args=["job:", 1000 + at]))
        for n in (0, 1, 2, 9):
            options = msgpack.packb({"keep": n != 1, "at": n * 10, "age": 5})
            result.append(outcome(finish, keys=["active", "done"], args=[n, options]))
        result.append(client.lrange("active", 0, -1))
        result.append(client.zrange("done", 0, -1, withscores=True))
        result.append(client.hgetall("job:3"))
        result.append(client.xlen("events"))
    assert results[0] == results[1]


def test_a_rate_limiter(clients: tuple[Any, Any]) -> None:
    for client in clients:
        take = client.register_script(LIMITER)
        allowed = [take(keys=["bucket"], args=[5, 0.001])[0] for _ in range(8)]
        assert allowed == [1] * 5 + [0] * 3


def test_asyncio() -> None:
    async def go() -> None:
        store = libkv.Store()
        assert await store.aio.eval("return ARGV[1]", 0, "x") == b"x"
        add = store.aio.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
        assert await add(keys=["n"], args=[5]) == 5
        pipe = store.aio.pipeline()
        await add(["n"], [1], client=pipe)
        assert await pipe.execute() == [6]
        store.close()

    asyncio.run(go())


def test_another_stores_machines_are_its_own() -> None:
    one, two = libkv.Store(), libkv.Store()
    one.function_load(LIBRARY)
    one.script_load("return 1")
    assert two.function_list() == []
    assert two.script_exists("e0e1f9fabfc9d4800c877a703b823ac0578ff8db") == [False]
    one.close()
    assert two.eval("return 2", 0) == 2
    two.close()
