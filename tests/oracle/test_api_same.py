"""Each method gives the same value, of the same type, or the same exception, on libkv.Store and on a redis-server.

A scenario is a function that calls methods of a client; it runs on both, and every call's outcome is compared.
"""

import datetime
import itertools
import math
import shutil
import subprocess
import time

import pytest
import redis

import libkv
from libkv.api.commands import Commands
from tests.oracle.api_streams import streams

ENCODINGS = {
    "bytes": {},
    "str": {"decode_responses": True},
    "latin-1": {"decode_responses": True, "encoding": "latin-1", "encoding_errors": "replace"},
}


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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The path of a redis-server's socket."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("missing redis-server (Debian: apt-get install redis-server)")
    path = tmp_path_factory.mktemp("redis") / "sock"
    options = {"port": 0, "unixsocket": path, "save": "", "appendonly": "no", "enable-debug-command": "yes"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen([program, *words], cwd=path.parent, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if path.exists():
                break
            time.sleep(0.05)
        yield str(path)
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=ENCODINGS)
def clients(request, server, tmp_path):
    """(ours, theirs), both empty, with the same encoding."""
    options = ENCODINGS[request.param]
    with (
        redis.Redis(unix_socket_path=server, **options) as theirs,
        libkv.Store(enable_debug_command="yes", dir=str(tmp_path), **options) as ours,
    ):
        theirs.flushall()
        theirs.config_resetstat()
        yield ours, theirs


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


LATER = datetime.datetime(2038, 1, 2, 3, 4, 5, 678_000, tzinfo=datetime.UTC)


def strings(r):
    for value in ("x", b"\xff\x00", 12, -1.5, bytearray(b"b"), memoryview(b"m"), "ä", "", 10**20, float("inf")):
        r.set("k", value)
        r.get("k")
        r.__getitem__("k")
    r.get("none")
    r.__getitem__("none")
    r.__setitem__("k", 5)
    r.set("k", True)
    r.set("k", None)
    r.set("k", "new", get=True)
    r.set("none", "new", get=True, xx=True)
    r.set("k", "x", nx=True)
    r.set("fresh", "x", nx=True)
    r.set("k", "x", xx=True, keepttl=True)
    r.set("k", "x", nx=True, xx=True)
    r.set("k", "x", ex=10, px=10)
    r.set("k", "x", ex=0)
    r.set("k", "x", ex="a")
    r.set("k", "x", ifeq="a")
    r.set("k", "x", exat=LATER)
    r.expiretime("k")
    r.set("k", "x", pxat=LATER)
    r.pexpiretime("k")
    r.getex("k", persist=True)
    r.ttl("k")
    r.getex("k", ex=datetime.timedelta(hours=2))
    r.ttl("k")
    r.getex("none")
    r.setex("k", 100, "v")
    r.psetex("k", 100_000, "v")
    r.setex("k", -1, "v")
    r.setnx("k", 1)
    r.setnx("k2", 1)
    r.append("k", "abc")
    r.strlen("k")
    r.getrange("k", 1, -2)
    r.substr("k", 1)
    r.setrange("k", 6, "zz")
    r.getset("k", "old")
    r.getset("none2", "a")
    r.getdel("none2")
    r.getdel("none2")
    r.mset({"a": 1, "b": 2.5, "c": "x"})
    r.mset({})
    r.mget("a", "b", "nope")
    r.mget(["a", "b"], "c")
    r.mget([])
    r.msetnx({"a": 1, "zz": 2})
    r.msetnx({"yy": 1, "zz": 2})
    r.incr("n")
    r.incr("n", 41)
    r.incrby("n", -2)
    r.decr("n")
    r.decrby("n", 10)
    r.incrbyfloat("n")
    r.incrbyfloat("n", 0.1)
    r.incr("n")
    r.incr("c")
    r.incrbyfloat("c", 1)
    r.incrbyfloat("n", float("inf"))
    r.set("s1", "ohmytext")
    r.set("s2", "mynewtext")
    r.lcs("s1", "s2")
    r.lcs("s1", "s2", len=True)
    r.lcs("s1", "s2", idx=True, minmatchlen=3, withmatchlen=True)
    r.lcs("s1", "none", idx=True)
    r.lcs("s1", "s2", len=True, idx=True)
    r.lpush("list", 1)
    r.get("list")
    r.append("list", 1)
    r.getset("list", 1)
    r.mget("list")


def generic(r):
    r.set("k", "v")
    r.lpush("l", 1, 2)
    r.contains("k")
    r.contains("none")
    r.exists("k", "k", "none")
    r.exists()
    r.type("k")
    r.type("l")
    r.type("none")
    for method in ("expire", "pexpire"):
        getattr(r, method)("k", datetime.timedelta(days=3))
        for condition, days in itertools.product(("nx", "xx", "gt", "lt"), (2, 4, 1)):
            getattr(r, method)("k", datetime.timedelta(days=days), **{condition: True})
            r.ttl("k")
        getattr(r, method)("k", 1, nx=True, xx=True)
        getattr(r, method)("k", 1, gt=True, lt=True)
    r.expire("none", 1)
    r.expireat("k", LATER)
    r.pexpireat("k", LATER, gt=True)
    r.expiretime("k")
    r.pexpiretime("k")
    r.pexpiretime("none")
    r.expiretime("l")
    r.persist("k")
    r.persist("k")
    r.ttl("k")
    r.ttl("none")
    r.pttl("none")
    r.pttl("l")
    r.expire("k", "soon")
    r.rename("k", "k2")
    r.rename("none", "x")
    r.renamenx("k2", "l")
    r.renamenx("k2", "k")
    r.copy("k", "l")
    r.copy("k", "l", replace=True)
    r.copy("k", "z", destination_db=3)
    r.copy("none", "z")
    r.copy("k", "z", destination_db=77)
    r.move("k", 1)
    r.move("k", 1)
    r.move("l", 99)
    r.touch("l", "none")
    r.keys()
    r.keys("no*")
    r.randomkey()
    r.object("encoding", "l")
    r.object("refcount", "l")
    r.object("idletime", "l")
    r.object("freq", "l")
    r.object("encoding", "none")
    r.object("nonsense", "l")
    r.dbsize()
    r.scan()
    r.scan(0, "l*", 10, "string")
    r.scan("x")
    r.mset({f"key:{i}": i for i in range(50)})
    r.scan_iter("key:*", 7)
    r.scan_iter(_type="list")
    r.delete("l", "none")
    r.delete()
    r.unlink("key:1", "key:2", "none")
    r.__delitem__("key:3")
    r.swapdb(0, 1)
    r.dbsize()
    r.keys()
    r.swapdb(0, 99)
    r.flushdb(True)
    r.randomkey()
    r.flushall()


DUMPED = b"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xce"  # DUMP's payload of the string "v"


def dumps(r):
    r.set("k", "v")
    r.dump("k")
    r.dump("none")
    r.restore("k", 0, DUMPED)
    r.restore("copy", 0, DUMPED)
    r.restore("copy", 10**6, DUMPED, replace=True)
    r.restore("copy", 4102444800000, DUMPED, True, True, 100)
    r.pexpiretime("copy")
    r.restore("used", 0, DUMPED, frequency=7)
    r.restore("both", 0, DUMPED, idletime=1, frequency=7)
    r.restore("bad", 0, b"no payload")
    r.restore("bad", -1, DUMPED)
    r.restore("bad", 0, DUMPED, idletime="x")
    r.get("copy")
    r.migrate("127.0.0.1", 1, "none", 0, 100)
    r.migrate("127.0.0.1", 1, ["none", "none too"], 0, 100, copy=True, replace=True, auth="secret")
    r.migrate("127.0.0.1", 1, "k", 0, 100)
    r.migrate("127.0.0.1", 1, [], 0, 100)
    r.exists("k")


def hashes(r):
    r.hset("h", "f", "v")
    r.hset("h", mapping={"a": 1, "b": 2.5, b"\xc3\xa4": "x"})
    r.hset("h", items=["c", 3, "a", 2])
    r.hset("h")
    r.hset("h", items=["odd"])
    r.hsetnx("h", "f", 1)
    r.hsetnx("h", "g", 1)
    r.hget("h", "a")
    r.hget("h", "none")
    r.hgetall("h")
    r.hgetall("none")
    r.hkeys("h")
    r.hvals("h")
    r.hlen("h")
    r.hexists("h", "a")
    r.hexists("h", "none")
    r.hstrlen("h", "b")
    r.hmget("h", "a", "none")
    r.hmget("h", ["a", "b"])
    r.hmget("h", [])
    r.hmset("h", {"m": 1})
    r.hmset("h", {})
    r.hincrby("h", "n")
    r.hincrby("h", "n", 5)
    r.hincrby("h", "f")
    r.hincrbyfloat("h", "n", 0.5)
    r.hincrbyfloat("h", "f")
    r.hscan("h")
    r.hscan("h", match="a*", count=3)
    r.hscan("none")
    r.hscan("h", no_values=True)
    r.hscan_iter("h")
    r.hdel("h", "a", "b", "none")
    r.hset("one", "f", "v")
    r.hrandfield("one")
    r.hrandfield("one", 5)
    r.hrandfield("one", -3)
    r.hrandfield("one", 2, withvalues=True)
    r.hrandfield("one", 0)
    r.hrandfield("none")
    r.hrandfield("none", 3)
    r.set("s", 1)
    r.hget("s", "a")
    r.hgetall("s")


def lists(r):
    r.rpush("l", 1, "b", b"c", 2.5)
    r.lpush("l", "x", "y")
    r.lpushx("none", 1)
    r.rpushx("l", 1)
    r.lpushx("l", 1)
    r.lrange("l", 0, -1)
    r.lrange("none", 0, -1)
    r.llen("l")
    r.lindex("l", 0)
    r.lindex("l", 99)
    r.linsert("l", "before", "b", "0")
    r.linsert("l", "AFTER", "none", "0")
    r.linsert("l", "MIDDLE", "b", "0")
    r.lset("l", 0, "set")
    r.lset("l", 99, "set")
    r.lset("none", 0, "set")
    r.lrem("l", 0, "x")
    r.lpos("l", "b")
    r.lpos("l", "none")
    r.lpos("l", "1", rank=-1, count=0, maxlen=0)
    r.lpos("l", "1", rank=0)
    r.lpop("l")
    r.lpop("l", 2)
    r.lpop("l", 0)
    r.lpop("l", -1)
    r.rpop("l")
    r.rpop("l", 1)
    r.lpop("none")
    r.lpop("none", 1)
    r.rpush("l", *range(10))
    r.ltrim("l", 1, 5)
    r.rpoplpush("l", "l2")
    r.rpoplpush("none", "l2")
    r.lmove("l", "l2")
    r.lmove("l", "l2", "RIGHT", "LEFT")
    r.lmove("l", "l2", "UP", "LEFT")
    r.lmpop(2, "none", "l", direction="LEFT")
    r.lmpop(2, "none", "l", direction="RIGHT", count=2)
    r.lmpop(1, "none", direction="RIGHT")
    r.lmpop(0, direction="RIGHT")
    r.lrange("l2", 0, -1)
    r.set("s", 1)
    r.lpush("s", 1)
    r.lrange("s", 0, -1)


def waiting(r):
    """Only calls that don't have to wait for somebody else."""
    r.rpush("l", *range(20))
    r.zadd("z", {c: i / 2 for i, c in enumerate("abcdefgh")})
    r.set("s", "x")
    r.blpop("l")
    r.blpop(["none", "l"], 1)
    r.blpop("l", timeout=None)
    r.blpop(("none",), 0.01)
    r.blpop([], 1)
    r.blpop("s")
    r.blpop("l", -1)
    r.blpop("l", "soon")
    r.brpop("l")
    r.brpop(["none", "l"], timeout=0.5)
    r.brpop("none", 0.01)
    r.blmove("l", "d", 1)
    r.blmove("l", "d", timeout=0, src="RIGHT", dest="LEFT")
    r.blmove("none", "d", 0.01)
    r.blmove("l", "d", 1, "up")
    r.brpoplpush("l", "d")
    r.brpoplpush("l", "d", None)
    r.brpoplpush("none", "d", timeout=0.01)
    r.blmpop(0, 1, "l", direction="LEFT")
    r.blmpop(0.5, 2, "none", "l", direction="right", count=3)
    r.blmpop(0.01, 1, "none", direction="LEFT")
    r.blmpop(0, 1, "l", direction="LEFT", count=None)
    r.blmpop(0, 1, "l", direction="LEFT", count=0)
    r.bzpopmin("z")
    r.bzpopmin(["none", "z"], 1)
    r.bzpopmin("none", 0.01)
    r.bzpopmin("l")
    r.bzpopmax("z", timeout=None)
    r.bzpopmax(["none", "z"])
    r.bzpopmax("none", 0.01)
    r.bzmpop(0, 1, ["z"], min=True)
    r.bzmpop(0.5, 2, ["none", "z"], max=True, count=2)
    r.bzmpop(0.01, 1, ["none"], max=True)
    r.bzmpop(0, 1, ["z"])
    r.bzmpop(0, 1, ["z"], min=True, max=True)
    r.bzmpop(0, 1, ["z"], min=True, count=None)
    r.wait(0, 0)
    r.wait(1, 10)
    r.wait(-1, timeout=0)
    r.wait("x", 0)
    r.client_pause(1)
    r.client_pause(1, all=False)
    r.client_pause(1.5)
    r.client_pause("1")
    r.client_pause(-1)
    r.client_unpause()
    r.client_unblock(987654)
    r.client_unblock(987654, error=True)
    r.client_unblock("x")


def sets(r):
    r.sadd("s", 1, 2, 3, "a", b"b")
    r.sadd("s", 1)
    r.sadd("t", 3, "a", "z")
    r.sadd("one", "m")
    r.scard("s")
    r.smembers("s")
    r.smembers("none")
    r.sismember("s", 1)
    r.sismember("s", "none")
    r.smismember("s", 1, "none", "a")
    r.smismember("s", [1, "q"])
    r.sdiff("s", "t")
    r.sdiff(["s", "t"])
    r.sdiff("none")
    r.sinter("s", "t")
    r.sunion(["s"], "t")
    r.sinter([])
    r.sdiffstore("d", "s", "t")
    r.sinterstore("d", ["s", "t"])
    r.sunionstore("d", "s", "t")
    r.sintercard(2, ["s", "t"])
    r.sintercard(2, ["s", "t"], 1)
    r.sintercard(5, ["s"])
    r.smove("s", "t", "b")
    r.smove("s", "t", "b")
    r.srem("s", 1, "none")
    r.srandmember("one")
    r.srandmember("one", 3)
    r.srandmember("one", -2)
    r.srandmember("none")
    r.srandmember("none", 2)
    r.spop("one", 0)
    r.spop("one")
    r.sadd("one", "m")
    r.spop("one", 5)
    r.spop("one")
    r.spop("one", 1)
    r.spop("s", -1)
    r.sscan("t", 0)
    r.sscan("t", 0, "z*", 100)
    r.sscan_iter("t")
    r.set("str", 1)
    r.sadd("str", 1)
    r.smembers("str")


def sent_as(score):
    return type(score).__name__, score


def sorted_sets(r):
    r.zadd("z", {"a": 1, "b": 2.5, "c": "inf", "d": -0.0, "e": 1e20, "f": 0.1, "g": 3})
    r.zadd("z", {"a": 5, "new": 1}, ch=True)
    r.zadd("z", {"a": 6}, gt=True, xx=True)
    r.zadd("z", {"a": 1}, incr=True)
    r.zadd("z", {"a": 1}, incr=True, nx=True)
    r.zadd("z", {"a": "x"})
    r.zadd("z", {"a": "nan"})
    r.zadd("z", {})
    r.zadd("z", {"a": 1}, nx=True, xx=True)
    r.zcard("z")
    r.zcount("z", "-inf", "(3")
    r.zcount("z", 1, "x")
    r.zscore("z", "a")
    r.zscore("z", "c")
    r.zscore("z", "d")
    r.zscore("z", "none")
    r.zmscore("z", ["a", "none", "e"])
    r.zincrby("z", 0.5, "a")
    r.zincrby("z", float("-inf"), "c")
    r.zrank("z", "a")
    r.zrank("z", "none")
    r.zrevrank("z", "a")
    r.zrank("z", "a", withscore=True)
    for cast in (float, int, str, repr, sent_as):
        r.zadd("i", {"x": 1, "y": 2, "big": 12345678901234567890})
        r.zrange("i", 0, -1, withscores=True, score_cast_func=cast)
        r.zrangebyscore("i", 1, 2, withscores=True, score_cast_func=cast)
        r.zunion(["i"], withscores=True, score_cast_func=cast)
        r.zscan("i", score_cast_func=cast)
    r.zrange("z", 0, -1)
    r.zrange("z", 0, -1, withscores=True)
    r.zrange("z", 0, 1, desc=True, withscores=True)
    r.zrange("z", "(1", "+inf", byscore=True, withscores=True, offset=1, num=2)
    r.zrange("z", 9, 0, byscore=True, desc=True)
    r.zrange("none", 0, -1, withscores=True)
    r.zrange("z", "a", "b")
    r.zrevrange("z", 0, -1, withscores=True)
    r.zrangestore("d", "z", 0, 2)
    r.zrangebyscore("z", 0, 9, start=1, num=2)
    r.zrevrangebyscore("z", "+inf", "-inf", withscores=True)
    r.zadd("lex", dict.fromkeys("abcdef", 0))
    r.zrangebylex("lex", "[b", "(e")
    r.zrevrangebylex("lex", "+", "-", 1, 2)
    r.zlexcount("lex", "-", "[c")
    r.zrangebylex("lex", "b", "c")
    r.zrange("lex", "[b", "+", bylex=True)
    r.zdiff(["z", "lex"])
    r.zdiff(["z", "lex"], withscores=True)
    r.zdiff(["none"], withscores=True)
    r.zdiffstore("d", ["z", "lex"])
    r.zinter(["z", "lex"])
    r.zinter({"z": 2, "lex": 0.5}, aggregate="MAX", withscores=True)
    r.zunion({"z": 2, "lex": 3}, aggregate="min", withscores=True)
    r.zunion(["z", "lex"])
    r.zinterstore("d", ["z", "lex"], aggregate="SUM")
    r.zunionstore("d", {"z": 1, "lex": 10})
    r.zunionstore("d", ["z"], aggregate="count")
    r.zinter(["z"], aggregate="avg")
    r.zintercard(2, ["z", "lex"], 2)
    r.zremrangebylex("lex", "[a", "[b")
    r.zremrangebyrank("z", 0, 0)
    r.zremrangebyscore("z", "-inf", 0)
    r.zrem("z", "a", "none")
    r.zpopmin("z")
    r.zpopmax("z", 2)
    r.zpopmax("none")
    r.zpopmin("none", 2)
    r.zadd("one", {"m": 1.5})
    r.zrandmember("one")
    r.zrandmember("one", 3)
    r.zrandmember("one", 2, withscores=True)
    r.zrandmember("one", -2, withscores=True)
    r.zrandmember("none")
    r.zrandmember("none", 1)
    r.zmpop(2, ["none", "one"], min=True)
    r.zmpop(2, ["none", "i"], max=True, count=2)
    r.zmpop(1, ["none"], max=True)
    r.zmpop(1, ["none"])
    r.zscan("lex")
    r.zscan("lex", match="c*", count=2)
    r.zscan_iter("lex")
    r.set("s", 1)
    r.zadd("s", {"a": 1})
    r.zrange("s", 0, -1)


def bits(r):
    r.setbit("b", 7, 1)
    r.setbit("b", 7, 0)
    r.setbit("b", 9, True)
    r.setbit("b", -1, 1)
    r.getbit("b", 9)
    r.getbit("b", 1000)
    r.bitcount("b")
    r.bitcount("b", 0, 0)
    r.bitcount("b", 0, 9, "BIT")
    r.bitcount("b", 0)
    r.bitpos("b", 1)
    r.bitpos("b", 0, 1)
    r.bitpos("b", 1, 0, -1, "BIT")
    r.bitpos("none", 1)
    r.bitpos("b", 2)
    r.set("x", "\x0f\xf0", ex=100)
    r.bitop("AND", "d", "b", "x")
    r.bitop("NOT", "d", "x")
    r.bitop("NOT", "d", "x", "b")
    r.bitop("NAND", "d", "x")
    r.bitfield("f").set("u8", 0, 200).get("u8", 0).incrby("u8", "#0", 100).execute()
    r.bitfield("f", "SAT").incrby("u8", 0, 250).overflow("fail").incrby("i4", 12, 100).execute()
    r.bitfield("f").get("u99", 0).execute()
    r.bitfield("f").execute()
    r.bitfield_ro("f", "u8", 0)
    r.bitfield_ro("f", "u8", 0, [("i4", 12), ("u2", "#1")])


def hyperloglogs(r):
    r.pfadd("p", *range(1000))
    r.pfadd("p", 1)
    r.pfadd("q", "a")
    r.pfadd("q")
    r.pfcount("p")
    r.pfcount("p", "q", "none")
    r.pfmerge("m", "p", "q")
    r.pfcount("m")
    r.pfcount("none")
    r.set("s", "x")
    r.pfadd("s", 1)
    r.pfmerge("s", "p")


def scripts_and_functions(r):
    library = "#!lua name=x\nredis.register_function('f', function(k, a) return {k, a} end)"
    r.function_flush()
    r.eval("return {1, ARGV[1], {ok='x'}, redis.call('get', KEYS[1])}", 1, "k", "a")
    r.eval("error('x')", 0)
    r.eval_ro("return redis.call('set','a','b')", 0)
    sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    r.script_flush()
    r.evalsha(sha, 0)
    r.script_load("return 1")
    r.evalsha(sha, 0)
    r.evalsha_ro(sha, 0)
    r.script_exists(sha, "x")
    r.script_flush("ASYNC")
    r.script_flush("FOO")
    r.script_kill()
    r.script_debug("YES")
    r.function_load(library)
    r.function_load(library, True)
    r.function_list()
    r.function_list("x", True)
    r.function_stats()
    r.fcall("f", 1, "a", "b")
    r.fcall_ro("f", 0)
    r.function_dump()
    r.function_restore(b"x")
    r.function_kill()
    r.function_delete("x")
    r.function_flush("ASYNC")


def sessions_and_server(r):
    r.ping()
    r.echo("hi")
    r.echo(b"\xff")
    r.client_setname("joe")
    r.client_getname()
    r.client_setname("has space")
    r.client_setname("")
    r.client_getname()
    r.client_kill("1.2.3.4:5")
    r.client_kill_filter(_id="99999")
    r.client_kill_filter(_type="normal", skipme=True, addr="1.2.3.4:5")
    r.client_kill_filter()
    r.client_list("bad")
    r.client_list(client_id=[99999])
    r.client_list("pubsub")
    r.auth("pw")
    r.auth("pw", "user")
    r.config_get("hash-max-listpack-*", "maxmemory")
    r.config_get("no-such-setting")
    r.config_set("maxmemory", "100mb")
    r.config_get("maxmemory")
    r.config_set("maxmemory", 0, "hash-max-listpack-entries", 100)
    r.config_set("hash-max-listpack-entries", 512)
    r.config_set("maxmemory", "lots")
    r.config_set("no-such-setting", 1)
    r.config_resetstat()
    r.config_rewrite()
    r.client_no_evict("ON")
    r.client_no_evict("perhaps")
    r.memory_usage("no such key")
    r.memory_usage("no such key", samples=0)
    r.memory_purge()
    r.memory_doctor()
    r.memory_help()
    r.command_getkeys("MSET", "a", 1, "b", 2)
    r.command_getkeys("PING")
    r.command_getkeysandflags("SET", "a", 1)
    r.command_list(pattern="zrange*")
    r.command_list(category="hash")
    r.command_docs()
    r.command_info()
    r.hello()
    r.debug_segfault()
    r.slowlog_reset()
    r.slowlog_len()
    r.slowlog_get()
    r.slowlog_get(0)
    r.lolwut()
    r.lolwut(99)
    r.shutdown(save=True, nosave=True)
    r.watch("k")
    r.unwatch()


def geo(r):
    places = (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, b"Catania")
    r.geoadd("g", places)
    r.geoadd("g", places, ch=True)
    r.geoadd("g", places, nx=True)
    r.geoadd("g", places, xx=True)
    r.geoadd("g", places, nx=True, xx=True)
    r.geoadd("g", places[:4])
    r.geodist("g", "Palermo", "Catania")
    r.geodist("g", "Palermo", "Catania", "km")
    r.geodist("g", "Palermo", "Catania", "parsec")
    r.geodist("g", "Palermo", "none")
    r.geohash("g", "Palermo", "Catania")
    r.geopos("g", "Palermo", "none")
    r.geopos("none", "Palermo")
    for options in (
        {},
        {"withdist": True},
        {"withcoord": True},
        {"withhash": True},
        {"withcoord": True, "withdist": True, "withhash": True},
        {"count": 1},
        {"count": 1, "any": True},
        {"any": True},
        {"sort": "ASC"},
        {"sort": "DESC", "withdist": True},
        {"sort": "DOWN"},
    ):
        r.georadius("g", 15, 37, 200, unit="km", **options)
        r.georadiusbymember("g", "Palermo", 200, unit="km", **options)
        r.geosearch("g", member="Palermo", radius=200, unit="km", **options)
        r.geosearch("g", longitude=15, latitude=37, width=400, height=400, unit="km", **options)
    r.georadius("g", 15, 37, 200, unit="parsec")
    r.georadius("g", 15, 37, 200000, store="a")
    r.georadius("g", 15, 37, 200000, store_dist="b")
    r.georadius("g", 15, 37, 200000, store="a", store_dist="b")
    r.georadiusbymember("g", "Palermo", 1, store="a")
    r.georadius("none", 15, 37, 1)
    r.geosearch("g")
    r.geosearch("g", member="Palermo")
    r.geosearch("g", member="Palermo", longitude=1, latitude=1, radius=1)
    r.geosearch("g", member="Palermo", radius=1, width=2, height=2)
    r.geosearch("g", member="Palermo", radius=1, unit="parsec")
    r.geosearch("g", member="Palermo", radius=1, unit=None)
    r.geosearch("g", member="none", radius=1)
    r.geosearch("g", member="Palermo", radius=1, sort="desc")
    r.geosearch("none", member="none", radius=1, withdist=True)
    r.geosearchstore("d", "g", member="Palermo", radius=200, unit="km")
    r.geosearchstore("d", "g", member="Palermo", radius=200, unit="km", storedist=True, sort="ASC", count=1, any=True)
    r.geosearchstore("d", "g", member="Palermo", radius=200, unit="km", any=True)
    r.zrange("d", 0, -1, withscores=True)
    r.execute_command("GEOSEARCH", "g", "FROMMEMBER", "Palermo", "BYRADIUS", 200, "km", "WITHDIST")
    r.execute_command("GEOPOS", "g", "Palermo")


def sorting(r):
    r.rpush("l", 3, 1, 2)
    r.mset({"w1": 2, "w2": 1, "w3": 0})
    r.sort("l")
    r.sort("l", desc=True)
    r.sort("l", start=1, num=1)
    r.sort("l", start=1)
    r.sort("l", num=1)
    r.sort("l", by="w*")
    r.sort("l", by="w*", get="w*")
    r.sort("l", get=b"#")
    r.sort("l", get=["#", "w*"])
    r.sort("l", get=["#", "w*"], groups=True)
    r.sort("l", get=("#", "w*", "none*"), groups=True)
    r.sort("l", get="#", groups=True)
    r.sort("l", get=["#"], groups=True)
    r.sort("l", groups=True)
    r.sort("l", alpha=True, store="d")
    r.sort("l", alpha=True, store="d", get=["#", "w*"], groups=True)
    r.sort("none")
    r.sort("w1")
    r.sort_ro("l")
    r.sort_ro("l", start=0, num=2, by="w*", get=["#"], desc=True, alpha=True)
    r.execute_command("SORT", "l", "GET", "#", "GET", "w*")


def users(r):
    r.acl_whoami()
    r.acl_setuser(
        "bob",
        enabled=True,
        passwords=["+a", "+b", "-a"],
        categories=["+@read"],
        commands=["+set"],
        keys=["k*", "%R~z"],
        channels=["c"],
        selectors=[("+get", "q"), ("-@all", "%W~x")],
    )
    r.acl_getuser("bob")
    r.acl_setuser("bob", passwords="+x", reset_passwords=True, hashed_passwords="+" + "a" * 64)
    r.acl_setuser(
        "bob", hashed_passwords=["-" + "a" * 64], reset_keys=True, reset_channels=True, categories=["-@write"]
    )
    r.acl_getuser("bob")
    for wrong in (
        {"passwords": "x"},
        {"hashed_passwords": ["x"]},
        {"categories": ["read"]},
        {"commands": ["get"]},
        {"selectors": [("get", "k")]},
        {"nopass": True, "passwords": "+x"},
        {"commands": ["+nosuch"]},
    ):
        r.acl_setuser("bob", **wrong)
    r.acl_setuser("bob", enabled=True, reset=True, nopass=True, keys=["*"], commands=["+get"])
    r.acl_getuser("bob")
    r.acl_getuser("nobody")
    r.acl_list()
    r.acl_users()
    r.acl_cat()
    r.acl_cat("nosuch")
    r.acl_dryrun("bob", "get", "x")
    r.acl_dryrun("bob", "set", "x", 1)
    r.acl_dryrun("nobody", "get", "x")
    r.acl_genpass(-1)
    r.acl_genpass("x")
    r.acl_log("x")
    r.acl_log_reset()
    r.acl_log()
    r.acl_log(3)
    r.acl_load()
    r.acl_save()
    r.acl_deluser("bob", "nobody")


def latencies(r):
    r.latency_reset()
    r.latency_reset("command", "nosuch")
    r.latency_latest()
    r.latency_history("command")
    r.latency_doctor()
    r.latency_graph()
    r.latency_histogram()
    r.latency_histogram("get")
    r.execute_command("LATENCY HISTORY", "command")
    r.execute_command("LATENCY HISTOGRAM", "nosuch")


def alone(r):
    r.role()
    r.replicaof("NO", "ONE")
    r.replicaof("a", "b")
    r.slaveof()
    r.slaveof("a", "b")
    r.failover()
    r.cluster("info")
    r.cluster("nodes")
    r.readonly()
    r.readwrite()
    r.module_list()
    r.module_load("nosuch")
    r.module_load("nosuch", "x")
    r.module_loadex("nosuch", ["a", "b"], ["c"])
    r.module_unload("nosuch")
    r.execute_command("ROLE")


def channels(r):
    r.publish("c", "m")
    r.publish("c", None)
    r.spublish("c", b"m")
    r.pubsub_channels()
    r.pubsub_channels("a*")
    r.pubsub_numpat()
    r.pubsub_numsub()
    r.pubsub_numsub("a", "b")
    r.pubsub_shardchannels()
    r.pubsub_shardchannels("a*")
    r.pubsub_shardnumsub("a", "b")
    r.client_getredir()
    r.client_trackinginfo()
    r.client_tracking(prefix=["a"])
    r.client_tracking_on(prefix=["a"])
    r.client_tracking_off(prefix=["a"])


def files(r):
    r.set("k", "v")
    r.save()
    r.bgsave()
    r.until_saved()
    r.bgsave(schedule=False)
    r.until_saved()
    r.bgrewriteaof()
    r.until_saved()
    r.get("k")


def raw_commands(r):
    r.set("k", "v")
    r.hset("h", "f", "v")
    r.zadd("z", {"a": 1})
    r.sadd("s", "m")
    r.execute_command("GET", "k")
    r.execute_command("get", "k")
    r.execute_command(b"GET", b"k")
    r.execute_command("HGETALL", "h")
    r.execute_command("hgetall", "h")
    r.execute_command("CONFIG", "GET", "maxmemory")
    r.execute_command("CONFIG GET", "maxmemory")
    r.execute_command("config get", "maxmemory")
    r.execute_command("ZRANGE", "z", 0, -1, "WITHSCORES")
    r.execute_command("ZSCORE", "z", "a")
    r.execute_command("SMEMBERS", "s")
    r.execute_command("SPOP", "s", 1)
    r.execute_command("SET", "k", "v")
    r.execute_command("PING", "text")
    r.execute_command("NOSUCH", "a", "b")
    r.execute_command("NOSUCH")
    r.execute_command("GET")
    r.execute_command("CONFIG", "NOSUCH")
    r.execute_command("COMMAND", "INFO", "get")
    r.execute_command("COMMAND", "DOCS", "nosuch")
    r.execute_command("EXPIRE", "k", 10)


SCENARIOS = [
    strings,
    generic,
    dumps,
    hashes,
    lists,
    waiting,
    sets,
    sorted_sets,
    bits,
    hyperloglogs,
    scripts_and_functions,
    geo,
    streams,
    sorting,
    latencies,
    alone,
    channels,
    users,
    sessions_and_server,
    files,
    raw_commands,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.filterwarnings("ignore")  # redis-py's deprecations
def test_scenario(clients, scenario):
    same(clients, scenario)


COMPARED_APART = {  # what can't be equal, only alike: see the tests below
    *("acl_genpass", "acl_help", "memory_malloc_stats", "memory_stats"),
    "register_script",  # test_scripting_api.py
    *("client_id", "client_info", "command", "command_count", "debug_object", "info", "lastsave", "time"),
    *("quit", "reset", "select"),  # of a session: tests/unit/kv/test_embedding.py
}


def test_every_method_is_in_a_scenario():
    class Names(Recorder):
        def __getattr__(self, name):
            called.add(name)
            return lambda *args, **kwargs: self

        def contains(self, name):
            pass

        def until_saved(self):
            pass

    called = set()
    for scenario in SCENARIOS:
        scenario(Names(None))
    commands = {name for name in dir(Commands) if not name.startswith("_")} - {"execute_command"}
    assert commands - called - COMPARED_APART == set()


def test_alike(clients):
    """Values that differ between two servers: their shapes and types are compared."""
    ours, theirs = clients
    for client in clients:
        client.set("k", 1)
    assert type(ours.client_id()) is type(theirs.client_id()) is int
    mine, wanted = ours.client_info(), theirs.client_info()
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    mine, wanted = ours.client_list()[0], theirs.client_list()[0]
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    assert list(map(type, ours.time())) == [int, int] and type(ours.time()) is tuple
    assert abs(ours.time()[0] - theirs.time()[0]) <= 2
    for client in clients:
        tick = datetime.timedelta(milliseconds=10)  # whole seconds are the kernel's of its last tick
        before = (datetime.datetime.now() - tick).replace(microsecond=0)
        assert client.save() is True
        saved = client.lastsave()
        assert type(saved) is datetime.datetime and before <= saved <= datetime.datetime.now()
    mine, wanted = ours.info("keyspace", "stats"), theirs.info("keyspace", "stats")
    assert mine["db0"] == wanted["db0"]
    assert [k for k in wanted if k not in mine] == []
    assert all(type(mine[k]) is type(v) for k, v in wanted.items())
    assert set(theirs.info()) - set(ours.info()) == set()
    mine, wanted = ours.debug_object("k"), theirs.debug_object("k")
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    assert mine["encoding"] == wanted["encoding"] and mine["serializedlength"] == wanted["serializedlength"]


def test_alike_memory(clients):
    mine, wanted = (client.memory_stats() for client in clients)
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    for client in clients:
        client.set("k", "v")
    assert [type(client.memory_usage("k", samples=3)) for client in clients] == [int, int]
    assert len({type(client.memory_malloc_stats()) for client in clients}) == 1
    mine, wanted = (client.memory_stats()["db.0"] for client in clients)
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}


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


def test_alike_users(clients):
    ours, theirs = clients
    assert len(ours.acl_genpass()) == len(theirs.acl_genpass()) == 64 and type(ours.acl_genpass()) is str
    assert ours.acl_help()[0] == theirs.acl_help()[0] and type(ours.acl_help()) is list
    for client in clients:
        with pytest.raises(Exception, match="invalid username"):
            client.auth("x", "nobody")
    mine, wanted = ours.acl_log()[0], theirs.acl_log()[0]
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    assert {k: type(v) for k, v in mine["client-info"].items()} == {
        k: type(v) for k, v in wanted["client-info"].items()
    }


def test_command_table(clients):
    ours, theirs = clients
    mine, wanted = ours.command(), theirs.command()
    assert list(map(type, mine)) == [str] * len(mine)
    assert len(mine) == ours.command_count() and type(theirs.command_count()) is int
    assert set(mine) - set(wanted) == set(), "the server has no others"
    for name in mine:
        for entry in (mine[name], wanted[name]):
            entry["subcommands"].sort(key=lambda row: row[0])  # in a redis-server's order of hashing
        ours_only = [row for row in mine[name]["subcommands"] if row not in wanted[name]["subcommands"]]
        assert not ours_only, name
        mine[name]["subcommands"] = wanted[name]["subcommands"] = []  # ours need not have all of them yet
        assert typed(mine[name]) == typed(wanted[name]), name


def test_slow_log(clients):
    entries = []
    for client in clients:
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        client.set("slow", "ä")
        client.config_set("slowlog-log-slower-than", 10_000)
        (entry,) = [e for e in client.slowlog_get(9) if e["command"].startswith(b"SET slow")]
        entries.append({k: (type(v), v) if k == "command" else type(v) for k, v in entry.items()})
    assert entries[0] == entries[1]


# ---- pipelines, transactions, locks: scenarios that return a value


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


def lock_life(r):
    log = []

    def attempt(function, *args, **kwargs):
        try:
            log.append(typed(function(*args, **kwargs)))
        except Exception as error:
            log.append((type(error).__name__, str(error), getattr(error, "lock_name", None)))

    lock = r.lock("job", timeout=50)
    attempt(lock.release)
    attempt(lock.extend, 1)
    attempt(lock.locked)
    attempt(lock.acquire, token="mine")
    attempt(lock.locked)
    attempt(lock.owned)
    attempt(lock.acquire, blocking=False)
    attempt(r.lock("job").acquire, blocking_timeout=0.02, sleep=0.01)
    attempt(lock.extend, 50)
    attempt(r.ttl, "job")
    attempt(lock.extend, 20, replace_ttl=True)
    attempt(r.ttl, "job")
    attempt(lock.reacquire)
    attempt(r.ttl, "job")
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
