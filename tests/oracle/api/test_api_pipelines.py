"""Pipelines and transactions: scenarios that return a value, or raise, the same on both."""

import pytest
import redis

from tests.oracle.api.recorder import typed


def transaction_results(r):
    with r.pipeline() as pipe:
        assert pipe.set("a", 1).incr("a").get("a").hset("h", mapping={"x": 1}).hgetall("h") is pipe
        pipe.zadd("z", {"m": 1.5}).zrange("z", 0, -1, withscores=True).smembers("none").mget([]).mget("a", "b")
        length = len(pipe)
        return length, bool(pipe), pipe.execute(), len(pipe)


def row_results(r):
    with r.pipeline(transaction=False) as pipe:
        pipe.set("a", 1).lpush("a", 2).get("a").mget([]).ping()
        return pipe.execute(raise_on_error=False)


def errors_in_the_list(r):
    with r.pipeline() as pipe:
        pipe.set("a", "x").incr("a").lpush("a", 1).get("a")
        return pipe.execute(raise_on_error=False)


def first_error(r):
    return r.pipeline().set("a", "x").incr("a").lpush("a", 1).execute()


def first_error_of_a_long_command(r):
    return r.pipeline(transaction=False).set("a", "x" * 300).lpush("a", *["y  z" * 50] * 3).execute()


def refused_when_queued(r):
    return r.pipeline().set("a", 1).execute_command("NOSUCH", "x").execute()


def refused_when_queued_without_raising(r):
    return r.pipeline().set("a", 1).execute_command("GET").execute(raise_on_error=False)


def nothing_to_do(r):
    return r.pipeline().execute()


def bad_argument(r):
    return r.pipeline().set("a", 1).set("b", None).execute()


def immediate_after_watch(r):
    r.set("a", 5)
    with r.pipeline() as pipe:
        watched = pipe.watch("a")
        value = int(pipe.get("a"))
        missing = pipe.mget([])
        pipe.multi()
        pipe.set("a", value + 1)
        return watched, value, missing, pipe.execute(), pipe.watching, r.get("a")


def watched_key_changes(r):
    with r.pipeline() as pipe:
        pipe.watch("a")
        r.set("a", "other")
        pipe.multi()
        pipe.set("a", "mine")
        return pipe.execute()


def watching_and_no_command(r):
    with r.pipeline() as pipe:
        pipe.watch("a")
        return pipe.execute()


def unwatched(r):
    with r.pipeline() as pipe:
        pipe.watch("a")
        first = pipe.unwatch()
        r.set("a", "other")
        pipe.set("a", "mine")
        return first, pipe.unwatch(), pipe.execute()


def error_while_watching(r):
    r.set("a", "x")
    with r.pipeline() as pipe:
        pipe.watch("a")
        return pipe.incr("a")


def multi_twice(r):
    with r.pipeline() as pipe:
        pipe.watch("a")
        pipe.multi()
        pipe.multi()


def multi_after_commands(r):
    r.pipeline().set("a", 1).multi()


def watch_after_multi(r):
    with r.pipeline() as pipe:
        pipe.watch("a")
        pipe.multi()
        pipe.watch("b")


def discarded(r):
    return r.pipeline().set("a", 1).discard()


def reset_forgets(r):
    pipe = r.pipeline()
    pipe.set("a", 1)
    pipe.reset()
    return pipe.execute(), r.get("a")


def transaction_tried_again(r):
    tries = []

    def step(pipe):
        tries.append(int(pipe.get("a") or 0))
        if len(tries) == 1:
            r.incr("a")
        pipe.multi()
        pipe.set("a", tries[-1] + 10)

    return r.transaction(step, "a", watch_delay=0.001), tries, r.get("a")


def transaction_with_value(r):
    return r.transaction(lambda pipe: (pipe.set("a", 1), "value")[1], "b", value_from_callable=True)


def results_with_none_in_keys(r):
    return r.pipeline().set("k", None).execute()


def scans_in_a_pipeline(r):
    r.zadd("z", {"m": 1})
    return r.pipeline().scan().hscan("none").zscan("z").info("keyspace").config_get("maxmemory").execute()


@pytest.mark.parametrize(
    "scenario",
    [
        transaction_results,
        row_results,
        errors_in_the_list,
        first_error,
        first_error_of_a_long_command,
        refused_when_queued,
        refused_when_queued_without_raising,
        nothing_to_do,
        bad_argument,
        immediate_after_watch,
        watched_key_changes,
        watching_and_no_command,
        unwatched,
        error_while_watching,
        multi_twice,
        multi_after_commands,
        watch_after_multi,
        discarded,
        reset_forgets,
        transaction_tried_again,
        transaction_with_value,
        results_with_none_in_keys,
        scans_in_a_pipeline,
    ],
    ids=lambda scenario: scenario.__name__,
)
def test_pipeline(clients, scenario):
    outcomes = []
    for client in clients:
        client.flushall()
        try:
            outcomes.append(typed(scenario(client)))
        except Exception as error:
            outcomes.append((type(error).__name__, str(error), isinstance(error, redis.RedisError)))
    assert outcomes[0] == outcomes[1]
