"""DEBUG beside redis-server: the digests of every type, and the replies that don't describe insides."""

from __future__ import annotations

import random
import re
import time

import pytest

import libkv
from libkv.server.configure import set_config_file
from tests.resp import command, parse


def fill(pair, chance, db):
    """Keys of every type, small and large, some with an expiry."""
    pair.both("SELECT", db)
    for i in range(30):
        pair.same(
            "SET", f"s{i}", chance.choice([str(i), "x" * chance.randrange(200), "-5", "1.5", b"\0\xff\r\n", "007"])
        )
    for i, size in enumerate((1, 5, 200, 600)):
        numbers = [str(chance.randrange(-(2**40), 2**40)) for _ in range(size)]
        texts = [f"m{n}" for n in numbers]
        pair.same("RPUSH", f"list{i}", *numbers, *texts)
        pair.same("SADD", f"ints{i}", *numbers)
        pair.same("SADD", f"set{i}", *texts, "12", "012")
        fields = [word for pair_ in zip(texts, numbers, strict=True) for word in pair_]
        pair.same("HSET", f"hash{i}", *fields, "f", "x" * (20 * size))
        scores = [chance.choice([n, "1.5", "3.3333333333333335", "1e100", "-inf", "inf", "0.1"]) for n in numbers]
        pair.same("ZADD", f"zset{i}", *(word for pair_ in zip(scores, texts, strict=True) for word in pair_))
    for key in ("s1", "list1", "ints1", "set1", "hash1", "zset1"):
        pair.same("EXPIRE", key, 1000)


def test_digests(pair):
    chance = random.Random(7)
    pair.same("DEBUG", "DIGEST")
    for db in (0, 3, 9):
        fill(pair, chance, db)
        for kind, n in (("s", 30), ("list", 4), ("ints", 4), ("set", 4), ("hash", 4), ("zset", 4)):
            for i in range(n):
                pair.same("DEBUG", "DIGEST-VALUE", f"{kind}{i}")
        pair.same("DEBUG", "DIGEST")
    pair.same("DEBUG", "DIGEST-VALUE", "s1", "none", "list2", "zset3")
    pair.same("DEBUG", "DIGEST-VALUE")


def test_digest_sees_every_change(pair):
    pair.same("RPUSH", "l", "a", "b")
    before = pair.same("DEBUG", "DIGEST")
    seen = {before}
    for args in [
        ("RPUSH", "l", "c"),
        ("LSET", "l", 0, "z"),
        ("EXPIRE", "l", 1000),
        ("RENAME", "l", "m"),
        ("MOVE", "m", 1),
    ]:
        pair.same(*args)
        after = pair.same("DEBUG", "DIGEST")
        assert after not in seen
        seen.add(after)


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize(
    "kind", ["string", "integer", "double", "bignum", "null", "array", "set", "map", "verbatim", "true", "FALSE", "foo"]
)
def test_protocol(pair, kind, proto):
    if proto == 3:
        pair.resp3()
    pair.same("DEBUG", "PROTOCOL", kind)


@pytest.mark.parametrize("kind", ["attrib", "push"])
def test_protocol_of_two_parts(pair, kind):
    pair.same("DEBUG", "PROTOCOL", kind)
    pair.resp3()
    ours = pair.ours.feed(command("DEBUG", "PROTOCOL", kind))
    first = pair.real.call("DEBUG", "PROTOCOL", kind)
    assert ours == first + pair.real.call("PING")  # which reads what came second
    assert pair.real.reply() == b"+PONG\r\n"


@pytest.mark.parametrize(
    "args",
    [
        "", "FOO", "SLEEP", "SLEEP 0", "sleep 0.01", "SLEEP x", "SLEEP -1", "SLEEP nan", "SLEEP 0 1", "OBJECT",
        "OBJECT none", "OBJECT s fast", "SET-ACTIVE-EXPIRE", "SET-ACTIVE-EXPIRE x", "SET-ACTIVE-EXPIRE 0",
        "SET-ACTIVE-EXPIRE 1", "DIGEST x", "LISTPACK none", "LISTPACK s", "LISTPACK l", "LISTPACK", "POPULATE",
        "POPULATE x", "POPULATE -1", "POPULATE 1 p x", "POPULATE 1 p -1", "POPULATE 1 p 1 1",
        "QUICKLIST-PACKED-THRESHOLD", "QUICKLIST-PACKED-THRESHOLD x", "QUICKLIST-PACKED-THRESHOLD 100b",
        "QUICKLIST-PACKED-THRESHOLD 1K", "QUICKLIST-PACKED-THRESHOLD 3gb", "QUICKLIST-PACKED-THRESHOLD 4gb",
        "QUICKLIST-PACKED-THRESHOLD -1", "QUICKLIST-PACKED-THRESHOLD 1.5k", "QUICKLIST-PACKED-THRESHOLD 0",
        "PAUSE-CRON", "PAUSE-CRON 1", "PAUSE-CRON 0", "ERROR", "ERROR foo", "ERROR -FOO x", "HTSTATS", "HTSTATS x",
        "HTSTATS 99", "HTSTATS -1", "HTSTATS-KEY none", "HTSTATS-KEY s", "HTSTATS-KEY l", "SDSLEN none", "SDSLEN i",
        "SDSLEN l", "SDSLEN", "QUICKLIST", "QUICKLIST none",
        "QUICKLIST s", "QUICKLIST l", "QUICKLIST l 1", "QUICKLIST l 1 2", "CLIENT-EVICTION", "CLIENT-EVICTION x",
        "REPLYBUFFER", "REPLYBUFFER RESIZING", "REPLYBUFFER RESIZING 0", "REPLYBUFFER resizing 1", "REPLYBUFFER FOO 1",
        "REPLYBUFFER PEAK-RESET-TIME never", "REPLYBUFFER PEAK-RESET-TIME 100", "REPLYBUFFER PEAK-RESET-TIME x",
        "REPLYBUFFER peak-reset-time RESET", "CLUSTERLINK KILL all x", "CLUSTERLINK KILL", "LOG", "LOG hello", "LOG a b",
        "CONFIG-REWRITE-FORCE-ALL", "SET-SKIP-CHECKSUM-VALIDATION", "SET-SKIP-CHECKSUM-VALIDATION 0",
        "SET-DISABLE-DENY-SCRIPTS", "SET-DISABLE-DENY-SCRIPTS 0", "STRINGMATCH-LEN 1 x", "JMAP", "ZIPLIST l",
        "REPLICATE", "REPLICATE set x y", "STRINGMATCH-TEST x", "STRUCTSIZE x", "HELP x",
    ],
)  # fmt: skip
def test_same_reply(pair, args):
    pair.same("SET", "s", "hello")
    pair.same("SET", "i", "12")
    pair.same("RPUSH", "l", "a", "b")
    pair.same("DEBUG", *args.split())
    pair.finish()


def test_error_is_one_line(pair):
    pair.same("DEBUG", "ERROR", b"A\r\nB\nC")
    pair.same("DEBUG", "ERROR", b"x" * 5000)


def test_populate(pair):
    pair.same("SET", "key:1", "mine")
    pair.same("DEBUG", "POPULATE", 100)
    pair.same("DEBUG", "POPULATE", 50, "prefix")
    pair.same("DEBUG", "POPULATE", 50, "sized", 20)
    pair.same("DEBUG", "POPULATE", 50, "short", 3)
    pair.same("DEBUG", "POPULATE", 3, "zero", 0)
    assert pair.finish() == 253
    assert pair.same("DEBUG", "DIGEST")


def test_populate_breaks_a_watch(pair):
    pair.same("WATCH", "key:0")
    pair.same("DEBUG", "POPULATE", 1)
    pair.same("MULTI")
    pair.same("PING")
    assert pair.same("EXEC") == b"*-1\r\n"


def test_object(pair):
    pair.same("SET", "int", 12345)
    pair.same("SET", "small", 7)
    pair.same("SET", "text", "hello")
    pair.same("SET", "long", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    pair.same("APPEND", "raw", "a")
    pair.same("APPEND", "raw", "b")
    pair.same("RPUSH", "list", "a", 1, "c")
    pair.same("SADD", "ints", 1, 2, 3)
    pair.same("SADD", "set", "a", "5", "c")
    pair.same("HSET", "hash", "f", "v")
    pair.same("ZADD", "zset", 1, "a", 2.5, "b")
    idle = re.compile(rb"Value at:0x[0-9a-f]+ |lru:\d+ lru_seconds_idle:\d+")
    for key in ("int", "small", "text", "long", "raw", "list", "ints", "set", "hash", "zset"):
        theirs, ours = (idle.sub(b"", reply) for reply in pair.both("DEBUG", "OBJECT", key))
        assert ours == theirs


def test_listpack_prints(pair, capfd):
    pair.same("HSET", "h", "field", "value", "n", 5)
    pair.same("DEBUG", "LISTPACK", "h")
    printed = capfd.readouterr().out
    assert "{num entries 4}" in printed
    assert "[field]" in printed and "[5]" in printed


def test_quicklist_prints(pair, capfd):
    pair.same("RPUSH", "l", *range(5000))
    pair.same("DEBUG", "QUICKLIST", "l")
    printed = capfd.readouterr().out
    assert "{count : 5000}" in printed and printed.count("{node ") > 1


def test_client_eviction(several):
    several.do("a", "CONFIG", "SET", "maxmemory-clients", "100mb")
    told = [side.ask("a", "DEBUG", "CLIENT-EVICTION") for side in several.sides]
    theirs, ours = (re.sub(rb"tot-mem: +\d+, clients: \d+", b"", reply) for reply in told)
    assert theirs == ours and ours.count(b"bucket") == 19
    assert sum(map(int, re.findall(rb"clients: (\d+)", told[1]))) >= 2
    several.do("a", "CONFIG", "SET", "maxmemory-clients", 0)


def test_checksums_that_are_skipped(pair):
    pair.same("SET", "k", "value")
    payload = parse(pair.same("DUMP", "k"))[0]
    wrong = payload[:-1] + bytes([payload[-1] ^ 1])
    for flag in (0, 1, 0):
        pair.same("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", flag)
        pair.same("RESTORE", "again", 0, wrong, "REPLACE")
        pair.same("RESTORE", "short", 0, b"\0" * 9)
    pair.finish()


def test_scripts_that_may_call_anything(pair):
    for flag in (0, 1, 0):
        pair.same("DEBUG", "SET-DISABLE-DENY-SCRIPTS", flag)
        pair.same("EVAL", "return redis.call('config', 'get', 'hz')", 0)
    pair.finish()


def test_every_directive_is_written(tmp_path):
    path = tmp_path / "redis.conf"
    path.write_text("hz 20\n")
    with libkv.Store(enable_debug_command="yes") as store:
        set_config_file(store, str(path).encode())
        assert store.execute_command("CONFIG", "REWRITE") and len(path.read_text().splitlines()) < 20
        assert store.execute_command("DEBUG", "CONFIG-REWRITE-FORCE-ALL") in (True, b"OK")
        written = path.read_text()
        assert len(written.splitlines()) > 100 and "\nmaxmemory 0\n" in written


def test_stringmatch(pair):
    assert pair.ours.feed(command("DEBUG", "STRINGMATCH-TEST")) == b"+Apparently Redis did not crash: test passed\r\n"


def test_insides(pair):
    pair.both("SADD", "set", *(f"member:{i}" for i in range(1000)))
    table = parse(pair.ours.feed(command("DEBUG", "HTSTATS-KEY", "set")))[0]
    assert b"number of elements: 1000" in table
    keys = parse(pair.ours.feed(command("DEBUG", "HTSTATS", 0)))[0]
    assert b"[Dictionary HT]" in keys and b"number of elements: 1\n" in keys
    assert parse(pair.ours.feed(command("DEBUG", "STRUCTSIZE")))[0].startswith(b"bits:64 ")
    pair.both("SET", "s", "hello")
    assert b"key_sds_len:1, key_sds_avail:0" in parse(pair.ours.feed(command("DEBUG", "SDSLEN", "s")))[0][1]


def test_active_expire(pair):
    for flag in (0, 1, 0):
        pair.same("DEBUG", "SET-ACTIVE-EXPIRE", flag)
    pair.same("SET", "k", "v", "PX", 1)
    time.sleep(0.3)  # several turns of the cron, which leaves it alone
    before = pair.same("DEBUG", "DIGEST")
    assert before != b"+" + b"0" * 40 + b"\r\n"
    assert pair.same("GET", "k") == b"$-1\r\n"
    pair.same("DEBUG", "DIGEST")
    pair.same("DEBUG", "SET-ACTIVE-EXPIRE", 1)


def test_help_names_every_subcommand_we_have(pair):
    lines = parse(pair.ours.feed(command("DEBUG", "HELP")))[0]
    names = [line[1].split()[0] for line in lines[1:] if not line[1].startswith(b" ")]
    real = {line[1].split()[0] for line in parse(pair.real.call("DEBUG", "HELP"))[0][1:]}
    assert set(names) <= real and names[:-1] == sorted(names[:-1])
    for name in names:
        reply = pair.ours.feed(command("DEBUG", name, *["x"] * 9))
        assert reply.startswith(b"-ERR unknown subcommand or wrong number of arguments") or name in (
            b"DIGEST-VALUE",
            b"RELOAD",
            b"REPLICATE",
        )


@pytest.mark.parametrize(("setting", "ok"), [("no", False), ("yes", True), ("local", True)])
def test_only_where_allowed(setting, ok):
    with libkv.Store(enable_debug_command=setting) as store:
        reply = store.new_session().feed(command("DEBUG", "SLEEP", 0))
        assert (reply == b"+OK\r\n") == ok
        if not ok:
            assert reply == (
                b'-ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it '
                b"from a local connection, otherwise you need to set this option in the configuration file, and then "
                b"restart the server.\r\n"
            )
