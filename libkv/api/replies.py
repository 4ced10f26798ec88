"""Replies as the engine gives them, to the values that redis-py's default client returns.

The engine answers in RESP3's shapes: maps are dicts, scores floats, sets lists.  redis-py 8 asks for RESP3 too and
then turns replies back into what it returned in RESP2 days (its `legacy_responses`), so the table below is not
regular: scores come as floats from ZRANGE, as bytes from ZDIFF, ZRANDMEMBER and ZMPOP.

`SHAPES` maps a command's name, as given to `execute_command`, to the function that shapes its reply; a command that
is not in it is answered as it comes.  The functions take the reply and the options of the call.  Two options are for
`shape_reply` itself: NEVER_DECODE keeps bytes, and EMPTY_RESPONSE is the value in place of an error.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from libkv.encode import Encoder
from libkv.errors import RedisError, ResponseError

Shape = Callable[..., Any]


def text(value: Any) -> Any:
    """bytes as str; bytes that are no UTF-8 are replaced, not refused."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def texts(reply: Iterable[Any], **_: Any) -> list[Any]:
    return [text(item) for item in reply]


def ok(reply: Any, **_: Any) -> bool:
    return bool(text(reply) == "OK")


def truth(reply: Any, **_: Any) -> bool:
    return bool(reply)


def number(reply: Any, **_: Any) -> float:
    return float(reply)


def members(reply: Any, **_: Any) -> set[Any]:
    return set(reply) if reply else set()


def pong(reply: Any, **_: Any) -> bool:
    return bool(text(reply) == "PONG")


def set_reply(reply: Any, **options: Any) -> Any:
    """SET: True or None; with GET the old value."""
    return reply if options.get("get") else reply and ok(reply)


def two_integers(reply: Any, **_: Any) -> tuple[int, int]:
    return int(reply[0]), int(reply[1])


# --- scores -----------------------------------------------------------------------------------------------------


def score_bytes(score: Any) -> Any:
    """A score as RESP2 would have sent it: the shortest of up to 17 digits."""
    return format(float(score), ".17g").encode() if isinstance(score, int | float) else score


def score_caster(options: dict[str, Any]) -> Callable[[Any], Any]:
    """The function of `score_cast_func`: it gets bytes, and a float only if it can't do with them."""
    cast = options.get("score_cast_func", float)
    if cast is float:
        return float

    def convert(score: Any) -> Any:
        sent = score_bytes(score)
        try:
            return cast(sent)
        except (ValueError, TypeError):
            return cast(float(sent))

    return convert


def scored(reply: Any, **options: Any) -> Any:
    """[(member, score), ...] where WITHSCORES was asked for."""
    if not reply or not options.get("withscores"):
        return reply
    cast = score_caster(options)
    return [(member, cast(score)) for member, score in reply]


def popped(reply: Any, **options: Any) -> Any:
    """ZPOPMIN, ZPOPMAX: always a list of pairs; without a count the engine answers one flat pair."""
    if not reply:
        return reply
    pairs = reply if isinstance(reply[0], list) else [reply]
    return scored(pairs, **options)


def popped_key(reply: Any, **_: Any) -> tuple[Any, ...] | None:
    """What waited for a key answers with the key and what was in it."""
    return tuple(reply) if reply else None


def scored_flat(reply: Any, **options: Any) -> Any:
    """[member, score as bytes, ...]: what redis-py makes of ZDIFF and ZRANDMEMBER."""
    if not reply or not options.get("withscores"):
        return reply
    return [item for member, score in reply for item in (member, score_bytes(score))]


def rank(reply: Any, **options: Any) -> Any:
    if not reply or not options.get("withscore"):
        return reply
    return [reply[0], score_caster(options)(reply[1])]


def multi_popped(reply: Any, **_: Any) -> Any:
    if not reply:
        return reply
    return [reply[0], [[member, score_bytes(score)] for member, score in reply[1]]]


# --- cursors and pairs ------------------------------------------------------------------------------------------


def scan(reply: Any, **_: Any) -> tuple[int, list[Any]]:
    return int(reply[0]), reply[1]


def hash_scan(reply: Any, **options: Any) -> tuple[int, Any]:
    cursor, items = reply
    if options.get("no_values"):
        return int(cursor), items or []
    return int(cursor), dict(pairs(items))


def score_scan(reply: Any, **options: Any) -> tuple[int, list[tuple[Any, Any]]]:
    cast = score_caster(options)
    return int(reply[0]), [(member, cast(score)) for member, score in pairs(reply[1])]


def pairs(items: Iterable[Any] | None) -> Iterable[tuple[Any, Any]]:
    """a, b, c, d as (a, b), (c, d)."""
    walk = iter(items or ())
    return zip(walk, walk, strict=False)


def flat_fields(reply: Any, **options: Any) -> Any:
    """HRANDFIELD ... WITHVALUES: field, value, field, value."""
    if not reply or not options.get("withvalues") or not isinstance(reply[0], list):
        return reply
    return [item for pair in reply for item in pair]


def flat_map(reply: Any, **_: Any) -> Any:
    """LCS ... IDX: a map as name, value, name, value."""
    return [item for pair in reply.items() for item in pair] if isinstance(reply, dict) else reply


def settings(reply: Any, **_: Any) -> dict[Any, Any]:
    return {text(name): text(value) for name, value in reply.items()} if reply else {}


# --- positions and sorting -----------------------------------------------------------------------------------------


def float_or_none(reply: Any, **_: Any) -> float | None:
    return None if reply is None else float(reply)


def geo_positions(reply: Any, **_: Any) -> Any:
    return [None if place is None else (float(place[0]), float(place[1])) for place in reply]


def geo_found(reply: Any, **options: Any) -> Any:
    """What GEOSEARCH, GEORADIUS and GEORADIUSBYMEMBER found: members, or lists of a member and what was asked for."""
    if "store" not in options or options["store"] or options["store_dist"]:
        return reply
    if not isinstance(reply, list):
        return [reply]
    kinds = [float] * bool(options["withdist"]) + [int] * bool(options["withhash"])
    if not kinds and not options["withcoord"]:
        return reply
    rows = []
    for member, *rest in reply:
        row = [member, *(kind(value) for kind, value in zip(kinds, rest, strict=False))]
        if options["withcoord"]:
            row.append((float(rest[-1][0]), float(rest[-1][1])))
        rows.append(row)
    return rows


def sort_groups(reply: Any, **options: Any) -> Any:
    """SORT: with `groups`, tuples of so many elements."""
    if not reply or not options.get("groups"):
        return reply
    n = options["groups"]
    return list(zip(*(reply[i::n] for i in range(n)), strict=False))


# --- streams -----------------------------------------------------------------------------------------------------


def entry_fields(reply: Any) -> dict[Any, Any]:
    """Field, value, field, value as a dict."""
    return dict(pairs(reply))


def entries(reply: Any, **options: Any) -> Any:
    """[(ID, {field: value}), ...]; an entry that is no more there has no fields."""
    if options.get("parse_justid"):
        return reply
    return None if reply is None else [(None, None) if e is None else (e[0], entry_fields(e[1])) for e in reply]


def claimed_entries(reply: Any, **options: Any) -> Any:
    """XAUTOCLAIM: [where to go on, entries, IDs of deleted ones], or only the IDs."""
    return reply[1] if options.get("parse_justid") else [reply[0], entries(reply[1]), *reply[2:]]


def read_entries(reply: Any, **_: Any) -> list[list[Any]]:
    """XREAD, XREADGROUP: [[stream, entries], ...]."""
    return [[name, entries(found)] for name, found in reply.items()] if reply else []


def named(reply: Any) -> dict[str, Any]:
    """A map with its keys as str."""
    return {text(name): value for name, value in reply.items()}


def all_named(reply: Any, **_: Any) -> list[dict[str, Any]]:
    return [named(item) for item in reply]


def stream_info(reply: Any, **options: Any) -> dict[str, Any]:
    info = named(reply)
    if options.get("full"):
        info["entries"] = {entry_id: entry_fields(entry) for entry_id, entry in info["entries"]}
        info["groups"] = all_named(info["groups"])
        return info
    for end in ("first-entry", "last-entry"):
        if info[end] is not None:
            info[end] = (info[end][0], entry_fields(info[end][1]))
    return info


PENDING_FIELDS = ("message_id", "consumer", "time_since_delivered", "times_delivered")


def pending(reply: Any, **options: Any) -> Any:
    """XPENDING: a dict of four figures, or one dict an entry."""
    if options.get("parse_detail"):
        return [dict(zip(PENDING_FIELDS, entry, strict=True)) for entry in reply]
    count, first, last, consumers = reply
    of_each = [{"name": name, "pending": int(n)} for name, n in consumers or []]
    return {"pending": count, "min": first, "max": last, "consumers": of_each}


# --- texts that hold fields -------------------------------------------------------------------------------------


def info_value(value: str) -> Any:
    """One value of INFO: a number, a text, a list ("a,b") or a dict ("a=1,b=2")."""
    items = [item for item in value.split(",") if item]
    if "=" in value:
        return {name: info_value(v) if sep else True for name, sep, v in map(last_assignment, items)}
    if "," in value:
        return [info_value(item) for item in items]
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


def last_assignment(item: str) -> tuple[str, str, str]:
    """ "a=b=1" as ("a=b", "=", "1"); without "=" the whole is the name."""
    name, sep, value = item.rpartition("=")
    return (name, sep, value) if sep else (item, "", "")


def info(reply: Any, **_: Any) -> dict[str, Any]:
    """INFO as one dict of all sections; lines without a colon are under ``__raw__``."""
    fields: dict[str, Any] = {}
    for line in text(reply).splitlines():
        if not line or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if name == "cmdstat_host":  # the one command whose name can hold a colon: "host:", sent by web browsers
            name, colon, value = line.rpartition(":")
        if not colon:
            fields.setdefault("__raw__", []).append(line)
        elif name == "module":
            fields.setdefault("modules", []).append(info_value(value))
        else:
            fields[name] = info_value(value)
    return fields


# the fields of CLIENT INFO that redis-py makes int; those of CLIENT LIST stay str
CLIENT_INTEGERS = {"id", "age", "idle", "db", "sub", "psub", "multi"}
CLIENT_INTEGERS |= {"qbuf", "qbuf-free", "obl", "argv-mem", "oll", "omem", "tot-mem"}


def client_fields(line: str) -> dict[str, str]:
    """ "id=3 addr=/tmp/a b name=": a word without "=" belongs to the value before it (socket paths have spaces)."""
    fields: dict[str, str] = {}
    last = ""
    for word in line.split(" "):
        name, sep, value = word.partition("=")
        if sep:
            fields[name] = value
            last = name
        elif last:
            fields[last] += " " + word
    return fields


def client_list(reply: Any, **_: Any) -> list[dict[str, str]]:
    return [fields for fields in map(client_fields, text(reply).splitlines()) if fields]


def tracking_info(reply: Any, **_: Any) -> list[Any]:
    """CLIENT TRACKINGINFO as a flat list, the names of its fields as str."""
    return [item for name, value in reply.items() for item in (text(name), value)]


def counts(reply: Any, **_: Any) -> list[tuple[Any, int]]:
    """PUBSUB NUMSUB: (channel, listeners)."""
    return list(zip(reply[::2], reply[1::2], strict=True))


def truths(reply: Any, **_: Any) -> list[bool]:
    return [bool(item) for item in reply]


def flat_deep(value: Any) -> Any:
    """FUNCTION LIST: maps as names and values alternating, sets as lists, at every depth."""
    if isinstance(value, dict):
        return [part for pair in value.items() for part in (pair[0], flat_deep(pair[1]))]
    return [flat_deep(item) for item in value] if isinstance(value, list | set) else value


def libraries(reply: Any, **_: Any) -> list[Any]:
    return [flat_deep(library) for library in reply]


def client_info(reply: Any, **_: Any) -> dict[str, Any]:
    fields = client_fields(text(reply).strip())
    return {name: int(value) if name in CLIENT_INTEGERS else value for name, value in fields.items()}


def client_kill(reply: Any, **_: Any) -> Any:
    return reply if isinstance(reply, int) else ok(reply)


def debug_object(reply: Any, **_: Any) -> dict[str, Any]:
    """DEBUG OBJECT: "Value at:0x... refcount:1 ..." as a dict."""
    fields: dict[str, Any] = dict(word.split(":") for word in f"type:{text(reply)}".split())
    for name in ("refcount", "serializedlength", "lru", "lru_seconds_idle"):
        if name in fields:
            fields[name] = int(fields[name])
    return fields


def acl_user(reply: Any, **_: Any) -> dict[str, Any] | None:
    """ACL GETUSER: rules split into words; categories apart from commands; a selector as a list of names and values."""
    if reply is None:
        return None
    user = {text(name): value for name, value in reply.items()}
    rules = text(user["commands"]).split(" ")
    user["flags"] = texts(user["flags"])
    user["passwords"] = texts(user["passwords"])
    user["commands"] = [rule for rule in rules if "@" not in rule]
    for name in ("keys", "channels"):
        user[name] = [word for word in text(user[name]).split(" ") if word]
    user["selectors"] = [[text(word) for pair in selector.items() for word in pair] for selector in user["selectors"]]
    user["categories"] = [rule for rule in rules if "@" in rule]
    user["enabled"] = "on" in user["flags"]
    return user


def acl_log(reply: Any, **_: Any) -> Any:
    """ACL LOG: one dict an entry, the client's line as a dict in it; True for RESET."""
    if not isinstance(reply, list):
        return ok(reply)
    entries = []
    for entry in reply:
        fields = {text(name): text(value) for name, value in entry.items()}
        fields["age-seconds"] = float(fields["age-seconds"])
        fields["client-info"] = client_info(fields["client-info"])
        entries.append(fields)
    return entries


def memory_stats(reply: Any, **_: Any) -> dict[str, Any]:
    """MEMORY STATS: names as str, those of each database's figures too."""
    return {
        text(name): {text(k): v for k, v in value.items()} if isinstance(value, dict) else value
        for name, value in reply.items()
    }


# --- the tables of the server -----------------------------------------------------------------------------------

COMMAND_FIELDS = ("name", "arity", "flags", "first_key_pos", "last_key_pos", "step_count", "acl_categories")


def commands(reply: Any, **_: Any) -> dict[str, dict[str, Any]]:
    """COMMAND as a dict of dicts by name."""
    table: dict[str, dict[str, Any]] = {}
    for row in reply:
        entry = dict(zip(COMMAND_FIELDS, row, strict=False))
        entry["name"] = text(row[0])
        entry["flags"] = texts(row[2])
        if len(row) > 6:
            entry["acl_categories"] = texts(row[6])
        if len(row) > 7:
            entry.update(tips=row[7], key_specifications=row[8], subcommands=row[9])
        table[entry["name"]] = entry
    return table


def slow_log(reply: Any, **_: Any) -> list[dict[str, Any]]:
    """SLOWLOG GET: one dict a call, its arguments joined by spaces; times in seconds since 1970 and microseconds."""
    return [
        {
            "id": row[0],
            "start_time": int(row[1]),
            "duration": int(row[2]),
            "command": b" ".join(row[3]),
            "client_address": row[4],
            "client_name": row[5],
        }
        for row in reply
    ]


def shapes(names: str, shape: Shape) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), shape)


SHAPES: dict[str, Shape] = {
    **shapes("AUTH COPY EXPIRE EXPIREAT HEXISTS HMSET MOVE MSETNX PERSIST PEXPIRE PEXPIREAT PSETEX", truth),
    **shapes("RENAMENX SETEX SETNX SMOVE", truth),
    **shapes(
        "FLUSHALL FLUSHDB LSET LTRIM MSET PFMERGE QUIT RENAME SAVE SELECT SHUTDOWN SLAVEOF SWAPDB UNWATCH WATCH", ok
    ),
    **shapes("GEORADIUS GEORADIUSBYMEMBER GEOSEARCH", geo_found),
    **shapes("HINCRBYFLOAT INCRBYFLOAT", number),
    **shapes("SDIFF SINTER SMEMBERS SUNION", members),
    **shapes("ZINTER ZRANGE ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZUNION", scored),
    **shapes("ZDIFF ZRANDMEMBER", scored_flat),
    **shapes("ZPOPMAX ZPOPMIN", popped),
    **shapes("ZRANK ZREVRANK", rank),
    **shapes("SCAN SSCAN", scan),
    **shapes("BLPOP BRPOP BZPOPMAX BZPOPMIN", popped_key),
    "BZMPOP": multi_popped,
    **dict.fromkeys(("ACL LOAD", "ACL SAVE", "ACL SETUSER"), ok),
    **dict.fromkeys(("ACL CAT", "ACL HELP", "ACL LIST", "ACL USERS"), texts),
    **dict.fromkeys(("ACL GENPASS", "ACL WHOAMI"), lambda reply, **_: text(reply)),
    "ACL GETUSER": acl_user,
    "MEMORY PURGE": ok,
    "MEMORY STATS": memory_stats,
    "ACL LOG": acl_log,
    **shapes("BGREWRITEAOF BGSAVE", lambda reply, **_: True),
    "PUBSUB NUMSUB": counts,
    "PUBSUB SHARDNUMSUB": counts,
    "CLIENT GETNAME": lambda reply, **_: text(reply),
    "CLIENT INFO": client_info,
    "CLIENT KILL": client_kill,
    "CLIENT LIST": client_list,
    "CLIENT PAUSE": ok,
    "CLIENT SETINFO": ok,
    "CLIENT SETNAME": ok,
    "CLIENT TRACKINGINFO": tracking_info,
    "CLIENT UNBLOCK": truth,
    "COMMAND": commands,
    "COMMAND GETKEYS": texts,
    "CONFIG GET": settings,
    "CONFIG RESETSTAT": ok,
    "CONFIG SET": ok,
    "DEBUG OBJECT": debug_object,
    **shapes("XCLAIM XRANGE XREVRANGE", entries),
    **shapes("XREAD XREADGROUP", read_entries),
    "XAUTOCLAIM": claimed_entries,
    "XGROUP CREATE": ok,
    "XGROUP DESTROY": truth,
    "XGROUP SETID": ok,
    "XINFO CONSUMERS": all_named,
    "XINFO GROUPS": all_named,
    "XINFO STREAM": stream_info,
    "XPENDING": pending,
    **dict.fromkeys(("FUNCTION DELETE", "FUNCTION FLUSH", "FUNCTION RESTORE", "SCRIPT FLUSH", "SCRIPT KILL"), ok),
    "FUNCTION LIST": libraries,
    "SCRIPT EXISTS": truths,
    "SCRIPT LOAD": lambda reply, **_: text(reply),
    "GEODIST": float_or_none,
    "GEOHASH": texts,
    "GEOPOS": geo_positions,
    "HRANDFIELD": flat_fields,
    "HSCAN": hash_scan,
    "INFO": info,
    "LASTSAVE": lambda reply, **_: datetime.datetime.fromtimestamp(reply),
    "LCS": flat_map,
    "PING": pong,
    "RESET": lambda reply, **_: text(reply),
    "SET": set_reply,
    "SLOWLOG GET": slow_log,
    "SLOWLOG RESET": ok,
    "SORT": sort_groups,
    "TIME": two_integers,
    "ZMPOP": multi_popped,
    "ZSCAN": score_scan,
}


def shape_reply(shapes: dict[str, Shape], encoder: Encoder, name: Any, reply: Any, options: dict[str, Any]) -> Any:
    """The value for the reply to command `name`: decoded, shaped, or raised if it is an error."""
    if isinstance(reply, RedisError):
        if "EMPTY_RESPONSE" in options and isinstance(reply, ResponseError):
            return options["EMPTY_RESPONSE"]
        raise reply
    raw = options.pop("NEVER_DECODE", False)
    options.pop("EMPTY_RESPONSE", None)
    if encoder.decode_responses and not raw:
        reply = encoder.decode_reply(reply)
    shape = shapes.get(name.upper()) if isinstance(name, str) else None
    return reply if shape is None else shape(reply, **options)
