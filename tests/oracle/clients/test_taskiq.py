"""taskiq-redis: a job queue on streams with a consumer group, its results and schedules beside it."""

from __future__ import annotations

import asyncio

import pytest
import redis.asyncio
from taskiq import TaskiqResult
from taskiq_redis import ListQueueBroker, PubSubBroker, RedisAsyncResultBackend, RedisStreamBroker

pytestmark = pytest.mark.asyncio


async def first(messages: object, count: int) -> list[object]:
    got = []
    async for message in messages:  # type: ignore[attr-defined]
        got.append(message)
        if len(got) == count:
            break
    return got


async def kick(broker: ListQueueBroker | RedisStreamBroker | PubSubBroker, count: int) -> None:
    @broker.task(task_name="add")
    async def add(a: int, b: int) -> int:
        return a + b

    for n in range(count):
        await add.kiq(n, n)


async def test_a_stream_with_a_group(port: int) -> None:
    broker = RedisStreamBroker(f"redis://127.0.0.1:{port}", consumer_group_name="workers", xread_block=200)
    await broker.startup()
    await kick(broker, 5)
    messages = await asyncio.wait_for(first(broker.listen(), 5), 10)
    client = redis.asyncio.Redis(port=port)
    assert (await client.xpending("taskiq", "workers"))["pending"] == 5
    for message in messages:
        await message.ack()  # type: ignore[attr-defined]
    assert (await client.xpending("taskiq", "workers"))["pending"] == 0
    assert (await client.xinfo_groups("taskiq"))[0]["lag"] == 0
    await client.aclose()
    await broker.shutdown()


async def test_messages_of_a_dead_worker_are_claimed(port: int) -> None:
    url = f"redis://127.0.0.1:{port}"
    dead = RedisStreamBroker(url, consumer_name="dead", xread_block=200)
    await dead.startup()
    await kick(dead, 3)
    await asyncio.wait_for(first(dead.listen(), 3), 10)
    await dead.shutdown()
    heir = RedisStreamBroker(url, consumer_name="heir", xread_block=100, idle_timeout=1, unacknowledged_lock_timeout=5)
    await heir.startup()
    await kick(heir, 1)  # it looks for the dead's after it has got something of its own
    messages = await asyncio.wait_for(first(heir.listen(), 4), 10)
    assert len(messages) == 4
    await heir.shutdown()


async def test_a_list_waits_for_work(port: int) -> None:
    broker = ListQueueBroker(f"redis://127.0.0.1:{port}")
    await broker.startup()
    waiting = asyncio.create_task(first(broker.listen(), 2))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await kick(broker, 2)
    assert len(await asyncio.wait_for(waiting, 10)) == 2
    await broker.shutdown()


async def test_a_channel(port: int) -> None:
    broker = PubSubBroker(f"redis://127.0.0.1:{port}")
    await broker.startup()
    waiting = asyncio.create_task(first(broker.listen(), 2))
    client = redis.asyncio.Redis(port=port)
    for _ in range(500):
        if (await client.pubsub_numsub("taskiq"))[0][1]:
            break
        await asyncio.sleep(0.01)
    await kick(broker, 2)
    assert len(await asyncio.wait_for(waiting, 10)) == 2
    await client.aclose()
    await broker.shutdown()


async def test_results(port: int) -> None:
    backend: RedisAsyncResultBackend[int] = RedisAsyncResultBackend(f"redis://127.0.0.1:{port}", result_ex_time=60)
    await backend.startup()
    result = TaskiqResult(is_err=False, return_value=42, execution_time=0.1, log=None)
    await backend.set_result("id", result)
    assert await backend.is_result_ready("id")
    assert (await backend.get_result("id")).return_value == 42
    await backend.shutdown()
