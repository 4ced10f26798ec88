"""EVAL and its kin beside redis-server: replies, errors, the sandbox, effects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle import script_cases
from tests.oracle.effects import same_after_replay
from tests.resp import command, parse

GROUPS = ["SANDBOX", "CALLS", "REDIS", "REPLIES", "LANGUAGE", "COROUTINES", "STRUCT", "CMSGPACK", "BIT"]


def keys(pair: Any) -> None:
    pair.both("FLUSHALL")
    pair.same("SET", "s", "abc")
    pair.same("SET", "a", "x")
    pair.same("HSET", "h", "a", "1")
    pair.same("SADD", "ss", "a")
    pair.same("ZADD", "zz", "1.5", "a")
    pair.same("RPUSH", "l", "x", "y", "z")


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("group", GROUPS)
def test_replies(pair: Any, group: str, protocol: int) -> None:
    keys(pair)
    if protocol == 3:
        pair.resp3()
    for script in getattr(script_cases, group):
        pair.same("EVAL", script, 0)
    pair.same("GET", "s")


def test_keys_and_arguments(pair: Any) -> None:
    script = "return {KEYS, ARGV, #KEYS, #ARGV, KEYS[1], ARGV[2]}"
    pair.same("EVAL", script, 0)
    pair.same("EVAL", script, 1, "k")
    pair.same("EVAL", script, 2, "k", b"\x00\xff", "v", "")
    pair.same("EVAL", script, 0, *map(str, range(300)))
    for count in ("x", "-1", "5", "1.5", "", " 1", "99999999999999999999"):
        pair.same("EVAL", script, count, "k")
    pair.same("EVAL", script)
    pair.same("EVALSHA", "abc", 0)
    pair.same("EVALSHA", "f" * 40, 0)
    pair.same("EVALSHA", "f" * 40, "x")


def test_cache(pair: Any) -> None:
    pair.both("SCRIPT", "FLUSH")
    one = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    pair.same("EVALSHA", one, 0)
    assert pair.same("SCRIPT", "LOAD", "return 1") == b"$40\r\n" + one.encode() + b"\r\n"
    pair.same("SCRIPT", "EXISTS", one, one.upper(), "x", "f" * 40)
    pair.same("EVALSHA", one, 0)
    pair.same("EVALSHA", one.upper(), 0)
    pair.same("EVALSHA_RO", one, 0)
    pair.same("SCRIPT", "LOAD", "return x y z")
    pair.same("SCRIPT", "LOAD", "")
    pair.same("SCRIPT", "LOAD", b"\x1bLua")
    for words in (["FOO"], ["ASYNC", "X"], ["sync"], ["ASYNC"], []):
        pair.same("EVAL", "return 1", 0)
        pair.same("SCRIPT", "FLUSH", *words)
        pair.same("SCRIPT", "EXISTS", one)
        pair.same("EVALSHA", one, 0)


def test_script_command(pair: Any) -> None:
    pair.same("SCRIPT", "KILL")
    pair.same("SCRIPT", "DEBUG", "no")
    pair.same("SCRIPT", "DEBUG", "foo")
    pair.same("SCRIPT", "FOO")
    pair.same("SCRIPT")
    pair.same("SCRIPT", "HELP")
    pair.same("SCRIPT", "EXISTS")
    pair.same("SCRIPT", "LOAD")


SHEBANGS = [
    "#!lua\nreturn redis.call('set','a','b')",
    "#!lua flags=no-writes\nreturn redis.call('set','a','b')",
    "#!lua flags=no-writes,allow-oom\nreturn 1",
    "#!lua flags=nope\nreturn 1",
    "#!lua flags=no-writes,,allow-oom\nreturn 1",
    "#!lua flags=no-writes,\nreturn 1",
    "#!lua foo=nope\nreturn 1",
    "#!lua name=nope\nreturn 1",
    "#!lua foo\nreturn 1",
    "#!lu\nreturn 1",
    "#!LUA\nreturn 1",
    "#!lua",
    "#!",
    "#!\nreturn 1",
    "#! lua\nreturn 1",
    "#lua\nreturn 1",
    "#!lua flags= \nreturn 1",
    "#!lua  flags=no-writes \t flags=allow-oom\nerror('x')",
    "#!lua flags=no-cluster,allow-stale,allow-cross-slot-keys\nreturn 1",
    "#!lua\n\nerror('x')",
    "#!lua\n",
]


@pytest.mark.parametrize("name", ["EVAL", "EVAL_RO"])
def test_shebang(pair: Any, name: str) -> None:
    for script in SHEBANGS:
        pair.same(name, script, 0)
    pair.same(name, "return redis.call('set','a','b')", 0)
    pair.same(name, "return redis.pcall('set','a','b')", 0)
    pair.same(name, "return redis.call('get','a')", 0)
    pair.finish()


def test_memory_is_full(pair: Any) -> None:
    pair.both("CONFIG", "SET", "maxmemory", "1")
    for flags in ("", "#!lua\n", "#!lua flags=allow-oom\n", "#!lua flags=no-writes\n"):
        pair.same("EVAL", flags + "return 1", 0)
        pair.same("EVAL", flags + "return redis.call('get','a')", 0)
        pair.same("EVAL", flags + "return redis.call('set','a','b')", 0)
        pair.same("EVAL", flags + "return redis.call('del','a')", 0)
        pair.same("EVAL", flags + "redis.call('del','x') return redis.call('set','a','b')", 0)
    pair.both("CONFIG", "SET", "maxmemory", "0")


def test_database_is_the_scripts_own(pair: Any) -> None:
    pair.same("SELECT", 3)
    pair.same("EVAL", "redis.call('set','here',1) redis.call('select',5) return redis.call('set','there',2)", 0)
    pair.same("DBSIZE")
    pair.same("GET", "here")
    pair.same("EVAL", "return redis.call('get','there')", 0)
    pair.finish()


def test_in_a_transaction(pair: Any) -> None:
    pair.same("MULTI")
    pair.same("SET", "a", "1")
    pair.same("EVAL", "return redis.call('incr','a')", 0)
    pair.same("EVAL", "return redis.call('nosuch')", 0)
    pair.same("EVAL", "return {redis.call('get','a'), {err='MY error'}}", 0)
    pair.same("EXEC")
    pair.same("EVAL", "return redis.call('multi')", 0)
    pair.finish()


def test_time_stands_still(pair: Any) -> None:
    script = """
        redis.call('set', 'k', 'v', 'px', 1)
        local n = 0
        for i = 1, 3000000 do n = n + 1 end
        local a, b = redis.call('time'), redis.call('time')
        return {redis.call('get', 'k'), a[1] == b[1], a[2] == b[2]}
    """
    pair.same("EVAL", script, 0)


def test_blocking_commands_do_not_block(pair: Any) -> None:
    for call in (
        "'blpop','none',0",
        "'blmove','none','l2','left','right',0",
        "'bzpopmin','none',0",
        "'blmpop',0,1,'none','left'",
    ):
        pair.same("EVAL", f"return redis.pcall({call})", 0)


def test_errors_are_counted_once(pair: Any) -> None:
    pair.both("CONFIG", "RESETSTAT")
    pair.both("SET", "s", "abc")
    for script in (
        "return redis.call('incr','s')",
        "return redis.pcall('incr','s')",
        "redis.pcall('incr','s') return 1",
        "return redis.call('nosuch')",
        "return redis.pcall('get')",
        "return redis.call('lpush','s','x')",
        "error('x')",
        "error({err='MINE x'})",
        "return {err='YOURS x'}",
        "return redis.error_reply('THEIRS x')",
        "return redis.call('subscribe','x')",
        "return redis.call()",
        "x y",
    ):
        pair.same("EVAL", script, 0)
    pair.same("EVALSHA", "x", 0)
    pair.same("INFO", "errorstats")

    def counted(reply: bytes) -> dict[str, list[str]]:
        found = {}
        for line in reply.decode().splitlines():
            if line.startswith("cmdstat_"):
                name, _, rest = line.partition(":")
                found[name] = [part for part in rest.split(",") if not part.startswith("usec")]
        for name in ("cmdstat_config|resetstat", "cmdstat_info"):
            found.pop(name, None)
        return found

    theirs, ours = pair.both("INFO", "commandstats")
    assert counted(ours) == counted(theirs)


def test_effects_are_one_unit(pair: Any) -> None:
    pair.store.record_effects()
    pair.same("EVAL", "redis.call('set','a',1) redis.call('incr','a') return redis.call('rpush','l',1,2,3)", 0)
    pair.same("EVAL", "return redis.call('set','alone',1)", 0)
    pair.same("EVAL", "return redis.call('get','a')", 0)
    pair.same("EVAL", "redis.call('set','kept',1) error('x')", 0)
    pair.same("EVAL", "redis.set_repl(redis.REPL_NONE) redis.call('del','gone') redis.set_repl(redis.REPL_ALL)", 0)
    pair.same("EVAL", "redis.call('select',2) redis.call('set','b',1) return redis.call('expire','b',100)", 0)
    pair.same("MULTI")
    pair.same("SET", "c", "1")
    pair.same("EVAL", "redis.call('set','d',1) return redis.call('set','e',1)", 0)
    pair.same("EXEC")
    effects = same_after_replay(pair)
    words = []
    at = 0
    while at < len(effects):
        effect, at = parse(effects, at)
        words.append(effect[0].upper())
    assert words[:7] == [b"MULTI", b"SELECT", b"SET", b"INCR", b"RPUSH", b"EXEC", b"SET"]
    assert words.count(b"MULTI") == words.count(b"EXEC") == 3
    assert b"EVAL" not in words


def test_large_values(pair: Any) -> None:
    pair.same("EVAL", "return redis.call('set',KEYS[1],ARGV[1])", 1, "big", "x" * 1_000_000)
    pair.same("EVAL", "return redis.call('get',KEYS[1])", 1, "big")
    pair.same("EVAL", "return #redis.call('get',KEYS[1])", 1, "big")
    pair.same("EVAL", "local t={} for i=1,20000 do t[i]=i end return redis.call('rpush','l',unpack(t,1,7000))", 0)
    pair.same("EVAL", "return redis.call('lrange','l',0,-1)", 0)
    pair.same("EVAL", "return redis.call('rpush','l',unpack({}, 1, 100000))", 0)


def test_nested_replies_end_somewhere(pair: Any) -> None:
    deep = "local t={} for i=1,%d do t={t} end return t"
    pair.same("EVAL", deep % 500, 0)
    ours = pair.ours.feed(command("EVAL", "local t={} t[1]=t return t", 0))
    assert b"reached lua stack limit" in ours
    pair.same("PING")


def test_info(pair: Any) -> None:
    pair.both("SCRIPT", "FLUSH")
    for n in range(5):
        pair.same("EVAL", f"return {n}", 0)
    fields = ("number_of_cached_scripts", "number_of_functions", "number_of_libraries")
    replies = [
        dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
        for reply in pair.both("INFO", "memory")
    ]
    for field in fields:
        assert replies[0][field] == replies[1][field], field
    for field in ("used_memory_vm_eval", "used_memory_scripts_eval", "used_memory_vm_total", "used_memory_scripts"):
        assert int(replies[1][field]) > 0, field


def test_acl(pair: Any) -> None:
    pair.both("ACL", "SETUSER", "limited", "on", "nopass", "+@all", "-set", "~k:*", "resetchannels", "&c:*")
    try:
        pair.same("AUTH", "limited", "x")
        for script in (
            "return redis.call('set','k:1','v')",
            "return redis.call('get','other')",
            "return redis.call('get','k:1')",
            "return redis.pcall('publish','x','y')",
            "return redis.pcall('publish','c:x','y')",
            "return redis.acl_check_cmd('set','k:1','v')",
            "return redis.acl_check_cmd('get','k:1')",
            "return redis.acl_check_cmd('get','other')",
        ):
            pair.same("EVAL", script, 0)
        pair.same("EVAL", "return 1", 1, "other")
    finally:
        pair.both("AUTH", "default", "x")
        pair.both("ACL", "DELUSER", "limited")


def test_errors_are_counted_wherever_they_stand_in_a_reply(pair: Any) -> None:
    """Once each by their first word, and as failures of EVAL; a command's own error is counted where it arose."""
    pair.same("SET", "s", "x")
    pair.same("CONFIG", "RESETSTAT")
    pair.same("EVAL", "return {redis.pcall('incr','s'), redis.pcall('incr','s'), {err='FOO y'}, {{err='BAR y'}}}", 0)
    for script in (
        "return redis.pcall('incr','s')",
        "return {err='FOO y'}",
        "return redis.call('incr','s')",
        "error('x')",
        "redis.pcall('incr','s') return 1",
        "return {{err='FOO y'}}",
        "return (",
    ):
        pair.same("EVAL", script, 0)
    pair.same("INFO", "errorstats")
    theirs, ours = (
        sorted(line for line in reply.split(b"\r\n") if line.startswith((b"cmdstat_eval", b"cmdstat_incr")))
        for reply in pair.both("INFO", "commandstats")
    )
    assert [counts(line) for line in ours] == [counts(line) for line in theirs]


def counts(line: bytes) -> list[bytes]:
    return [word for word in line.split(b",") if b"usec" not in word]


@pytest.mark.parametrize("flags", ["#!lua\n", "#!lua flags=no-writes\n", ""])
def test_read_only_scripts_send_no_messages(pair: Any, flags: str) -> None:
    """What is told to replicas counts as a write, also where no key changes."""
    for call in ("'publish','a','b'", "'spublish','a','b'", "'pfcount','p'", "'get','p'"):
        pair.same("EVAL_RO", f"{flags}return redis.pcall({call})", 0)
        pair.same("EVAL", f"{flags}return redis.pcall({call})", 0)


@pytest.mark.parametrize(
    "line",
    [
        "#!lua flags='no-writes'", '#!lua "flags=no-writes"', "#!lua flags=no-writes'", "#!lua 'a'b", "'#!lua'", "#!lua\0x",
        "#!'lua'", "#!lua flags=\"no\\x2dwrites\"", "#!lua flags=", "#!lua flags=,", '#!lua ""', "#!", "#!   lua",
    ],
)  # fmt: skip
def test_first_lines_with_quotes(pair: Any, line: str) -> None:
    pair.same("EVAL", f"{line}\nreturn redis.pcall('set','a','b')", 0)
    pair.same("FUNCTION", "LOAD", f"{line}\nredis.register_function('f', function() end)")
    pair.same("FUNCTION", "LOAD", f"{line} name='l'\nredis.register_function('f', function() return 5 end)")
    pair.same("FCALL", "f", 0)
