"""FUNCTION and FCALL beside redis-server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.effects import same_after_replay
from tests.resp import command, parse

LIBRARY = """#!lua name=%s
redis.register_function('%s_echo', function(keys, args) return {keys, args} end)
redis.register_function{function_name='%s_read', callback=function(keys) return redis.call('get', keys[1]) end,
    flags={'no-writes', 'allow-stale'}, description='reads a key'}
redis.register_function('%s_write', function(keys, args) return redis.call('set', keys[1], args[1]) end)
"""


def library(name: str) -> str:
    return LIBRARY % ((name,) * 4)


@pytest.fixture
def pair(pair: Any) -> Any:
    pair.both("FUNCTION", "FLUSH")
    pair.both("FUNCTION", "STATS")
    yield pair
    pair.both("FUNCTION", "FLUSH")


BODIES = [
    "return 1",
    "foo bar",
    "x=1",
    "return xx",
    "error('a')",
    "redis.call('get','a')",
    "local x = string",
    "local x = pairs",
    "local x = redis.pcall",
    "redis.log(redis.LOG_DEBUG, 'loading')",
    "redis.register_function('a')",
    "redis.register_function('a',1)",
    "redis.register_function({},1)",
    "redis.register_function()",
    "redis.register_function(1,2,3)",
    "redis.register_function('a',function() end, 1)",
    "redis.register_function{foo=1}",
    "redis.register_function{[1]=1}",
    "redis.register_function{function_name=1}",
    "redis.register_function{function_name={}}",
    "redis.register_function{function_name='a'}",
    "redis.register_function{callback=function() end}",
    "redis.register_function{function_name='a',callback=1}",
    "redis.register_function{function_name='a',callback=function() end,description={}}",
    "redis.register_function{function_name='a',callback=function() end,flags=1}",
    "redis.register_function{function_name='a',callback=function() end,flags={'x'}}",
    "redis.register_function{function_name='a',callback=function() end,flags={1}}",
    "redis.register_function{function_name='a-b',callback=function() end}",
    "redis.register_function{function_name='',callback=function() end}",
    "redis.register_function('a',function() end) redis.register_function('a',function() end)",
    "redis.register_function('a',function() end) error_here()",
    "redis.register_function('a',function() end) x y",
    "while true do end",
    "\x1bLua",
]


def test_load_refuses(pair: Any) -> None:
    for body in BODIES:
        pair.same("FUNCTION", "LOAD", "#!lua name=refused\n" + body)
        pair.same("FUNCTION", "LIST")
    for code in (
        "",
        "return 1",
        "#!lua\nreturn 1",
        "#!lua name=x",
        "#!foo name=x\nreturn 1",
        "#! name=x\nreturn 1",
        "#!LUA name=capital\nredis.register_function('a',function() end)",
        "#!lua name=x-y\nreturn 1",
        "#!lua name=\nreturn 1",
        "#!lua name=x name=y\nreturn 1",
        "#!lua name=x foo=y\nreturn 1",
        "#!lua foo\nreturn 1",
    ):
        pair.same("FUNCTION", "LOAD", code)
    for words in (["FOO", "x"], ["REPLACE", "x", "y"], []):
        pair.same("FUNCTION", "LOAD", *words)


def test_replace_may_be_said_twice(pair: Any) -> None:
    code = "#!lua name=l\nredis.register_function('f', function() return 1 end)"
    for options in (("REPLACE", "replace"), ("REPLACE", "x"), ("x", "REPLACE"), ("x",), ()):
        pair.same("FUNCTION", "LOAD", *options, code)


def test_load_and_call(pair: Any) -> None:
    pair.same("FUNCTION", "LOAD", library("one"))
    pair.same("FUNCTION", "LOAD", library("one"))
    pair.same("FUNCTION", "LOAD", "replace", library("one"))
    pair.same("FUNCTION", "LOAD", library("two"))
    pair.same("FUNCTION", "LOAD", "#!lua name=three\nredis.register_function('one_echo',function() end)")
    pair.same("FUNCTION", "LOAD", "#!lua name=three\nredis.register_function('ONE_ECHO',function() end)")
    pair.same("FUNCTION", "LOAD", "REPLACE", "#!lua name=two\nredis.register_function('one_echo',function() end)")
    pair.same("FCALL", "two_echo", 1, "k", "v")
    pair.same("FCALL", "TWO_echo", 0)
    pair.same("FCALL", "two_write", 1, "k", "v")
    pair.same("FCALL", "two_read", 1, "k")
    pair.same("FCALL_RO", "two_read", 1, "k")
    pair.same("FCALL_RO", "two_write", 1, "k", "v")
    for words in (["nosuch", 0], ["two_echo", "x"], ["two_echo", 5, "k"], ["two_echo", -1], ["two_echo"], []):
        pair.same("FCALL", *words)
    pair.same("FUNCTION", "DELETE", "two")
    pair.same("FUNCTION", "DELETE", "two")
    pair.same("FUNCTION", "DELETE", "ONE")
    pair.same("FCALL", "two_echo", 0)
    pair.same("FCALL", "one_echo", 0)
    pair.same("FUNCTION", "STATS")
    pair.finish()


CALLS = [
    "return KEYS",
    "error('hi')",
    "x=1",
    "return redis.register_function('x',function() end)",
    "return redis.breakpoint",
    "return redis.call('incr','s')",
    "return redis.pcall('incr','s')",
    "return redis.call('nosuch')",
    "return redis.call('fcall','f','0')",
    "local n=0 for k in pairs(_G) do n=n+1 end return n",
    "local r={} for k,v in pairs(redis) do r[#r+1]=k end table.sort(r) return r",
    "local r={} for k,v in pairs(getmetatable(_G)) do r[#r+1]=k..type(v) end return r",
    "rawset(_G,'x',1)",
    "return select(2,pcall(function() return nope end))",
    "return cjson.encode({1,2})",
    "redis.setresp(3) return redis.call('hgetall','nokey')",
]


@pytest.mark.parametrize("protocol", [2, 3])
def test_what_functions_see(pair: Any, protocol: int) -> None:
    if protocol == 3:
        pair.resp3()
    pair.both("SET", "s", "abc")
    for body in CALLS:
        pair.same(
            "FUNCTION", "LOAD", "REPLACE", f"#!lua name=x\nredis.register_function('f',function(keys)\n{body} end)"
        )
        pair.same("FCALL", "f", 0)
    # what a library keeps in its upvalues lives on between calls
    pair.same(
        "FUNCTION",
        "LOAD",
        "REPLACE",
        "#!lua name=x\nlocal n = 0\nredis.register_function('f',function() n = n + 1 return n end)",
    )
    for _ in range(3):
        pair.same("FCALL", "f", 0)


def test_list(pair: Any) -> None:
    pair.same("FUNCTION", "LIST")
    pair.same("FUNCTION", "LOAD", library("one"))
    pair.same("FUNCTION", "LOAD", library("two"))
    for words in (
        [],
        ["WITHCODE"],
        ["LIBRARYNAME", "one"],
        ["libraryname", "ON*", "withcode"],
        ["LIBRARYNAME", "x"],
    ):
        pair.same_set("FUNCTION", "LIST", *words)
    for words in (["LIBRARYNAME"], ["FOO"], ["WITHCODE", "WITHCODE"], ["LIBRARYNAME", "a", "LIBRARYNAME", "b"]):
        pair.same("FUNCTION", "LIST", *words)
    pair.resp3()
    pair.same_set("FUNCTION", "LIST", "LIBRARYNAME", "two")
    pair.same("FUNCTION", "STATS")


def test_flush_kill_help(pair: Any) -> None:
    for words in (["FOO"], ["SYNC", "ASYNC"], ["SYNC"], ["async"], []):
        pair.same("FUNCTION", "LOAD", "REPLACE", library("one"))
        pair.same("FUNCTION", "FLUSH", *words)
        pair.same("FUNCTION", "STATS")
    pair.same("FUNCTION", "KILL")
    pair.same("FUNCTION", "HELP")
    pair.same("FUNCTION", "FOO")
    pair.same("FUNCTION")


def dump(reply: bytes) -> bytes:
    payload = parse(reply)[0]
    assert isinstance(payload, bytes)
    return payload


def test_dump_and_restore(pair: Any) -> None:
    pair.same("FUNCTION", "DUMP")
    pair.same("FUNCTION", "LOAD", "#!lua name=s\nredis.register_function('s',function() return 's' end)")
    pair.same("FUNCTION", "DUMP")
    pair.same("FUNCTION", "FLUSH")
    pair.same("FUNCTION", "LOAD", library("one"))
    pair.same("FUNCTION", "LOAD", library("two"))
    payloads = [dump(reply) for reply in pair.both("FUNCTION", "DUMP")]
    for payload in payloads:  # each side's, on both
        pair.same("FUNCTION", "LOAD", "REPLACE", library("one"))
        pair.same("FUNCTION", "LOAD", "REPLACE", library("two"))
        for words in ([], ["APPEND"]):  # which of the two is named depends on a table's order
            replies = pair.both("FUNCTION", "RESTORE", payload, *words)
            assert all(
                reply in (b"-ERR Library one already exists\r\n", b"-ERR Library two already exists\r\n")
                for reply in replies
            ), replies
        pair.same("FUNCTION", "RESTORE", payload, "replace")
        pair.same("FUNCTION", "LOAD", "#!lua name=other\nredis.register_function('other',function() end)")
        pair.same("FUNCTION", "RESTORE", payload, "FLUSH")
        pair.same("FUNCTION", "STATS")
        pair.same("FCALL", "two_echo", 0)
        pair.same("FUNCTION", "FLUSH")
        pair.same("FUNCTION", "RESTORE", payload)
        pair.same_set("FUNCTION", "LIST", "WITHCODE")
        # a function of that name in another library: nothing is changed
        pair.same("FUNCTION", "FLUSH")
        pair.same("FUNCTION", "LOAD", "#!lua name=other\nredis.register_function('one_echo',function() return 'o' end)")
        pair.same("FUNCTION", "RESTORE", payload)
        pair.same("FUNCTION", "RESTORE", payload, "REPLACE")
        pair.same("FCALL", "one_echo", 0)
        pair.same("FUNCTION", "STATS")
        pair.same("FUNCTION", "FLUSH")
    for words in (["x"], ["x", "FOO"], ["x", "FLUSH", "y"], ["a" * 22], []):
        pair.same("FUNCTION", "RESTORE", *words)
    for at in range(0, len(payloads[0]), 7):
        pair.same("FUNCTION", "RESTORE", payloads[0][:at])
        spoiled = payloads[0][:at] + bytes([payloads[0][at] ^ 0x55]) + payloads[0][at + 1 :]
        pair.same("FUNCTION", "RESTORE", spoiled)
    pair.same("FUNCTION", "STATS")


def test_effects(pair: Any) -> None:
    pair.store.record_effects()
    pair.same("FUNCTION", "LOAD", library("one"))
    pair.same("FUNCTION", "LOAD", library("two"))
    pair.same("FCALL", "one_write", 1, "k", "v")
    pair.same("FUNCTION", "DELETE", "two")
    pair.real.call("FUNCTION", "FLUSH")
    effects = same_after_replay(pair)
    assert b"FCALL" not in effects
    assert parse(pair.real.call("FUNCTION", "STATS")) == parse(pair.ours.feed(command("FUNCTION", "STATS")))


def test_memory_of_libraries_comes_back(pair: Any) -> None:
    before = pair.store.used_memory
    for n in range(50):
        pair.ours.feed(command("FUNCTION", "LOAD", library(f"l{n}")))
    assert pair.store.used_memory > before + 20_000
    pair.same("FUNCTION", "FLUSH")
    pair.store.check()
    assert pair.store.used_memory < before + 4_000
