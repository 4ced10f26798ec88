"""The same call makes the same command, byte for byte on the wire, or the same error, in libkv and in redis-py."""

import datetime
import itertools

import pytest
import redis
from redis._parsers.encoders import Encoder as TheirEncoder
from redis.connection import PythonRespSerializer

from libkv import errors
from libkv.api.commands import Commands
from libkv.encode import Encoder

HOUR = datetime.timedelta(hours=1, milliseconds=7)
NOON = datetime.datetime(2031, 5, 6, 12, 0, 0, 250_000, tzinfo=datetime.UTC)
SHAPING = {"withscores", "withscore", "score_cast_func", "get", "no_values", "withvalues", "EMPTY_RESPONSE", "x"}


class Ours(Commands):
    def __init__(self):
        self.sent = []
        self.encoder = Encoder()

    def execute_command(self, *args, **options):
        words = self.encoder.encode_command(args)
        wire = b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)])
        self.sent.append((wire, shaping(options)))
        return [0, {}]

    def get_encoder(self):
        return self.encoder


class Theirs(redis.Redis):
    def __init__(self):
        self.sent = []
        self.serializer = PythonRespSerializer(6000, TheirEncoder("utf-8", "strict", False).encode)

    def execute_command(self, *args, **options):
        wire = b"".join(bytes(part) for part in self.serializer.pack(*args))
        self.sent.append((wire, shaping(options)))
        return [0, {}]

    def get_connection_kwargs(self):
        return {}

    def close(self):
        pass


def shaping(options):
    """The options that a function which shapes replies looks at."""
    return {name: value for name, value in options.items() if name in SHAPING and (value or value == [])}


def outcome(client, method, args, kwargs):
    """The commands sent, or the exception: its class's name and its arguments."""
    client.sent.clear()
    try:
        result = getattr(client, method)(*args, **kwargs)
        if hasattr(result, "__next__"):
            list(result)
    except Exception as error:
        text = () if isinstance(error, TypeError) else error.args  # Python's own texts name its internals
        return list(client.sent), type(error).__name__, text
    return list(client.sent)


def calls():
    """(method, args, kwargs), every method of the store at least once, its options in every combination."""
    yield from [
        ("append", ["k", "v"], {}), ("append", [b"k", 12], {}), ("append", [memoryview(b"k"), 1.5], {}),
        ("append", [bytearray(b"k"), "ä€𝄞"], {}), ("append", ["k", True], {}), ("append", ["k", None], {}),
        ("append", ["k", [1]], {}), ("append", ["k", {"a": 1}], {}), ("append", ["k", object], {}),
        ("append", ["k", float("inf")], {}), ("append", ["k", -0.0], {}), ("append", ["k", 1e100], {}),
        ("append", ["k", 10**30], {}), ("append", ["k", "\udc00"], {}), ("append", ["", b""], {}),
        ("auth", ["pw"], {}), ("auth", ["pw", "user"], {}), ("auth", ["pw"], {"username": "u"}),
        ("bitcount", ["k"], {}), ("bitcount", ["k", 0, -1], {}), ("bitcount", ["k", 0], {}),
        ("bitcount", ["k"], {"end": 1}), ("bitcount", ["k", 0, 5, "BIT"], {}), ("bitcount", ["k"], {"mode": "BIT"}),
        ("bitfield_ro", ["k", "u8", 0], {}), ("bitfield_ro", ["k", "u8", "#1", [("i5", 3), ("u1", "#0")]], {}),
        ("bitop", ["AND", "d", "a", "b"], {}), ("bitop", ["not", "d", "a"], {}),
        ("bitpos", ["k", 1], {}), ("bitpos", ["k", 2], {}), ("bitpos", ["k", 0, 1], {}), ("bitpos", ["k", 0, 1, 2], {}),
        ("bitpos", ["k", 1], {"end": 3}), ("bitpos", ["k", 1, 0, -1, "BIT"], {}), ("bitpos", ["k", True], {}),
        ("client_getname", [], {}), ("client_id", [], {}), ("client_info", [], {}), ("client_kill", ["1.2.3.4:5"], {}),
        ("client_setname", ["n"], {}), ("client_list", [], {}), ("client_list", ["normal"], {}),
        ("client_list", ["NORMAL", [1, 2]], {}), ("client_list", ["bad"], {}), ("client_list", [], {"client_id": 3}),
        ("client_list", [], {"client_id": ["1", 2]}),
        ("command", [], {}), ("command_count", [], {}), ("command_docs", ["get"], {}), ("command_info", [], {}),
        ("command_getkeys", ["SET", "a", "b"], {}), ("command_getkeysandflags", ["SET", "a", "b"], {}),
        ("command_list", [], {}), ("command_list", ["m"], {}), ("command_list", [], {"category": "read"}),
        ("command_list", [], {"pattern": "z*"}), ("command_list", ["m", "c", "p"], {}),
        ("config_get", [], {}), ("config_get", ["a*", "b*"], {}), ("config_set", ["a", 1], {}),
        ("config_set", ["a", 1, "b", 2], {}), ("config_resetstat", [], {}), ("config_rewrite", [], {}),
        ("copy", ["a", "b"], {}), ("copy", ["a", "b", 3], {}), ("copy", ["a", "b"], {"replace": True}),
        ("copy", ["a", "b", 0, True], {}),
        ("dbsize", [], {}), ("debug_object", ["k"], {}), ("debug_segfault", [], {}), ("hello", [], {}),
        ("decr", ["k"], {}), ("decr", ["k", 5], {}), ("decrby", ["k"], {}), ("decrby", ["k", 7], {}),
        ("delete", ["a"], {}), ("delete", ["a", "b", b"c"], {}), ("delete", [], {}),
        ("__delitem__", ["k"], {}), ("__setitem__", ["k", "v"], {}),
        ("echo", ["x"], {}), ("exists", ["a", "b"], {}), ("exists", [], {}), ("expiretime", ["k"], {}),
        ("flushall", [], {}), ("flushall", [True], {}), ("flushdb", [], {}), ("flushdb", [], {"asynchronous": True}),
        ("get", ["k"], {}), ("get", [1], {}), ("get", [None], {}), ("getbit", ["k", 3], {}), ("getdel", ["k"], {}),
        ("getrange", ["k", 0, -1], {}), ("getset", ["k", "v"], {}),
        ("hdel", ["h", "a", "b"], {}), ("hdel", ["h"], {}), ("hexists", ["h", "f"], {}), ("hget", ["h", "f"], {}),
        ("hgetall", ["h"], {}), ("hincrby", ["h", "f"], {}), ("hincrby", ["h", "f", 3], {}),
        ("hincrbyfloat", ["h", "f"], {}), ("hincrbyfloat", ["h", "f", 0.1], {}), ("hkeys", ["h"], {}),
        ("hlen", ["h"], {}), ("hmget", ["h", "a", "b"], {}), ("hmget", ["h", ["a", "b"]], {}),
        ("hmget", ["h", ("a",), "b"], {}), ("hmget", ["h", {"a": 0}.keys(), "b"], {}), ("hmget", ["h", 5], {}),
        ("hmset", ["h", {"a": 1, "b": 2.5}], {}), ("hmset", ["h", {}], {}),
        ("hrandfield", ["h"], {}), ("hrandfield", ["h", 2], {}), ("hrandfield", ["h", -3, True], {}),
        ("hrandfield", ["h", 0], {}), ("hrandfield", ["h"], {"withvalues": True}),
        ("hset", ["h", "f", "v"], {}), ("hset", ["h"], {}), ("hset", ["h"], {"mapping": {"a": 1, "b": b"x"}}),
        ("hset", ["h", "f", "v", {"a": 1}], {}), ("hset", ["h"], {"items": ["a", 1, "b", 2]}),
        ("hset", ["h", "f", "v", {"a": 1}, ["z", 9]], {}), ("hset", ["h", "f"], {}),
        ("hset", ["h", None, None, {}], {}),
        ("hsetnx", ["h", "f", "v"], {}), ("hstrlen", ["h", "f"], {}), ("hvals", ["h"], {}),
        ("incr", ["k"], {}), ("incr", ["k", 5], {}), ("incr", ["k"], {"amount": 2}), ("incrby", ["k"], {}),
        ("incrby", ["k", 7], {}), ("incrbyfloat", ["k"], {}), ("incrbyfloat", ["k", 0.1], {}),
        ("info", [], {}), ("info", ["server"], {}), ("info", ["server", "stats"], {}),
        ("keys", [], {}), ("keys", ["a*"], {}), ("keys", ["a*"], {"x": 1}),
        ("lindex", ["l", 0], {}), ("linsert", ["l", "BEFORE", "a", "b"], {}), ("llen", ["l"], {}),
        ("lmove", ["a", "b"], {}), ("lmove", ["a", "b", "RIGHT", "LEFT"], {}),
        ("lmpop", [2, "a", "b"], {"direction": "LEFT"}), ("lmpop", [1, "a"], {"direction": "RIGHT", "count": 3}),
        ("lmpop", [1, "a"], {"direction": "RIGHT", "count": None}),
        ("lolwut", [], {}), ("lolwut", [5, 1], {}),
        ("lpop", ["l"], {}), ("lpop", ["l", 0], {}), ("lpop", ["l", 2], {}), ("lpush", ["l", 1, "a", b"b"], {}),
        ("lpushx", ["l", 1, 2], {}), ("lrange", ["l", 0, -1], {}), ("lrem", ["l", 0, "x"], {}),
        ("lset", ["l", 0, "x"], {}), ("ltrim", ["l", 0, 1], {}),
        ("mget", ["a"], {}), ("mget", [["a", "b"]], {}), ("mget", ["a", "b"], {}), ("mget", [[]], {}),
        ("mget", [("a",), "b"], {}), ("mget", [{"a": 1}], {}), ("mget", [b"a", "b"], {}),
        ("move", ["k", 1], {}), ("mset", [{"a": 1, b"b": "x"}], {}), ("mset", [{}], {}), ("msetnx", [{"a": 1.5}], {}),
        ("object", ["encoding", "k"], {}), ("persist", ["k"], {}), ("pexpiretime", ["k"], {}),
        ("pfadd", ["h", 1, 2, 3], {}), ("pfadd", ["h"], {}), ("pfcount", ["a", "b"], {}),
        ("pfmerge", ["d", "a", "b"], {}),
        ("ping", [], {}), ("psetex", ["k", 100, "v"], {}), ("psetex", ["k", HOUR, "v"], {}), ("pttl", ["k"], {}),
        ("quit", [], {}), ("randomkey", [], {}), ("rename", ["a", "b"], {}), ("renamenx", ["a", "b"], {}),
        ("reset", [], {}), ("rpop", ["l"], {}), ("rpop", ["l", 0], {}), ("rpop", ["l", 2], {}),
        ("rpoplpush", ["a", "b"], {}), ("rpush", ["l", 1, 2], {}), ("rpushx", ["l", 1], {}),
        ("sadd", ["s", 1, "a"], {}), ("scard", ["s"], {}), ("select", [3], {}),
        ("setbit", ["k", 7, 1], {}), ("setbit", ["k", 7, 0], {}), ("setbit", ["k", 7, 2], {}),
        ("setbit", ["k", 7, ""], {}),
        ("setex", ["k", 10, "v"], {}), ("setex", ["k", HOUR, "v"], {}), ("setnx", ["k", "v"], {}),
        ("setrange", ["k", 5, "v"], {}),
        ("sintercard", [2, ["a", "b"]], {}), ("sintercard", [2, ["a", "b"], 7], {}),
        ("sismember", ["s", "m"], {}), ("smembers", ["s"], {}), ("smismember", ["s", "a", "b"], {}),
        ("smismember", ["s", ["a", "b"], "c"], {}), ("smove", ["a", "b", "m"], {}), ("spop", ["s"], {}),
        ("spop", ["s", 0], {}), ("spop", ["s", 2], {}), ("srandmember", ["s"], {}), ("srandmember", ["s", -2], {}),
        ("srandmember", ["s", 0], {}), ("srem", ["s", "a", "b"], {}),
        ("slowlog_get", [], {}), ("slowlog_get", [5], {}), ("slowlog_get", [0], {}), ("slowlog_len", [], {}),
        ("slowlog_reset", [], {}), ("strlen", ["k"], {}), ("substr", ["k", 1], {}), ("substr", ["k", 1, 4], {}),
        ("swapdb", [0, 1], {}), ("time", [], {}), ("touch", ["a", "b"], {}), ("ttl", ["k"], {}), ("type", ["k"], {}),
        ("unlink", ["a", "b"], {}), ("zcard", ["z"], {}), ("zcount", ["z", "-inf", "(5"], {}),
        ("zcount", ["z", 0, 1.5], {}),
        ("zdiff", [["a", "b"]], {}), ("zdiff", [("a",), True], {}), ("zdiffstore", ["d", ["a", "b"]], {}),
        ("zincrby", ["z", 1.5, "m"], {}), ("zintercard", [1, ["a"]], {}), ("zintercard", [2, ["a", "b"], 3], {}),
        ("zlexcount", ["z", "-", "[b"], {}), ("zmscore", ["z", ["a", "b"]], {}), ("zmscore", ["z", []], {}),
        ("zpopmax", ["z"], {}), ("zpopmax", ["z", 0], {}), ("zpopmin", ["z", 2], {}), ("zpopmin", ["z"], {}),
        ("zrandmember", ["z"], {}), ("zrandmember", ["z", -2, True], {}), ("zrandmember", ["z", 3], {}),
        ("zrank", ["z", "m"], {}), ("zrevrank", ["z", "m"], {}), ("zrank", ["z", "m", True], {}),
        ("zrevrank", ["z", "m", True, int], {}), ("zrem", ["z", "a", 1], {}), ("zremrangebylex", ["z", "-", "+"], {}),
        ("zremrangebyrank", ["z", 0, -1], {}), ("zremrangebyscore", ["z", 0, "(1"], {}),
        ("zrevrange", ["z", 0, -1], {}),
        ("zrevrange", ["z", 0, -1, True, int], {}), ("zscore", ["z", "m"], {}),
        ("scan_iter", [], {}), ("scan_iter", ["a*", 10, "hash"], {}), ("sscan_iter", ["s", "a*", 10], {}),
        ("hscan_iter", ["h", "a*", 10], {}), ("hscan_iter", ["h"], {"no_values": True}), ("zscan_iter", ["z"], {}),
    ]  # fmt: skip
    yield from combined()


def options(**choices):
    """Every combination of these keyword arguments, each also left out."""
    names = list(choices)
    for picked in itertools.product(*([None, *choices[name]] for name in names)):
        yield {name: value for name, value in zip(names, picked, strict=True) if value is not None}


def combined():
    ends = {"ex": [10, HOUR, "7", 1.5], "px": [1500, HOUR, "7"], "exat": [99, NOON], "pxat": [99, NOON]}
    for kwargs in options(**{name: values[:2] for name, values in ends.items()}, keepttl=[True]):
        yield "set", ["k", "v"], kwargs
    for name, values in ends.items():
        for value in values:
            yield "set", ["k", "v"], {name: value}
            yield "getex", ["k"], {name: value}
    for kwargs in options(nx=[True], xx=[True], get=[True], ifeq=["a"], ifne=["b"], ifdeq=["c"], ifdne=["d"], ex=[5]):
        yield "set", ["k", "v"], kwargs
    for kwargs in options(ex=[1], px=[2], exat=[3], pxat=[4], persist=[True]):
        yield "getex", ["k"], kwargs
    for method, times in (
        ("expire", [5, HOUR]),
        ("pexpire", [5, HOUR]),
        ("expireat", [5, NOON]),
        ("pexpireat", [5, NOON]),
    ):
        for time, kwargs in itertools.product(times, options(nx=[True], xx=[True], gt=[True], lt=[True])):
            yield method, ["k", time], kwargs
    for kwargs in options(len=[True], idx=[True], minmatchlen=[3], withmatchlen=[True]):
        yield "lcs", ["a", "b"], kwargs
    for kwargs in options(rank=[-1], count=[0, 2], maxlen=[9]):
        yield "lpos", ["l", "x"], kwargs
    for kwargs in options(match=["a*"], count=[5]):
        yield "sscan", ["s"], kwargs
        yield "zscan", ["z"], kwargs
        yield "zscan", ["z", 7], {**kwargs, "score_cast_func": int}
        for more in options(no_values=[True, False]):
            yield "hscan", ["h"], {**kwargs, **more}
        for more in options(_type=["hash"], x=[1]):
            yield "scan", [3], {**kwargs, **more}
    for mapping, kwargs in itertools.product(
        [{}, {"a": 1}, {"a": 1.5, b"b": "inf"}],
        options(nx=[True], xx=[True], ch=[True], incr=[True], gt=[True], lt=[True]),
    ):
        yield "zadd", ["z", mapping], kwargs
    for kwargs in options(desc=[True], withscores=[True], byscore=[True], bylex=[True], offset=[1], num=[2]):
        yield "zrange", ["z", 0, -1], kwargs
        if "withscores" not in kwargs:
            yield "zrangestore", ["d", "z", "(1", 3], kwargs
    for kwargs in options(start=[0], num=[5]):
        yield "zrangebylex", ["z", "-", "+"], kwargs
        yield "zrevrangebylex", ["z", "+", "-"], kwargs
        for more in options(withscores=[True], score_cast_func=[int]):
            yield "zrangebyscore", ["z", 0, 1], {**kwargs, **more}
            yield "zrevrangebyscore", ["z", 1, 0], {**kwargs, **more}
    for keys, kwargs in itertools.product(
        [["a", "b"], {"a": 2, "b": 0.5}, []], options(aggregate=["min", "SUM", "avg"])
    ):
        yield "zinterstore", ["d", keys], kwargs
        yield "zunionstore", ["d", keys], kwargs
        for more in options(withscores=[True]):
            yield "zinter", [keys], {**kwargs, **more}
            yield "zunion", [keys], {**kwargs, **more}
    for kwargs in options(min=[True], max=[True], count=[3]):
        yield "zmpop", [2, ["a", "b"]], kwargs
    for method in ("blpop", "brpop", "bzpopmin", "bzpopmax"):
        for args in (["a"], [b"a", 0.0], [["a", "b"], 1.5], [("a",), None], [[]], [["a"], "x"]):
            yield method, args, {}
    for args in (["a", "b"], ["a", "b", 0.0], ["a", "b", None], ["a", "b", 2]):
        yield "brpoplpush", args, {}
    for kwargs in options(src=["RIGHT"], dest=["LEFT"]):
        yield "blmove", ["a", "b", 0.5], kwargs
    for kwargs in options(count=[2, None]):
        yield "blmpop", [0.5, 2, "a", "b"], {"direction": "LEFT", **kwargs}
    for kwargs in options(min=[True], max=[True], count=[3, None]):
        yield "bzmpop", [0, 2, ["a", "b"]], kwargs
    for kwargs in options(all=[False], x=[1]):
        for timeout in (1, True, 1.5, "1"):
            yield "client_pause", [timeout], kwargs
    for kwargs in options(error=[True]):
        for number in (1, "2", 3.7, "x"):
            yield "client_unblock", [number], kwargs
    yield "client_unpause", [], {}
    yield "wait", [1, 100], {}
    for method in ("sdiff", "sinter", "sunion"):
        for args in (["a"], [["a", "b"]], ["a", "b"], [("a",), "b"], [[]]):
            yield method, args, {}
            yield method + "store", ["d", *args], {}
    for kwargs in options(_id=["3"], _type=["normal", "bad"], addr=["a:1"], skipme=[True, False, "yes"]):
        yield "client_kill_filter", [], kwargs
    yield "client_kill_filter", [], {"laddr": "b:2", "user": "u", "maxage": 9}
    for kwargs in options(save=[True], nosave=[True], now=[True], force=[True], abort=[True]):
        yield "shutdown", [], kwargs


@pytest.mark.filterwarnings("ignore")  # redis-py calls some methods deprecated or experimental
def test_every_call():
    ours, theirs = Ours(), Theirs()
    different = []
    count = 0
    for method, args, kwargs in calls():
        count += 1
        mine, wanted = outcome(ours, method, args, kwargs), outcome(theirs, method, args, kwargs)
        if mine != wanted:
            different.append(f"{method}(*{args!r}, **{kwargs!r}):\n  ours   {mine}\n  theirs {wanted}")
    assert not different, f"{len(different)} of {count} calls differ:\n" + "\n".join(different[:20])
    assert count > 1000


def test_every_method_is_called():
    called = {method for method, _, _ in calls()}
    commands = {n for n in dir(Commands) if not n.startswith("_")} - {"execute_command", "bitfield"}
    assert commands - called == set()


def test_bitfield_builder():
    for overflow, steps in itertools.product(
        [None, "wrap", "SAT", "fail"],
        itertools.product(
            [("get", "u8", 0), ("set", "i5", "#2", 3), ("incrby", "u2", 4, -1), ("overflow", "sat")], repeat=3
        ),
    ):
        ours, theirs = Ours(), Theirs()
        builders = [ours.bitfield("k", overflow), theirs.bitfield("k", overflow)]
        for name, *args in steps:
            for builder in builders:
                assert getattr(builder, name)(*args) is builder
        mine, wanted = builders
        assert mine.command == wanted.command
        mine.incrby("u8", 0, 1, "WRAP").execute()
        wanted.incrby("u8", 0, 1, "WRAP").execute()
        assert ours.sent == theirs.sent
        assert mine.command == wanted.command, "after execute"


def test_errors_are_redis_errors():
    with pytest.raises(redis.DataError, match=r"^Invalid input of type: 'bool'"):
        Ours().set("k", True)
    with pytest.raises(errors.DataError, match=r"^Invalid input of type: 'NoneType'"):
        Ours().set("k", None)
