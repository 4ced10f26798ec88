"""Random programs with scripts, functions and payloads, for redis-server and a store of ours to agree on.

A generated script runs commands of the same grammar as tests/oracle/commands.py by redis.call and redis.pcall, with
arguments as literals, as KEYS and ARGV, or as numbers, and makes something of the replies: it returns them, collects
them, writes them out with every type visible, sends them through cjson or cmsgpack, or raises.  What Redis leaves open
(the order of sets and hashes, clocks) is put in order by the script itself, or not told.

A payload is what DUMP or FUNCTION DUMP told: PAYLOAD in a later command of the same unit stands for the other server's.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any

from tests.oracle.commands import ANY_KEY, EDGE_INTS, FLOATS, POOLS, SMALL, SORTED, TEXTS, Command, Generator

PAYLOAD = b"<the other's payload>"

MEMBERS = frozenset(b"smembers sunion sdiff sinter keys hkeys hvals spop".split())
PAIRS = frozenset(b"hgetall".split())
UNTOLD = frozenset(b"ttl pttl expiretime pexpiretime object xinfo xpending scan sscan hscan zscan hello client".split())

# show: any value as text, its types visible, tables in order; free: a reply whose order is left open, put in order
PRELUDE = b"""\
local function show(v, depth)
  if type(v) ~= 'table' then return type(v):sub(1, 1) .. ':' .. tostring(v) end
  if (depth or 0) > 8 then return '...' end
  local keys = {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return show(a) < show(b) end)
  for i, k in ipairs(keys) do keys[i] = show(k) .. '=' .. show(v[k], (depth or 0) + 1) end
  return '{' .. table.concat(keys, ',') .. '}'
end
local function free(v, pairwise)
  if type(v) ~= 'table' or #v == 0 then return show(v) end
  local out = {}
  for i = 1, #v, pairwise and 2 or 1 do out[#out + 1] = show(v[i]) .. (pairwise and show(v[i + 1]) or '') end
  table.sort(out)
  return table.concat(out, ' ')
end
"""

REFUSED: list[Command] = [
    (b"MULTI",), (b"EXEC",), (b"WATCH", b"s0"), (b"SUBSCRIBE", b"c"), (b"EVAL", b"return 1", b"0"), (b"NOSUCH", b"a"),
    (b"GET",), (b"CLIENT", b"REPLY", b"OFF"), (b"SCRIPT", b"FLUSH"), (b"WAIT", b"0", b"0"), (b"HELLO", b"3"),
    (b"FCALL", b"f0", b"0"), (b"RESET",), (b"CONFIG", b"GET", b"hz"), (b"AUTH", b"x"), (b"PSYNC", b"?", b"-1"),
    (b"BLPOP", b"l9", b"0"), (b"BZMPOP", b"0", b"1", b"z9", b"MIN"), (b"SPUBLISH", b"c", b"x"), (b"PUBLISH", b"c", b"x"),
    (b"SELECT", b"1"), (b"SELECT", b"99"), (b"DEBUG", b"SLEEP", b"0"), (b"ACL", b"WHOAMI"), (b"FLUSHALL",), (b"DBSIZE",),
]  # fmt: skip

SAMPLES = b"bignum attrib verbatim true false double null map set string array".split()

HEADERS = [
    b"#!lua\n", b"#!lua flags=no-writes\n", b"#!lua flags=allow-stale,no-cluster\n", b"#!lua flags=allow-oom\n",
    b"#!lua flags=allow-cross-slot-keys\n", b"#!lua flags=nosuch\n", b"#!lua name=x\n", b"#!python\n", b"#!lua",
    b"#!lua flags=\n", b"#!lua  flags=no-writes,allow-oom\n", b"#! lua\n", b"#!lua flags=no-writes flags=allow-oom\n",
]  # fmt: skip

LIBRARIES = [b"lib0", b"lib1", b"bad name", b"lib0"]
FUNCTIONS = [b"f0", b"f1", b"f2"]


def quoted(word: bytes) -> bytes:
    """A string of Lua."""
    plain = all(32 <= c < 127 and c not in b"'\\" for c in word)
    return b"'" + (word if plain else b"".join(b"\\%03d" % c for c in word)) + b"'"


class ScriptGenerator(Generator):
    """Programs in which every third unit is about scripts, functions or payloads."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.texts: list[bytes] = []  # scripts that have been sent
        self.in_script = False
        self.keys: list[bytes] = []  # of the script that is being written
        self.args: list[bytes] = []
        self.made = 0

    def unit(self) -> list[Command]:
        luck = self.random.random()
        if luck < 0.22:
            return [self.script()]
        if luck < 0.28:
            return self.function()
        if luck < 0.33:
            return self.payload()
        if luck < 0.35:
            return [self.about_scripts()]
        return super().unit()

    def plain(self) -> list[Command]:
        if self.in_multi and not self.in_script and self.random.random() < 0.2:
            return [self.script()]
        return super().plain()

    # ---- scripts

    def script(self) -> Command:
        """EVAL or its kin, of a new script or one that has been sent."""
        r = self.random
        name = r.choice([b"EVAL", b"EVAL", b"EVAL", b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO"])
        self.keys, self.args = [], []
        if name.startswith(b"EVALSHA") and self.texts and r.random() < 0.9:
            text = r.choice(self.texts)
            self.keys = [r.choice(ANY_KEY) for _ in range(r.randrange(4))]
            self.args = [r.choice(TEXTS) for _ in range(r.randrange(6))]  # no numbers: one might be a short life
        else:
            text = self.body()
            if r.random() < 0.12:
                text = r.choice(HEADERS) + text
            self.texts.append(text)
        what = text
        if name.startswith(b"EVALSHA"):
            digest = sha1(text).hexdigest().encode()
            what = r.choice([digest, digest, digest.upper(), digest[:39]] if r.random() < 0.1 else [digest])
        count = b"%d" % len(self.keys)
        if r.random() < 0.01:
            count = r.choice([b"-1", b"x", b"1000", b""])
        return (self.case(name), what, count, *self.keys, *self.args)

    def body(self, names: tuple[bytes, bytes] = (b"KEYS", b"ARGV")) -> bytes:
        """Lua: a few calls, and what becomes of their replies."""
        r = self.random
        lines = [PRELUDE] if r.random() < 0.8 else []
        told = bool(lines)
        if r.random() < 0.3:
            lines.append(b"redis.setresp(%d)\n" % r.choice([3, 3, 3, 2]))
        results = []
        for i in range(r.choice([0, 1, 1, 1, 2, 3, 5])):
            for words in self.calls():
                lines.append(self.call(words, b"r%d" % i, told, names))
            results.append(b"r%d" % i)
            if r.random() < 0.05:
                lines.append(b"redis.setresp(%d)\n" % r.choice([2, 3]))
        lines.append(self.ending(results, told))
        return b"".join(lines)

    def calls(self) -> list[Command]:
        r = self.random
        if r.random() < 0.06:
            return [r.choice(REFUSED)]
        if r.random() < 0.06:
            return [(b"DEBUG", b"PROTOCOL", r.choice(SAMPLES))]
        multi, group, pool = self.in_multi, self.group, self.pool
        self.in_multi = self.in_script = True
        found = super().plain()
        self.in_multi, self.in_script, self.group, self.pool = multi, False, group, pool
        return found

    def call(self, words: Command, result: bytes, told: bool, names: tuple[bytes, bytes]) -> bytes:
        """One call: `local r0 = ...`; a reply that is free becomes text at once, or nothing."""
        r = self.random
        if not words:
            return b"local %s = redis.pcall()\n" % result
        name = words[0].lower()
        how = b"redis.call" if r.random() < 0.3 else b"redis.pcall"
        text = b"%s(%s)" % (how, b", ".join(self.word(word, names) for word in words))
        if r.random() < 0.06:
            text = b"select(2, pcall(redis.call, %s" % text.split(b"(", 1)[1] + b")"
        if name in MEMBERS or name in PAIRS or (name in (b"sort", b"sort_ro") and words[1:2] != (SORTED[0],)):
            if not told:
                return text + b"\n"
            text = b"free(%s%s)" % (text, b", true" if name in PAIRS else b"")
        elif name in UNTOLD:
            text = b"type(%s)" % text
        return b"local %s = %s\n" % (result, text)

    def word(self, word: bytes, names: tuple[bytes, bytes]) -> bytes:
        """An argument: a literal, a number, or one of the script's own arguments."""
        luck = self.random.random()
        if luck < 0.15 and len(self.keys) < 5:
            self.keys.append(word)
            return b"%s[%d]" % (names[0], len(self.keys))
        if luck < 0.35 and len(self.args) < 60:
            self.args.append(word)
            return b"%s[%d]" % (names[1], len(self.args))
        if luck < 0.75 and word.isdigit() and len(word) < 16 and (word == b"0" or word[:1] != b"0"):
            return word
        return quoted(word)

    def ending(self, results: list[bytes], told: bool) -> bytes:
        r = self.random
        one = r.choice(results) if results else b"(" + self.lua(0) + b")"
        all_ = b"{" + b", ".join(results) + b"}"
        ways = [
            b"return " + one, b"return " + all_, b"return {" + one + b", " + self.lua(0) + b"}", b"return " + self.lua(0),
            b"error(type(" + one + b"))", b"return redis.error_reply(%s)" % quoted(r.choice(TEXTS)), b"", b"return",
            b"return redis.status_reply(%s)" % quoted(r.choice([b"FINE", b"a b", b"", b"a\r\nb"])),
            b"if type(%s) == 'table' and type((%s).err) == 'string' then error(%s) end" % (one, one, one), b"return (%s).err" % one,
            b"error(%s, %d)" % (quoted(r.choice(TEXTS)), r.randrange(3)), b"error({err = %s})" % quoted(r.choice(TEXTS)), b"return redis.sha1hex(tostring(type(%s)))" % one,
        ]  # fmt: skip
        if told:
            ways += [b"return show(%s)" % all_] * 9
            ways += [b"return show(%s) .. show(%s)" % (one, self.lua(0))]
            ways += [b"return show({pcall(cjson.encode, cjson.encode(%s))})" % quoted(r.choice(TEXTS))]
            ways += [b"local ok, e = pcall(cjson.encode, %s) return show(ok and cjson.decode(e) or e)" % all_] * 2
            ways += [b"return show({cmsgpack.unpack(cmsgpack.pack(%s, %s))})" % (all_, self.lua(1))]
        return r.choice(ways) + b"\n"

    def lua(self, depth: int) -> bytes:
        """A value of Lua that has one reply."""
        r = self.random
        kind = r.randrange(12 if depth < 3 else 5)
        if kind == 0:
            return r.choice(b"nil true false 1/0 0/0 -1/0 1e100 -1.9 3.99 2^53 2^63 -0.5".split())
        if kind <= 2:
            return quoted(r.choice(TEXTS))
        if kind <= 4:
            return r.choice(SMALL)
        if kind <= 8:
            return b"{" + b", ".join(self.lua(depth + 1) for _ in range(r.randrange(5))) + b"}"
        name, value = r.choice(
            [
                (b"ok", quoted(r.choice(TEXTS[:5]))), (b"err", quoted(r.choice([b"ERR x", b"x", b"-BAD y", b"", b"A\r\nB"]))),
                (b"double", r.choice([b"1.5", b"-0", b"1/0", b"3", b"0.1", b"1e300", b"'x'"])),
                (b"big_number", quoted(r.choice([*EDGE_INTS, b"1\r\n2", b"x"]))), (b"map", b"{[%s] = %s}" % (quoted(r.choice(TEXTS[:5])), self.lua(depth + 1))),
                (b"set", b"{[%s] = true}" % quoted(r.choice(TEXTS[:5]))), (b"ok", b"1"), (b"err", b"{}"), (b"map", b"1"),
                (b"verbatim_string", b"{format = %s, string = %s}" % (quoted(r.choice([b"txt", b"markdown", b"x"])), quoted(r.choice(TEXTS)))),
                (b"foo", b"1"), (b"[1]", b"{1, nil, 3}"),
            ]
        )  # fmt: skip
        return b"{%s = %s}" % (name, value)

    def about_scripts(self) -> Command:
        r = self.random
        digest = sha1(r.choice(self.texts)).hexdigest().encode() if self.texts else b"0" * 40
        choices: list[Command] = [
            (b"SCRIPT", b"EXISTS", digest, b"x"), (b"SCRIPT", b"EXISTS"), (b"SCRIPT", b"FLUSH"), (b"SCRIPT", b"KILL"),
            (b"SCRIPT", b"FLUSH", r.choice([b"ASYNC", b"SYNC", b"x"])), (b"SCRIPT", b"LOAD", b"return 1 1"),
            (b"SCRIPT", b"LOAD", r.choice(self.texts) if self.texts else b"return 1"), (b"SCRIPT", b"NOSUCH"),
            (b"FUNCTION", b"KILL"), (b"FUNCTION", b"STATS"), (b"FUNCTION", b"DELETE", r.choice(LIBRARIES)),
            (b"FUNCTION", b"FLUSH"), (b"FUNCTION", b"LIST", b"LIBRARYNAME", b"lib0", b"WITHCODE"),
            (b"FUNCTION", b"LIST", b"LIBRARYNAME", r.choice([b"lib1", b"nosuch", b"lib1"])), (b"FUNCTION", b"LIST", b"x"),
            (b"EVAL", b"return redis.call('x' .. 'y', ...)", b"0"), (b"EVAL", b"return KEYS[1] ..", b"0"), (b"EVAL",),
        ]  # fmt: skip
        return r.choice(choices)

    # ---- functions

    def function(self) -> list[Command]:
        """Now and then a library; calls of functions that are there or not."""
        r = self.random
        unit: list[Command] = []
        if r.random() < 0.35 or not self.made:
            self.made += 1
            unit.append(self.library())
        for _ in range(r.choice([1, 2, 3])):
            keys = [r.choice(POOLS[r.choice(["string", "list", "set", "hash"])]) for _ in range(r.randrange(4))]
            args = [r.choice(TEXTS + SMALL + FLOATS) for _ in range(r.randrange(5))]
            name = r.choice([*FUNCTIONS, *FUNCTIONS, *FUNCTIONS, b"nosuch"])
            fcall = self.case(r.choice([b"FCALL", b"FCALL", b"FCALL_RO"]))
            unit.append((fcall, name, b"%d" % len(keys), *keys, *args))
        return unit

    def library(self) -> Command:
        r = self.random
        lines = [b"#!lua name=%s\n" % r.choice(LIBRARIES)]
        if r.random() < 0.1:
            lines = [r.choice(HEADERS)]
        for name in r.sample(FUNCTIONS, r.choice([1, 1, 2])):
            self.keys, self.args = [b"?"] * 5, [b"?"] * 60  # written out: the caller decides what these hold
            body = b"local KEYS, ARGV = ...\n" + self.body()
            flags = r.choice([b"", b"", b"", b"'no-writes'", b"'allow-oom', 'allow-stale'", b"'nosuch'"])
            if flags or r.random() < 0.3:
                text = b"redis.register_function{function_name = '%s', callback = function(...)\n%send, flags = {%s}}\n"
                lines.append(text % (name, body, flags))
            else:
                lines.append(b"redis.register_function('%s', function(...)\n%send)\n" % (name, body))
        replace = (b"REPLACE",) if r.random() < 0.8 else ()
        return (b"FUNCTION", b"LOAD", *replace, b"".join(lines))

    # ---- payloads

    def payload(self) -> list[Command]:
        """DUMP, and the payload restored on the other server."""
        r = self.random
        if r.random() < 0.1:
            policy = r.choice([b"FLUSH", b"APPEND", b"REPLACE", b"nosuch"])
            words = r.choice([(PAYLOAD, policy), (PAYLOAD, policy), (PAYLOAD,), (b"x" + PAYLOAD, policy)])
            return [(b"FUNCTION", b"DUMP"), (b"FUNCTION", b"RESTORE", *words)]
        pool = r.choice(list(POOLS.values()))
        unit: list[Command] = [(self.case(b"DUMP"), r.choice(pool))]
        for _ in range(r.choice([1, 1, 2])):
            life = r.choice([b"0", b"0", b"0", b"100000000", b"-1", b"x"])
            options: list[list[bytes]] = []
            if r.random() < 0.8:
                options.append([self.case(b"REPLACE")])
            if r.random() < 0.1:
                options.append([self.case(b"ABSTTL")])
                life = r.choice([b"4000000000000", b"1", b"0"])
            if r.random() < 0.1:
                options.append([self.case(b"IDLETIME"), r.choice([b"0", b"1000", b"-1", b"x"])])
            if r.random() < 0.1:
                options.append([self.case(b"FREQ"), r.choice([b"0", b"255", b"256", b"x"])])
            r.shuffle(options)
            data = PAYLOAD if r.random() < 0.93 else r.choice([b"", b"x" + PAYLOAD, PAYLOAD + b"x", b"\0" * 9])
            key = r.choice(pool if r.random() < 0.9 else ANY_KEY)
            unit.append((self.case(b"RESTORE"), key, life, data, *(word for option in options for word in option)))
        return unit


def with_payload(unit: list[Command], payload: Any) -> list[Command]:
    """The commands with the payload in its places."""
    data = payload if isinstance(payload, bytes) else b""
    return [tuple(word.replace(PAYLOAD, data) for word in words) for words in unit]


def crosses(unit: list[Command]) -> bool:
    """Whether a unit begins with a dump."""
    return b"DUMP" in [word.upper() for word in unit[0][:2]]
