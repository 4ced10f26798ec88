"""One scenario on two clients: each call's value, its type, or the exception is noted and compared."""

import math
import time

import redis


class Recorder:
    """Stands before a client: notes each call and its outcome, and lets the scenario go on after an exception."""

    def __init__(self, client, log=None):
        self.client = client
        self.log = [] if log is None else log

    def __getattr__(self, name):
        def call(*args, **kwargs):
            words = [repr(getattr(a, "obj", a)) for a in args]
            words += [f"{name}={getattr(value, '__name__', value)!r}" for name, value in kwargs.items()]
            what = f"{name}({', '.join(words)})"
            try:
                value = getattr(self.client, name)(*args, **kwargs)
                if hasattr(value, "__next__"):
                    value = sorted(value)
            except Exception as error:
                self.log.append((what, "raised", type(error).__name__, str(error), isinstance(error, redis.RedisError)))
                return None
            if type(value).__name__ == "BitFieldOperation":
                return Recorder(value, self.log)
            if name == "config_get":  # a redis-server gives these in the order of its hashing
                value = dict(sorted(value.items()))
            elif name == "command_list":
                value.sort()
            elif name == "sscan":
                value[1].sort()
            elif name == "ttl" and value > 0:  # a second may have passed on one of them
                value = round(value, -2)
            self.log.append((what, *typed(value)))
            return value

        return call

    def contains(self, name):
        self.log.append((f"{name!r} in", name in self.client))

    def until_saved(self):
        """Waits for the child that writes a file; how often it has to be asked is nobody's promise, and not noted."""
        for _ in range(500):
            state = self.client.info("persistence")
            if not (state["rdb_bgsave_in_progress"] or state["aof_rewrite_in_progress"]):
                return
            time.sleep(0.02)
        raise AssertionError(state)


def typed(value):
    """A value with the types of all its parts."""
    if isinstance(value, list | tuple):
        return type(value).__name__, [typed(item) for item in value]
    if isinstance(value, set):
        return "set", sorted(map(repr, value))
    if isinstance(value, dict):
        return "dict", [(typed(k), typed(v)) for k, v in value.items()]
    if isinstance(value, float) and math.isnan(value):
        return "float", "nan"
    if isinstance(value, Exception):
        return type(value).__name__, str(value)
    return type(value).__name__, value


def same(clients, scenario):
    """Runs a scenario on both and compares call by call."""
    logs = []
    for client in clients:
        recorder = Recorder(client)
        scenario(recorder)
        logs.append(recorder.log)
    assert len(logs[0]) == len(logs[1])
    for mine, wanted in zip(*logs, strict=True):
        assert mine == wanted
    assert len(logs[0]) > 3
