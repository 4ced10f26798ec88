"""Streams: the same on libkv.Store and on a redis-server."""

import pytest

from tests.oracle.api.recorder import same, typed
from tests.oracle.api.streams import streams

SCENARIOS = [streams]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.filterwarnings("ignore")  # redis-py's deprecations
def test_scenario(clients, scenario):
    same(clients, scenario)


def test_alike_streams(clients):
    """What holds times: everything else in it is the same."""

    def timeless(value):
        if isinstance(value, dict):
            timed = ("idle", "seen-time", "time_since_delivered")
            names = [k.decode() if isinstance(k, bytes) else k for k in value]
            return {
                k: "time" if name in timed else timeless(v) for name, (k, v) in zip(names, value.items(), strict=True)
            }
        if isinstance(value, list):
            value = [timeless(item) for item in value]
            if len(value) in (3, 4) and isinstance(value[0], bytes | str) and isinstance(value[-1], int):
                value[-2] = "time"
        return value

    told = []
    for client in clients:
        for n in range(1, 4):
            client.xadd("s", {"f": n}, id=n)
        client.xgroup_create("s", "g", 0)
        client.xreadgroup("g", "alice", {"s": ">"}, count=2)
        client.xreadgroup("g", "bob", {"s": ">"})
        told.append(
            [
                client.xinfo_stream("s", full=True),
                client.xinfo_consumers("s", "g"),
                client.xpending_range("s", "g", "-", "+", 10),
                client.xpending_range("s", "g", "-", "+", 10, "bob"),
            ]
        )
        assert type(client.xadd("s", {"f": 1})) is type(client.xinfo_groups("s")[0]["name"])
    assert typed(timeless(told[0])) == typed(timeless(told[1]))
