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
GETS = ["g*", b"#", ["#", "w*"], ("#",), []]
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

    def get_encoder(self):
        return TheirEncoder("utf-8", "strict", False)

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
        if method == "register_script":
            result(keys=["k"], args=[1, b"a"])
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
    yield from users_and_scripts()
    yield from monitoring()
    yield from messages()
    yield from geo()
    yield from streams()


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


def users_and_scripts():
    yield from [
        ("acl_cat", [], {}), ("acl_cat", ["read"], {}), ("acl_deluser", ["a", "b"], {}),
        ("acl_dryrun", ["u", "get", "k"], {}), ("acl_genpass", [], {}), ("acl_genpass", [128], {}),
        ("acl_genpass", ["7"], {}), ("acl_genpass", [-1], {}), ("acl_genpass", ["x"], {}),
        ("acl_getuser", ["u"], {}), ("acl_help", [], {}), ("acl_list", [], {}), ("acl_load", [], {}),
        ("acl_log", [], {}), ("acl_log", [3], {}), ("acl_log", [0], {}), ("acl_log", ["x"], {}),
        ("acl_log_reset", [], {}), ("acl_save", [], {}), ("acl_users", [], {}), ("acl_whoami", [], {}),
        ("acl_setuser", ["u"], {"passwords": "+p", "nopass": True}), ("acl_setuser", ["u"], {"passwords": "p"}),
        ("acl_setuser", ["u"], {"passwords": ["+p", "-q"], "hashed_passwords": ["+aa", "-bb"]}),
        ("acl_setuser", ["u"], {"hashed_passwords": "x"}), ("acl_setuser", ["u"], {"categories": ["read"]}),
        ("acl_setuser", ["u"], {"commands": ["get"]}), ("acl_setuser", ["u"], {"selectors": [("get", "k")]}),
        ("acl_setuser", ["u"], {"selectors": [("+get", "k"), ("-@all", "%R~z*")]}),
        ("acl_setuser", ["u"], {"categories": ["+@read", "-write"], "commands": ["+get", "-set|x"]}),
        ("acl_setuser", ["u"], {"keys": ["k*", b"%R~z"], "channels": ["c*"]}),
        ("eval", ["return 1", 0], {}), ("eval", ["return 1", 1, "k", 2, b"x"], {}), ("eval", ["", "x"], {}),
        ("eval_ro", ["return 1", 1, "k", 1.5], {}), ("evalsha", ["ab", 0], {}), ("evalsha", ["ab", 1, "k", 2], {}),
        ("evalsha_ro", ["ab", 2, "a", "b"], {}), ("fcall", ["f", 0], {}), ("fcall", [b"f", 1, "k", 2], {}),
        ("fcall_ro", ["f", 1, "k"], {}),
        ("function_delete", ["l"], {}), ("function_dump", [], {}), ("function_flush", [], {}),
        ("function_flush", ["ASYNC"], {}), ("function_kill", [], {}), ("function_stats", [], {}),
        ("function_list", [], {}), ("function_list", ["a*"], {}), ("function_list", ["*", True], {}),
        ("function_load", ["code"], {}), ("function_load", ["code", True], {}),
        ("function_restore", [b"\x00"], {}), ("function_restore", [b"\x00", "FLUSH"], {}),
        ("function_restore", [b"", None], {}),
        ("register_script", ["return 1"], {}), ("register_script", [b"return 2"], {}),
        ("script_debug", [], {}), ("script_debug", ["YES"], {}), ("script_exists", [], {}),
        ("script_exists", ["a", "b"], {}), ("script_flush", [], {}), ("script_flush", ["SYNC"], {}),
        ("script_flush", ["ASYNC"], {}), ("script_flush", ["x"], {}), ("script_kill", [], {}),
        ("script_load", ["return 1"], {}), ("script_load", [b"return 1"], {}),
    ]  # fmt: skip
    resets = ("reset", "reset_keys", "reset_channels", "reset_passwords")
    for kwargs in options(enabled=[True], nopass=[True], **{name: [True] for name in resets}):
        yield "acl_setuser", ["u"], kwargs


def monitoring():
    yield from [
        ("bgrewriteaof", [], {}), ("bgsave", [], {}), ("bgsave", [False], {}), ("bgsave", [], {"schedule": True}),
        ("lastsave", [], {}), ("save", [], {}),
        ("cluster", ["info"], {}), ("cluster", ["KEYSLOT", "k"], {}), ("cluster", ["addslots", 1, 2], {}),
        ("failover", [], {}), ("readonly", [], {}), ("readwrite", [], {}), ("role", [], {}),
        ("replicaof", ["NO", "ONE"], {}), ("replicaof", ["h", 1], {}), ("slaveof", [], {}), ("slaveof", ["h", 1], {}),
        ("slaveof", ["h"], {}), ("slaveof", [], {"port": 1}),
        ("latency_doctor", [], {}), ("latency_graph", [], {}), ("latency_histogram", [], {}),
        ("latency_histogram", ["get"], {}), ("latency_history", ["command"], {}), ("latency_latest", [], {}),
        ("latency_reset", [], {}), ("latency_reset", ["a", "b"], {}),
        ("memory_doctor", [], {}), ("memory_help", [], {}), ("memory_malloc_stats", [], {}), ("memory_purge", [], {}),
        ("memory_stats", [], {}), ("memory_usage", ["k"], {}), ("memory_usage", ["k", 0], {}),
        ("memory_usage", ["k", 5], {}), ("memory_usage", ["k", "5"], {}),
        ("module_list", [], {}), ("module_load", ["p"], {}), ("module_load", ["p", "a", 1], {}),
        ("module_unload", ["m"], {}), ("module_loadex", ["p"], {}), ("module_loadex", ["p", ["a", "b"]], {}),
        ("module_loadex", ["p", None, ["c"]], {}), ("module_loadex", ["p", ["a", "b"], ["c"]], {}),
        ("module_loadex", ["p", [], []], {}),
        ("dump", ["k"], {}), ("restore", ["k", 0, b"\x00"], {}), ("restore", ["k", 0, b""], {"idletime": "x"}),
        ("restore", ["k", 0, b""], {"frequency": "x"}), ("restore", ["k", 0, b""], {"idletime": "4"}),
    ]  # fmt: skip
    for kwargs in options(replace=[True], absttl=[True], idletime=[0, 7], frequency=[0, 9]):
        yield "restore", ["k", 1500, b"x"], kwargs
    for keys, kwargs in itertools.product(["k", ["a", b"b"], []], options(copy=[True], replace=[True], auth=["p", ""])):
        yield "migrate", ["h", 6379, keys, 0, 1000], kwargs
    for kwargs in options(start=[0], num=[5], by=["w*"], get=GETS, desc=[True], alpha=[True]):
        for more in options(store=["d"], groups=[True]):
            yield "sort", ["l"], {**kwargs, **more}


def messages():
    yield from [
        ("publish", ["c", "m"], {}), ("publish", [b"c", 1.5], {}), ("publish", ["c", None], {}),
        ("spublish", ["c", "m"], {}), ("pubsub_channels", [], {}), ("pubsub_channels", ["a*"], {}),
        ("pubsub_numpat", [], {}), ("pubsub_numsub", [], {}), ("pubsub_numsub", ["a", b"b"], {}),
        ("pubsub_shardchannels", [], {}), ("pubsub_shardchannels", ["a*"], {}), ("pubsub_shardnumsub", ["a", "b"], {}),
        ("pubsub_shardnumsub", [], {}),
        ("client_getredir", [], {}), ("client_trackinginfo", [], {}), ("client_no_evict", ["ON"], {}),
        ("client_tracking", [], {}), ("client_tracking", [False], {}),
    ]  # fmt: skip
    ways = {name: [True] for name in ("bcast", "optin", "optout", "noloop")}
    for kwargs in options(clientid=[7, 0], prefix=[["a"], [], ["a", b"b"]], **ways):
        for method in ("client_tracking", "client_tracking_on", "client_tracking_off"):
            yield method, [], kwargs


def geo():
    place = [13.5, "38.25", "a"]
    for values, kwargs in itertools.product(
        [place, place * 2, (1, 2, b"m"), place[:2], []], options(nx=[True], xx=[True], ch=[True])
    ):
        yield "geoadd", ["g", values], kwargs
    for args in (["a", "b"], ["a", b"b", "km"], ["a", "b", "parsec"], ["a", "b", ""]):
        yield "geodist", ["g", *args], {}
    for method in ("geohash", "geopos"):
        yield method, ["g", "a", b"b"], {}
        yield method, ["g"], {}
    answers = {name: [True] for name in ("withcoord", "withdist", "withhash")}
    wanted = {"count": [3, 0], "any": [True], "sort": ["ASC", "DESC", "asc", "x"]}
    for kwargs in options(unit=["km", "parsec"], **wanted, store=["d"], store_dist=["e"]):
        yield "georadius", ["g", 1.5, 2, 3], kwargs
        yield "georadiusbymember", ["g", "m", 3], kwargs
    for kwargs in options(**answers, store=["d"]):
        yield "georadius", ["g", 1.5, 2, 3], kwargs
        yield "georadiusbymember", ["g", "m", 3], kwargs
    spots = {"member": ["m"], "longitude": [1.5, 0], "latitude": [2], "radius": [3, 0]}
    for kwargs in options(**spots, width=[4], height=[5], unit=["km", "parsec"]):
        yield "geosearch", ["g"], kwargs
        yield "geosearchstore", ["d", "g"], kwargs
    for kwargs in options(**wanted):
        for more in options(**answers):
            yield "geosearch", ["g", "m"], {"radius": 3, **kwargs, **more}
        for more in options(storedist=[True]):
            yield "geosearchstore", ["d", "g", "m"], {"radius": 3, **kwargs, **more}


def streams():
    yield from [
        ("xack", ["s", "g", "1-1", 5], {}), ("xack", ["s", "g"], {}), ("xdel", ["s", "1-1", b"2-2"], {}),
        ("xgroup_createconsumer", ["s", "g", "c"], {}), ("xgroup_delconsumer", ["s", "g", "c"], {}),
        ("xgroup_destroy", ["s", "g"], {}), ("xinfo_consumers", ["s", "g"], {}), ("xinfo_groups", ["s"], {}),
        ("xinfo_stream", ["s"], {}), ("xinfo_stream", ["s", True], {}), ("xlen", ["s"], {}),
        ("xpending", ["s", "g"], {}),
        ("xgroup_setid", ["s", "g", "$"], {}), ("xgroup_setid", ["s", "g", "5-1", 7], {}),
        ("xgroup_setid", ["s", "g", 0], {"entries_read": 0}),
        ("xadd", ["s", {}], {}), ("xadd", ["s", None], {}), ("xadd", ["s", [("a", 1)]], {}),
        ("xadd", ["s", {"a": 1, b"b": 2.5}], {}), ("xadd", ["s", {"a": 1}, "5-*"], {}),
        ("xadd", ["s", {"a": 1}], {"maxlen": -1}), ("xadd", ["s", {"a": 1}], {"maxlen": "5"}),
        ("xadd", ["s", {"a": 1}], {"maxlen": 5, "limit": 0}),
        ("xadd", ["s", {"a": 1}], {"idmpauto": "p"}), ("xadd", ["s", {"a": 1}], {"idmp": ("p", b"i")}),
        ("xadd", ["s", {"a": 1}], {"idmpauto": "p", "idmp": ("p", b"i")}),
        ("xadd", ["s", {"a": 1}, "1-1"], {"idmpauto": "p"}), ("xadd", ["s", {"a": 1}], {"idmp": ("p",)}),
        ("xautoclaim", ["s", "g", "c", "x"], {}), ("xautoclaim", ["s", "g", "c", -1], {}),
        ("xautoclaim", ["s", "g", "c", 5], {"count": -1}),
        ("xclaim", ["s", "g", "c", -1, ["1-1"]], {}), ("xclaim", ["s", "g", "c", "x", ["1-1"]], {}),
        ("xclaim", ["s", "g", "c", 5, "1-1"], {}), ("xclaim", ["s", "g", "c", 5, []], {}),
        ("xclaim", ["s", "g", "c", 5, ("1-1", 2)], {}), ("xclaim", ["s", "g", "c", 5, ["1-1"]], {"idle": "x"}),
        ("xclaim", ["s", "g", "c", 5, ["1-1"]], {"time": "x"}),
        ("xclaim", ["s", "g", "c", 5, ["1-1"]], {"retrycount": "x"}),
        ("xclaim", ["s", "g", "c", 5, ["1-1"]], {"force": 1}), ("xclaim", ["s", "g", "c", 5, ["1-1"]], {"justid": 1}),
    ]  # fmt: skip
    trims = {"maxlen": [5, 0], "minid": ["3-1"], "limit": [9], "approximate": [False]}
    policies = ["KEEPREF", "DELREF", "ACKED", "x"]
    for kwargs in options(**trims, ref_policy=policies):
        yield "xtrim", ["s"], kwargs
        for more in options(nomkstream=[True]):
            yield "xadd", ["s", {"a": 1}], {**kwargs, **more}
    for kwargs in options(start_id=["5"], count=[0, 3], justid=[True]):
        yield "xautoclaim", ["s", "g", "c", 100], kwargs
    for kwargs in options(idle=[0, 5], time=[7], retrycount=[0, 2], force=[True], justid=[True]):
        yield "xclaim", ["s", "g", "c", 100, ["1-1", b"2"]], kwargs
    for kwargs in options(id=["0", "1-1"], mkstream=[True], entries_read=[0, 4]):
        yield "xgroup_create", ["s", "g"], kwargs
    for args, kwargs in itertools.product(
        (["-", "+", 10], ["-", "+", None], [None, "+", 1], [None, None, None], ["-", "+", -1], ["-", "+", "x"]),
        options(consumername=["c"], idle=[0, 5, "x"]),
    ):
        yield "xpending_range", ["s", "g", *args], kwargs
    for method in ("xrange", "xrevrange"):
        for kwargs in options(min=["1", "(2-1"], max=["5", b"6-1"], count=[1, 0, -1, "x"]):
            yield method, ["s"], kwargs
    limits = {"count": [3, 0, "x"], "block": [0, 50, -1, "x"], "max_count": [1, 0], "max_size": [10, -1]}
    for entries, kwargs in itertools.product(({"a": "$", b"b": 0}, {}, None), options(**limits)):
        yield "xread", [entries], kwargs
        for more in options(noack=[True], claim_min_idle_time=[5, 0]):
            yield "xreadgroup", ["g", "c", entries], {**kwargs, **more}


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
    commands = {n for n in dir(Commands) if not n.startswith("_")} - {"execute_command"}
    assert commands - called == {"bitfield", "sort_ro"}  # below


@pytest.mark.filterwarnings("ignore")
def test_sort_ro():
    """redis-py sends SORT, which a user without the right to write may not; the rest is the same."""
    ours, theirs = Ours(), Theirs()
    for kwargs in options(start=[0], num=[5], by=["w*"], get=GETS, desc=[True], alpha=[True]):
        mine, wanted = outcome(ours, "sort_ro", ["l"], kwargs), outcome(theirs, "sort_ro", ["l"], kwargs)
        if isinstance(wanted, list):
            [(wire, shapes)] = wanted
            wanted = [(wire.replace(b"$4\r\nSORT\r\n", b"$7\r\nSORT_RO\r\n"), shapes)]
        assert mine == wanted, kwargs


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
