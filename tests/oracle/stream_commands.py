"""Random commands about streams, for tests/oracle/commands.py: IDs that ascend and hit, few groups and consumers.

Clocks differ between two servers, so "*" stands only where a far ID came before (FAR_KEYS hold nothing else: there "*"
means the last ID's successor), and minimal idle times are none or longer than any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.oracle.commands import Generator

KEYS = [b"t0", b"t1", b"t0", b"t1", b"t0", b"t1", b"t2", b"t3", b"l0"]
FAR_KEYS = [b"f0", b"f1"]
GROUP_NAMES = [b"g0"] * 12 + [b"g1"] * 3 + [b"nogroup", b""]
CONSUMERS = [b"alice", b"alice", b"bob", b"bob", b"carol", b""]
NOT_IDS = [b"", b"abc", b"-1", b"1-", b"1-2-3", b"18446744073709551616", b"1-x", b"(", b"1.5", b"0x1"]
IDLES = [b"0", b"0", b"0", b"0", b"-1", b"1000000000000000"]
FIELDS = [b"f", b"g", b"temperature", b"7", b"x" * 70]


def new_id(g: Generator) -> bytes:
    """Of an entry to add: mostly above all that were."""
    r = g.random
    luck = r.random()
    if luck < 0.9:
        g.stream_ms += r.choice((0, 1, 1, 2, 300))
        return b"%d-%d" % (g.stream_ms, r.randrange(3)) if luck < 0.6 else b"%d-*" % g.stream_ms
    if luck < 0.98:
        return old_id(g)
    return r.choice([*NOT_IDS, b"-", b"0-0", b"0-*", b"18446744073709551615-*"])


def old_id(g: Generator) -> bytes:
    """Of an entry that may be there."""
    r = g.random
    luck = r.random()
    ms = max(g.stream_ms - int(r.expovariate(1 / 12)), 0)
    if luck < 0.55:
        return b"%d-%d" % (ms, r.randrange(3))
    if luck < 0.85:
        return b"%d" % ms
    if luck < 0.95:
        return r.choice([b"0", b"0-0", b"0-1", b"1", b"9" * 15, b"18446744073709551615-18446744073709551615"])
    return r.choice(NOT_IDS)


def bound(g: Generator) -> bytes:
    r = g.random
    luck = r.random()
    if luck < 0.4:
        return r.choice([b"-", b"+", b"-", b"+", b"(-", b"(0", b"(18446744073709551615"])
    return (b"(" if luck < 0.6 else b"") + old_id(g)


def trimming(g: Generator) -> list[bytes]:
    r = g.random
    luck = r.random()
    by_length = r.random() < 0.5
    words = [g.case(b"MAXLEN" if by_length else b"MINID")]
    if luck < 0.7:
        words.append(b"~" if luck < 0.4 else b"=")
    words.append(b"%d" % r.choice((0, 1, 3, 10, 30, 100)) if by_length else old_id(g))
    if luck < 0.25 or luck > 0.98:
        words += [g.case(b"LIMIT"), r.choice([b"0", b"1", b"10", b"100", b"-1"])]
    return words


def entry(g: Generator) -> list[bytes]:
    r = g.random
    if r.random() < 0.6:
        return [b"f", g.text("value")]
    return [word for _ in range(r.randint(1, 4)) for word in (r.choice(FIELDS), g.text("value"))]


def xadd(g: Generator) -> list[bytes]:
    r = g.random
    words: list[bytes] = []
    if r.random() < 0.15:
        words += trimming(g)
    if r.random() < 0.05:
        words.insert(0, g.case(b"NOMKSTREAM"))
    if r.random() < 0.06:
        if r.random() < 0.3:
            g.stream_far += 1
            return [r.choice(FAR_KEYS), *words, b"4%012d-%d" % (g.stream_far, r.randrange(9)), *entry(g)]
        return [r.choice(FAR_KEYS), b"NOMKSTREAM", *words, b"*", *entry(g)]
    return [g.key(), *words, new_id(g), *entry(g)]


def xtrim(g: Generator) -> list[bytes]:
    return [g.random.choice(FAR_KEYS) if g.random.random() < 0.1 else g.key(), *trimming(g)]


def streams(g: Generator, ids: Callable[[], bytes]) -> list[bytes]:
    n = g.random.choice((1, 1, 1, 2, 3))
    keys = [g.random.choice(KEYS[:6]) if g.random.random() < 0.9 else g.key() for _ in range(n)]
    words = [g.case(b"STREAMS"), *keys, *(ids() for _ in range(n))]
    return words if g.random.random() < 0.98 else words[:-1]


def read_options(g: Generator) -> list[bytes]:
    """BLOCK only inside a transaction, where nothing waits."""
    r = g.random
    words: list[bytes] = []
    if r.random() < 0.6:
        words += [g.case(b"COUNT"), r.choice([b"1", b"2", b"5", b"0", b"-1", b"50"])]
    if g.in_multi and r.random() < 0.5:
        words += [g.case(b"BLOCK"), r.choice([b"0", b"1", b"1000", b"-1", b"x"])]
    return words


def xread(g: Generator) -> list[bytes]:
    r = g.random
    return [*read_options(g), *streams(g, lambda: r.choice([b"$", b"0", b"0", b">", *(old_id(g) for _ in range(16))]))]


def xreadgroup(g: Generator) -> list[bytes]:
    r = g.random
    words = [g.case(b"GROUP"), r.choice(GROUP_NAMES), r.choice(CONSUMERS)]
    if r.random() < 0.2:
        words.append(g.case(b"NOACK"))
    return [*words, *read_options(g), *streams(g, lambda: r.choice([b">"] * 25 + [b"0", b"0", old_id(g), b"$"]))]


def ids(g: Generator) -> list[bytes]:
    return [old_id(g) for _ in range(g.random.choice((1, 1, 2, 3, 8)))]


def xclaim(g: Generator) -> list[bytes]:
    r = g.random
    words = [g.key(), r.choice(GROUP_NAMES), r.choice(CONSUMERS), r.choice(IDLES), *ids(g)]
    options = [
        [b"IDLE", r.choice([b"0", b"5000", b"-5"])], [b"TIME", r.choice([b"5", b"0", b"-1", b"99999999999999"])],
        [b"RETRYCOUNT", r.choice([b"0", b"3", b"-1"])], [b"FORCE"], [b"JUSTID"], [b"LASTID", old_id(g)],
    ]  # fmt: skip
    chosen = [o for o, p in zip(options, (0.1, 0.1, 0.2, 0.4, 0.3, 0.1), strict=True) if r.random() < p]
    r.shuffle(chosen)
    return words + [word for option in chosen for word in (g.case(option[0]), *option[1:])]


def xautoclaim(g: Generator) -> list[bytes]:
    r = g.random
    start = b"0" if r.random() < 0.6 else bound(g)
    words = [g.key(), r.choice(GROUP_NAMES), r.choice(CONSUMERS), r.choice(IDLES), start]
    if r.random() < 0.7:
        words += [g.case(b"COUNT"), r.choice([b"1", b"2", b"5", b"100", b"0", b"x"])]
    return words + ([g.case(b"JUSTID")] if r.random() < 0.3 else [])


def xpending(g: Generator) -> list[bytes]:
    r = g.random
    words = [g.key(), r.choice(GROUP_NAMES)]
    if r.random() < 0.4:
        return words
    if r.random() < 0.3:
        words += [g.case(b"IDLE"), r.choice(IDLES)]
    words += [b"-", b"+"] if r.random() < 0.5 else [bound(g), bound(g)]
    words.append(r.choice([b"10", b"1", b"100", b"0", b"-1"]))
    return words + ([r.choice(CONSUMERS)] if r.random() < 0.4 else [])


def xgroup_create(g: Generator) -> list[bytes]:
    r = g.random
    words = [g.key(), r.choice(GROUP_NAMES), r.choice([b"$", b"0", b"0", old_id(g)])]
    if r.random() < 0.5:
        words.append(g.case(b"MKSTREAM"))
    if r.random() < 0.3:
        words += [g.case(b"ENTRIESREAD"), r.choice([b"0", b"5", b"-1", b"-2", b"x"])]
    return words


def xsetid(g: Generator) -> list[bytes]:
    r = g.random
    words = [g.key(), new_id(g) if r.random() < 0.7 else old_id(g)]
    if r.random() < 0.3:
        words += [g.case(b"ENTRIESADDED"), r.choice([b"0", b"5", b"100", b"1000", b"-1"])]
    if r.random() < 0.3:
        words += [g.case(b"MAXDELETEDID"), old_id(g)]
    return words


def text(g: Generator, name: str) -> bytes | None:
    """A value of an argument of that name; None: one like any other."""
    r = g.random
    if name in ("group", "groupname"):
        return r.choice(GROUP_NAMES)
    if name in ("consumer", "consumername"):
        return r.choice(CONSUMERS)
    if name == "id":
        return old_id(g)
    if name in ("start", "end"):
        return bound(g)
    return None


SPECIAL: dict[str, Callable[[Generator], list[bytes]]] = {
    "xadd": xadd,
    "xtrim": xtrim,
    "xread": xread,
    "xreadgroup": xreadgroup,
    "xclaim": xclaim,
    "xautoclaim": xautoclaim,
    "xpending": xpending,
    "xgroup|create": xgroup_create,
    "xsetid": xsetid,
}
WEIGHTS = {
    "xadd": 60, "xtrim": 3, "xread": 8, "xreadgroup": 25, "xclaim": 12, "xautoclaim": 8, "xpending": 8, "xsetid": 2, "xack": 8,
    "xgroup|create": 12, "xgroup|destroy": 1, "xgroup|delconsumer": 2, "xgroup|setid": 2, "xgroup|help": 1, "xinfo|help": 1,
    "xinfo|stream": 8, "xrange": 8, "xrevrange": 8, "xdel": 8,
}  # fmt: skip
LIMITS = {
    b"stream-node-max-entries": [b"100", b"4", b"1", b"0", b"7"],
    b"stream-node-max-bytes": [b"4096", b"100", b"0", b"1"],
}
