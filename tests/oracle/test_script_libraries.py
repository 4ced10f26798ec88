"""cjson, cmsgpack, struct and bit beside redis-server's, on random and damaged input."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resp import parse

# says a value as a string, whatever it is; ARGV holds many inputs, each outcome is one element of the reply
SAY = """
local function say(v, depth)
    local kind = type(v)
    if kind == 'table' then
        if depth > 30 then return '...' end
        local parts = {}
        for k, w in pairs(v) do parts[#parts + 1] = say(k, depth + 1) .. '=' .. say(w, depth + 1) end
        table.sort(parts)
        return '{' .. table.concat(parts, ',') .. '}'
    elseif kind == 'number' then
        return string.format('%.17g', v)
    elseif kind == 'string' then
        return string.format('%q', v)
    end
    return tostring(v)
end
local function all(...)
    local parts = {}
    for i = 1, select('#', ...) do parts[i] = say((select(i, ...)), 0) end
    return table.concat(parts, ' ')
end
local out = {}
for i, input in ipairs(ARGV) do
    out[i] = all(pcall(function() %s end))
end
return out
"""


def compared(pair: Any, body: str, inputs: list[Any]) -> None:
    """Runs `body` on both for each input; `input` and `i` are its variables."""
    theirs, ours = (parse(reply)[0] for reply in pair.both("EVAL", SAY.replace("%s", body, 1), 0, *inputs))
    assert isinstance(theirs, list), theirs
    assert isinstance(ours, list), ours
    for item, real, own in zip(inputs, theirs, ours, strict=True):
        assert own == real, item


SEEDS = range(4)
PIECES = [
    *"{}[],:\"'\\ \t\n\r/0123456789+-.eE",
    "true", "false", "null", "nan", "NaN", "inf", "-inf", "Infinity", "0x1F", "1e5", "-0", "1.5", '"a"', '"k":', "\\u0041",
    "\\ud83d\\ude00", "\\ud83d", "\\uDC00", "\\u00", "\\n", "\\x", "tru", "nul", "\x00", "\x01", "\x7f", "é", "[]", "{}", "[[",
    "]]", '{"a":', "1}", "00", "01", "1.", ".5", "-", "--1", "1e", "1e+", "[1,2]", '{"a":1}',
]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_json_decode_of_pieces(pair: Any, seed: int) -> None:
    chance = random.Random(seed)
    inputs = ["".join(chance.choices(PIECES, k=chance.randrange(12))) for _ in range(2000)]
    compared(pair, "return cjson.decode(input)", inputs)
    compared(
        pair,
        "local j = cjson.new() j.decode_invalid_numbers(false) j.decode_max_depth(3) return j.decode(input)",
        inputs,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_json_of_values(pair: Any, seed: int) -> None:
    chance = random.Random(seed)

    def value(depth: int) -> Any:
        kind = chance.randrange(9 if depth < 4 else 6)
        if kind == 0:
            return chance.choice([None, True, False])
        if kind == 1:
            return chance.randrange(-(10 ** chance.randrange(1, 20)), 10 ** chance.randrange(1, 20))
        if kind == 2:
            return chance.choice([0.1, 1e300, -1e-300, 1.5, 123456789012345.6, 1e14, 1e15, 0.0, -0.0, 1 / 3])
        if kind in (3, 4, 5):
            return "".join(chance.choices('aé/\\"\n\t\x01\x1f\x7f😀 <', k=chance.randrange(6)))
        if kind == 6:
            return {"".join(chance.choices("abc/", k=3)): value(depth + 1) for _ in range(chance.randrange(5))}
        return [value(depth + 1) for _ in range(chance.randrange(5))]

    inputs = [json.dumps(value(0), ensure_ascii=chance.random() < 0.5) for _ in range(500)]
    compared(pair, "return cjson.encode(cjson.decode(input)), cjson.decode(input)", inputs)
    compared(
        pair, "return cmsgpack.pack(cjson.decode(input)), cmsgpack.unpack(cmsgpack.pack(cjson.decode(input)))", inputs
    )
    # damaged: a byte changed, added or taken away
    for number, text in enumerate(inputs):
        at = chance.randrange(len(text) + 1)
        inputs[number] = text[:at] + chance.choice(["", "x", '"', ",", "\\"]) + text[at + chance.randrange(2) :]
    compared(pair, "return cjson.decode(input)", inputs)


def test_json_settings_and_errors(pair: Any) -> None:
    for script in (
        "return cjson.encode({[1]=1,[100]=2})",
        "cjson.encode_sparse_array(true) local r = cjson.encode({[1]=1,[100]=2}) cjson.encode_sparse_array(false) return r",
        "return {cjson.encode_sparse_array()}",
        "return {cjson.encode_sparse_array(nil, 0, 0)}",
        "return {cjson.encode_sparse_array(false, 2, 10)}",
        "return cjson.encode_sparse_array(1)",
        "return cjson.encode_sparse_array('on')",
        "return cjson.encode_sparse_array(false, -1)",
        "return cjson.encode_sparse_array(false, 2, 10, 5)",
        "return cjson.encode({[1]=1,[3]=2,[4]=1})",
        "return cjson.encode({[1.5]=1})",
        "return cjson.encode({[-1]=1})",
        "return cjson.encode({[0]=1})",
        "return cjson.encode({[true]=1})",
        "return cjson.encode({1,2,x=3})",
        "return cjson.encode({})",
        "return cjson.encode(function() end)",
        "return cjson.encode(coroutine.create(function() end))",
        "return cjson.encode(cjson.null)",
        "return cjson.encode(nil)",
        "return cjson.encode()",
        "return cjson.encode(1, 2)",
        "return cjson.encode(0/0)",
        "return cjson.encode(1/0)",
        "return cjson.encode({1/0})",
        "local j = cjson.new() j.encode_invalid_numbers(true) return j.encode({0/0, 1/0, -1/0})",
        "local j = cjson.new() j.encode_invalid_numbers('null') return j.encode({0/0, 1/0, -1/0})",
        "local j = cjson.new() return {tostring(j.encode_invalid_numbers()), tostring(j.encode_invalid_numbers('null'))}",
        "return cjson.encode_invalid_numbers('x')",
        "return cjson.encode_invalid_numbers(1)",
        "local j = cjson.new() return {j.encode_max_depth(), j.encode_max_depth(5), j.decode_max_depth(7)}",
        "return cjson.encode_max_depth(0)",
        "return cjson.encode_max_depth('x')",
        "return cjson.decode_max_depth(1, 2)",
        "local j = cjson.new() j.encode_max_depth(2) return j.encode({{1}})",
        "local j = cjson.new() j.encode_max_depth(2) return j.encode({{{1}}})",
        "local t = {} t.t = t return cjson.encode(t)",
        "local t = {} for i = 1, 1000 do t = {t} end return #cjson.encode(t)",
        "local t = {} for i = 1, 1001 do t = {t} end return #cjson.encode(t)",
        "return cjson.decode(('['):rep(1000) .. (']'):rep(1000))[1][1] ~= nil",
        "return cjson.decode(('['):rep(1001))",
        "return cjson.decode(('{\"a\":'):rep(1001))",
        "local j = cjson.new() return {j.encode_number_precision(), j.encode_number_precision(3), j.encode(math.pi)}",
        "return cjson.encode_number_precision(15)",
        "return cjson.encode_number_precision(0)",
        "local j = cjson.new() return {tostring(j.encode_keep_buffer()), tostring(j.encode_keep_buffer(false))}",
        "return cjson.decode('\\0\\0[]')",
        "return cjson.decode('[\\0]')",
        "return cjson.decode('1\\0x')",
        "return cjson.decode('')",
        "return cjson.decode()",
        "return cjson.decode('1', 2)",
        "return cjson.decode({})",
        "return cjson.decode(5)",
        "return tostring(cjson.decode('null')) .. tostring(cjson.decode('null') == cjson.null)",
        "cjson.encode = nil",
        "local j = cjson.new() j.encode = nil return j.encode == nil",
    ):
        pair.same("EVAL", script, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_msgpack_unpack(pair: Any, seed: int) -> None:
    chance = random.Random(seed)
    inputs = []
    for _ in range(2000):
        if chance.random() < 0.5:
            inputs.append(chance.randbytes(chance.randrange(12)))
        else:
            codes = [0x80, 0x81, 0x90, 0x92, 0xA1, 0xA3, *range(0xC0, 0xE1), 0, 1, 0x7F]
            inputs.append(bytes(chance.choices([*codes, 0, 0, 1, 2], k=chance.randrange(1, 12))))
    compared(pair, "return cmsgpack.unpack(input)", inputs)
    compared(pair, "return cmsgpack.unpack_one(input, i % 5)", inputs)
    compared(pair, "return cmsgpack.unpack_limit(input, i % 4, i % 3)", inputs)


def test_msgpack_deep_and_long(pair: Any) -> None:
    for script in (
        "return cmsgpack.unpack(('\\145'):rep(3000) .. '\\1')[1] ~= nil",
        "return select(2, pcall(cmsgpack.unpack, ('\\145'):rep(100000)))",
        "return select(2, pcall(cmsgpack.unpack, ('\\129\\1'):rep(100000)))",
        "return select('#', cmsgpack.unpack(('\\1'):rep(5000)))",
        "return select(2, pcall(cmsgpack.unpack, ('\\1'):rep(100000)))",
        "return select(2, pcall(cmsgpack.unpack, '\\221\\255\\255\\255\\255'))",
        "return select(2, pcall(cmsgpack.unpack, '\\223\\255\\255\\255\\255\\1'))",
        "return redis.sha1hex(cmsgpack.pack(('x'):rep(70000)))",
        "local t = {} for i = 1, 70000 do t[i] = i end return redis.sha1hex(cmsgpack.pack(t))",
        "local t = {} for i = 1, 70000 do t['k' .. i] = i end return redis.sha1hex(cmsgpack.pack(t))",
    ):
        pair.same("EVAL", script, 0)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(min_size=1, max_size=8), inner, max_size=5),
    max_leaves=20,
)


def as_lua_gives(value: Any) -> Any:
    """What comes back of a value that Lua has held: no nil in tables, empty maps as arrays."""
    if isinstance(value, dict):
        return {key: as_lua_gives(item) for key, item in value.items() if item is not None} or []
    if isinstance(value, list):
        return [as_lua_gives(item) for item in value]
    if isinstance(value, float) and value.is_integer() and -(2.0**63) <= value < 2.0**63:
        return int(value)
    return value


def whole(value: Any) -> bool:
    """No nil inside arrays: Lua's have none."""
    if isinstance(value, list):
        return all(item is not None and whole(item) for item in value)
    return all(whole(item) for item in value.values()) if isinstance(value, dict) else True


@given(values)
@settings(max_examples=150)
def test_msgpack_package_agrees(value: Any) -> None:
    if not whole(value):
        return
    packed = msgpack.packb(value, use_bin_type=False)
    reply = STORE.execute_command("EVAL", "return cmsgpack.pack(cmsgpack.unpack(ARGV[1]))", 0, packed)
    assert msgpack.unpackb(reply, raw=True, strict_map_key=False) == as_lua_gives(value)


FORMATS = "><! bBhHlLTiIfdxcs"


@pytest.mark.parametrize("seed", SEEDS)
def test_struct(pair: Any, seed: int) -> None:
    chance = random.Random(seed)

    def layout() -> str:
        words = []
        for _ in range(chance.randrange(6)):
            option = chance.choice(FORMATS)
            number = str(chance.choice([0, 1, 2, 3, 4, 5, 8, 9, 16, 31, 32, 33, 99999999999]))
            words.append(option + (number if option in "!iIc" and chance.random() < 0.6 else ""))
        return "".join(words)

    layouts = [layout() for _ in range(800)]
    compared(pair, "return struct.size(input)", layouts)
    numbers = [0, 1, -1, 127, 255, 65535, -32769, 2**31, 2**53, -(2.0**63), 1.5, 3e38, 1e300]
    arguments = ", ".join(f"({chance.choice(numbers)!r})" if chance.random() < 0.8 else "'text'" for _ in range(5))
    compared(pair, f"return struct.pack(input, {arguments})", layouts)
    compared(pair, f"return struct.unpack(input, struct.pack(input, {arguments}))", layouts)
    data = chance.randbytes(40).hex()
    compared(
        pair,
        f"local d = ('{data}'):gsub('..', function(h) return string.char(tonumber(h, 16)) end) "
        "return struct.unpack(input, d, i % 45 - 2)",
        layouts,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_bit(pair: Any, seed: int) -> None:
    chance = random.Random(seed)

    def number() -> str:
        kind = chance.randrange(4)
        if kind == 0:
            return str(chance.randrange(-(2**33), 2**33))
        if kind == 1:
            return repr(chance.uniform(-(2.0**40), 2.0**40))
        if kind == 2:
            return chance.choice(["0", "-1", "1e300", "-1e300", "2147483648", "-2147483649", "0.5", "1.5", "-0.5", "x"])
        return repr(math.ldexp(chance.random(), chance.randrange(80)))

    inputs = [f"{number()} {number()}" for _ in range(600)]
    for operation in (
        "band",
        "bor",
        "bxor",
        "lshift",
        "rshift",
        "arshift",
        "rol",
        "ror",
        "tohex",
        "tobit",
        "bnot",
        "bswap",
    ):
        compared(pair, f"local a, b = input:match('(%S+) (%S+)') return bit.{operation}(a, b)", inputs)


def test_math_random(pair: Any) -> None:
    pair.same("EVAL", "math.randomseed(ARGV[1]) return tostring(math.random())", 0, 42)
    for seed in (0, 1, -1, 2**31 - 1, 123456789):
        pair.same(
            "EVAL",
            "math.randomseed(ARGV[1]) local r = {} for i = 1, 50 do r[#r + 1] = tostring(math.random()) "
            "r[#r + 1] = math.random(100) r[#r + 1] = math.random(-5, 5) end return r",
            0,
            seed,
        )


STORE: Any = None


@pytest.fixture(scope="module", autouse=True)
def store() -> Any:
    import libkv

    global STORE
    STORE = libkv.Store()
    yield STORE
    STORE.close()
