"""Locks: the same on libkv.Store and on a redis-server."""

import pytest

from tests.oracle.api.recorder import typed


def lock_life(r):
    log = []

    def attempt(function, *args, **kwargs):
        try:
            log.append(typed(function(*args, **kwargs)))
        except Exception as error:
            log.append((type(error).__name__, str(error), getattr(error, "lock_name", None)))

    lock = r.lock("job", timeout=5000)
    attempt(lock.release)
    attempt(lock.extend, 1)
    attempt(lock.locked)
    attempt(lock.acquire, token="mine")
    attempt(lock.locked)
    attempt(lock.owned)
    attempt(lock.acquire, blocking=False)
    attempt(r.lock("job").acquire, blocking_timeout=0.02, sleep=0.01)
    attempt(lock.extend, 5000)
    attempt(lambda: round(r.ttl("job") / 100))  # whatever the pace
    attempt(lock.extend, 2000, replace_ttl=True)
    attempt(lambda: round(r.ttl("job") / 100))  # whatever the pace
    attempt(lock.reacquire)
    attempt(lambda: round(r.ttl("job") / 100))  # whatever the pace
    r.set("job", "stolen")
    attempt(lock.owned)
    attempt(lock.extend, 1)
    attempt(lock.reacquire)
    attempt(lock.release)
    attempt(lock.release)
    r.delete("job")
    endless = r.lock("job")
    attempt(endless.acquire)
    attempt(endless.extend, 1)
    attempt(endless.reacquire)
    attempt(endless.release)
    with r.lock("job", timeout=5):
        attempt(r.exists, "job")
    attempt(r.exists, "job")
    r.set("job", "somebody")
    attempt(lambda: r.lock("job", blocking=False).__enter__())
    return log


@pytest.mark.filterwarnings("ignore")
def test_lock(clients, server):
    wanted = lock_life(clients[1])
    assert lock_life(clients[0]) == wanted
