"""limits: a rate limiter whose every step is a Lua script; and a lock and a semaphore by scripts of redis-py's."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

STRATEGIES = [FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_limit_is_kept(port: int, strategy: type[FixedWindowRateLimiter]) -> None:
    limiter = strategy(storage_from_string(f"redis://127.0.0.1:{port}"))
    ten = RateLimitItemPerMinute(10)
    assert [limiter.hit(ten, "a") for _ in range(12)] == [True] * 10 + [False] * 2
    assert limiter.hit(ten, "b") and not limiter.test(ten, "a")
    assert limiter.get_window_stats(ten, "a").remaining == 0
    limiter.clear(ten, "a")
    assert limiter.hit(ten, "a", cost=4)
    assert limiter.get_window_stats(ten, "a").remaining == 6


def test_a_moving_window_moves(port: int) -> None:
    limiter = MovingWindowRateLimiter(storage_from_string(f"redis://127.0.0.1:{port}"))
    two = RateLimitItemPerSecond(2)
    assert [limiter.hit(two, "x") for _ in range(3)] == [True, True, False]
    time.sleep(1.1)
    assert limiter.hit(two, "x")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_threads_never_pass_the_limit_together(port: int, strategy: type[FixedWindowRateLimiter]) -> None:
    limiter = strategy(storage_from_string(f"redis://127.0.0.1:{port}"))
    fifty = RateLimitItemPerMinute(50)
    passed: list[bool] = []

    def run() -> None:
        passed.extend(limiter.hit(fifty, "shared") for _ in range(20))

    threads = [threading.Thread(target=run) for _ in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(passed) == 50 and len(passed) == 100


def test_a_lock_is_held_by_one(port: int) -> None:
    client = redis.Redis(port=port)
    seen: list[int] = []

    def run(number: int) -> None:
        with client.lock("door", timeout=5, blocking_timeout=5, sleep=0.01):
            seen.append(number)
            assert client.incr("inside") == 1
            client.decr("inside")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(seen) == [0, 1, 2, 3] and client.get("inside") == b"0"
