"""What a script must not be able to do, tried as an attacker would: leave the sandbox, change it, exhaust memory."""

from __future__ import annotations

import random

import pytest

import libkv

pytest.importorskip("lupa", reason="missing lupa (PyPI)")


@pytest.fixture
def store():
    store = libkv.Store(libkv_script_memory=32 << 20, enable_debug_command="yes")
    yield store
    store.check()
    store.close()


def run(store, script, *args):
    """The script's value, or its error as a str."""
    try:
        return store.eval(script, 0, *args)
    except libkv.errors.ResponseError as error:
        return str(error)


# every name and value that can be reached, by look-ups, next and metatables
REACH = """
local seen, found = {}, {}
local function visit(v, path, depth)
    local kind = type(v)
    if kind == 'userdata' or kind == 'thread' then found[#found + 1] = path .. ':' .. kind .. ':' .. tostring(v) end
    if kind ~= 'table' or seen[v] or depth > 12 then return end
    seen[v] = true
    for k, w in pairs(v) do visit(k, path .. '<key>', depth + 1) visit(w, path .. '.' .. tostring(k), depth + 1) end
    for k, w in next, v do visit(w, path .. '.' .. tostring(k), depth + 1) end
    visit(getmetatable(v), path .. '<meta>', depth + 1)
end
visit(_G, '_G', 0)
visit(getmetatable(''), 'string<meta>', 0)
for _, v in pairs({redis.call, pairs, 1, true, ''}) do visit(getmetatable(v), 'value<meta>', 0) end
table.sort(found)
return found
"""


def test_nothing_else_can_be_reached(store):
    assert store.eval(REACH, 0) == [b"_G.cjson.null:userdata:userdata: (nil)"] * 2 or store.eval(REACH, 0) == [
        b"_G.cjson.null:userdata:userdata: (nil)"
    ]
    names = store.eval("local r = {} for k in pairs(_G) do r[#r + 1] = k end return r", 0)
    forbidden = {
        b"os",
        b"io",
        b"debug",
        b"package",
        b"require",
        b"dofile",
        b"loadfile",
        b"print",
        b"getfenv",
        b"setfenv",
    }
    assert not forbidden & set(names)


CHANGES = [
    "x = 1",
    "redis = nil",
    "redis.call = nil",
    "redis['new'] = 1",
    "string.format = nil",
    "math.random = 5",
    "_G.x = 1",
    "_G._G.pairs = 1",
    "rawset(_G, 'x', 1)",
    "rawset(redis, 'x', 1)",
    "rawset(string, 'format', 1)",
    "rawset(getmetatable(''), '__index', {})",
    "rawset(getmetatable(_G), '__index', {})",
    "getmetatable('').__index = {}",
    "getmetatable(_G).__index = {}",
    "getmetatable(_G).__newindex = nil",
    "getmetatable(getmetatable('')).__newindex = nil",
    "setmetatable(_G, nil)",
    "setmetatable(_G, {__index = function() return 1 end})",
    "setmetatable(redis, {})",
    "setmetatable(getmetatable(''), {})",
    "table.insert(_G, 1)",
    "table.insert(redis, 1, 1)",
    "table.remove(redis)",
    "table.sort(redis)",
    "table.foreach(redis, function(k) redis[k] = nil end)",
    "table.foreachi(redis, function(k) redis[k] = nil end)",
    "for k in pairs(redis) do redis[k] = nil end",
    "for k in next, redis do rawset(redis, k, nil) end",
    "local t = setmetatable({}, redis) getmetatable(t).x = 1",
    "local t = setmetatable({}, getmetatable('')) getmetatable(t).__index = nil",
    "local t = setmetatable({}, {__newindex = redis}) t.x = 1",
    "local t = setmetatable({}, {__newindex = _G}) t.x = 1",
    "local t = setmetatable({}, {__index = redis}) rawset(t, 'x', 1) t.y = 1",
    "coroutine.wrap(function() x = 1 end)()",
    "loadstring('x = 1')()",
    "load(function() return nil end)() x = 1",
    "string.gsub('call', '.+', redis)",
    "table.concat(redis)",
    "unpack(redis)",
    "cjson.decode = nil",
    "cmsgpack.pack = nil",
    "error(redis)",
    "error(_G)",
    "error(getmetatable(''))",
    "error(setmetatable({}, {__newindex = function() error('x') end, __index = function() error('y') end}))",
    "error(setmetatable({err = 'e'}, {__index = _G}))",
    "xpcall(function() error('x') end, function(e) redis.x = 1 end)",
    "pcall(error, redis)",
    "return redis",
    "return _G",
    "return {map = redis}",
    "return setmetatable({}, {__index = function() error('z') end})",
    "collectgarbage('stop')",
    "collectgarbage('setpause', 1000000)",
    "redis.setresp(3) return redis.call('hgetall', 'x')",
    "redis.set_repl(redis.REPL_NONE)",
    "coroutine.yield(coroutine.yield)",
    "local f = string.dump(function() end) return loadstring(f) and 'loaded'",
    "return loadstring('\\27LuaQ') and 'loaded'",
    "local first = true return load(function() if first then first = false return '\\27Lua' end end) and 'loaded'",
    "local n = 0 return load(function() n = n + 1 return ({'', '\\27LuaQ'})[n] end) and 'loaded'",
]

STATE = """
local parts = {}
local function names(t, path)
    for k, v in pairs(t) do
        parts[#parts + 1] = path .. tostring(k) .. tostring(v)
        if type(v) == 'table' and k ~= '_G' and k ~= 'KEYS' and k ~= 'ARGV' then names(v, path .. k .. '.') end
    end
end
names(_G, '')
for k, v in pairs(getmetatable('')) do parts[#parts + 1] = 'meta' .. k .. tostring(v) end
for k, v in pairs(getmetatable(_G)) do parts[#parts + 1] = 'meta' .. k .. tostring(v) end
table.sort(parts)
local kept = {}
for _, p in ipairs(parts) do if not p:match('^KEYS') and not p:match('^ARGV') then kept[#kept + 1] = p end end
return {table.concat(kept, '\\n'), ('x'):upper(), tostring(redis.call('get', 'none')), #redis + #_G + #string}
"""


def test_nothing_outlives_a_script(store):
    before = store.eval(STATE, 0)
    assert before[1:] == [b"X", b"false", 0]
    for script in CHANGES:
        outcome = run(store, script)
        assert outcome != b"loaded", script
        assert store.eval(STATE, 0) == before, script
        run(store, f"pcall(function() {script} end)")
        assert store.eval(STATE, 0) == before, script


EXHAUSTING = [
    "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "local s = 'x' while true do s = s .. s end",
    "return ('x'):rep(1e10)",
    "local function f() return f() + 1 end return f()",
    "local t = {} for i = 1, 1e9 do t[i] = function() return t end end",
    "local function f() coroutine.wrap(f)() end f()",
    "local t = {} while true do t = setmetatable({}, {__index = t}) t[1] = ('y'):rep(99999) .. tostring(t) end",
    "local t = {} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
    "local t = {} for i = 1, 14 do t = {t, t, t, t, t, t, t, t} end return cmsgpack.pack(t)",
    "return struct.pack('c0', ('x'):rep(20000000)) .. struct.pack('c0', ('x'):rep(20000000))",
    "return table.concat({('x'):rep(20000000), ('x'):rep(20000000)})",
    "return string.format('%s%s', ('x'):rep(20000000), ('x'):rep(20000000))",
    "return ('x'):rep(20000):gsub('x', ('y'):rep(20000))",
    "local t = {} t.t = t return cjson.encode(t)",
    "return unpack({}, 1, 1e8)",
    "return select('#', string.byte(('x'):rep(1e7), 1, -1))",
    "return ('('):rep(300) .. ''",
    "return loadstring(('('):rep(100000))",
    "return loadstring('return ' .. ('{'):rep(100000))",
    "while true do local ok = pcall(function() local s = 'x' while true do s = s .. s end end) error('end') end",
    "local t = {} for i = 1, 300 do t = {t} end for i = 1, 200 do t = {t, t} end return 1",
    "return redis.call('set', 'k', ('x'):rep(3e7))",
    "return ARGV[1] .. ARGV[1]",
]


@pytest.mark.parametrize("number", range(len(EXHAUSTING)))
def test_memory_has_an_end(store, number):
    run(store, EXHAUSTING[number], b"z" * 20_000_000)
    memory = store.info("memory")
    assert memory["used_memory_vm_eval"] <= 34 << 20
    assert run(store, "return 7") == 7
    assert run(store, "error('x')").startswith("user_script:1: x")
    store.script_flush()
    assert store.info("memory")["used_memory_vm_eval"] == 0
    assert run(store, "return 7") == 7


def test_libraries_have_an_end_too(store):
    for body in (
        "local t = {} for i = 1, 100000000 do t[i] = i .. '' end",
        "local s = 'xxxxxxxx' for i = 1, 100 do s = s .. s end",
        "local function f() return f() + 1 end f()",
    ):
        with pytest.raises(libkv.errors.ResponseError):
            store.function_load(f"#!lua name=x\n{body}")
        assert store.function_list() == []
    store.function_load("#!lua name=x\nredis.register_function('f', function() return 1 end)")
    assert store.fcall("f", 0) == 1


def test_random_programs_do_no_harm(store):
    """Programs put together of what might lead somewhere: errors, but nothing else."""
    chance = random.Random(5)
    values = [
        "_G", "redis", "string", "getmetatable('')", "getmetatable(_G)", "{}", "nil", "1", "0/0", "'x'", "true", "next",
        "function() end", "coroutine.create(function() coroutine.yield(1) end)", "redis.call", "cjson", "cjson.null",
        "setmetatable({}, redis)", "('x'):rep(100)", "-1", "1e308", "'\\27Lua'", "KEYS", "ARGV", "{err = {}}",
        "{ok = 1}", "{map = {}}",
    ]  # fmt: skip
    functions = store.eval(
        "local r = {} for k, v in pairs(_G) do if type(v) == 'function' then r[#r + 1] = k "
        "elseif type(v) == 'table' and k ~= '_G' "
        "then for n, f in pairs(v) do if type(f) == 'function' then r[#r + 1] = k .. '.' .. n end end end end "
        "table.sort(r) return r",
        0,
    )
    before = store.eval(STATE, 0)
    for _ in range(3000):
        calls = []
        for _ in range(chance.randrange(1, 4)):
            name = chance.choice(functions).decode()
            calls.append(f"{name}({', '.join(chance.choices(values, k=chance.randrange(4)))})")
        script = (
            f"local a = {calls[0]} " + " ".join(f"pcall(function() {call} end)" for call in calls[1:]) + " return a"
        )
        run(store, script)
    assert store.eval(STATE, 0) == before


def test_lack_of_memory_at_every_allocation(store):
    """Each allocation of the store in turn: an error, nothing half done."""
    script = "redis.call('set', 'a', ARGV[1]) return redis.call('rpush', 'l', 1, 2, 3)"
    for n in range(40):
        store.script_flush()
        store.fail_allocations_after(n)
        run(store, script, "x" * 2000)
        store.fail_allocations_after(-1)
        store.check()
    for n in range(40):
        store.function_flush()
        store.fail_allocations_after(n)
        try:
            store.function_load("#!lua name=x\nredis.register_function('f', function() return 1 end)")
            store.fcall("f", 0)
        except (libkv.errors.ResponseError, MemoryError):
            pass
        store.fail_allocations_after(-1)
        store.check()
    assert run(store, "return 7") == 7
