"""RDB files by hand, from the published format: lengths, strings, small collections, streams."""

from __future__ import annotations

import struct

from libkv.testing.native.rdb import compress, crc64


def length(n):
    if n < 64:
        return bytes([n])
    if n < 16384:
        return bytes([0x40 | n >> 8, n & 255])
    return b"\x80" + struct.pack(">I", n) if n < 2**32 else b"\x81" + struct.pack(">Q", n)


def string(text):
    return length(len(text)) + text


def whole(version, body, magic=b"REDIS%04d"):
    data = magic % version + body + b"\xff"
    return data + struct.pack("<Q", crc64(data)) if version >= 5 else data


def ziplist(values):
    """Integers as ints, strings as bytes."""
    entries, before, last = b"", 0, 10
    for value in values:
        entry = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        if isinstance(value, int):
            if 0 <= value <= 12:
                entry += bytes([0xF1 + value])
            elif -128 <= value <= 127:
                entry += b"\xfe" + struct.pack("<b", value)
            elif -(2**15) <= value < 2**15:
                entry += b"\xc0" + struct.pack("<h", value)
            elif -(2**23) <= value < 2**23:
                entry += b"\xf0" + struct.pack("<i", value)[:3]
            elif -(2**31) <= value < 2**31:
                entry += b"\xd0" + struct.pack("<i", value)
            else:
                entry += b"\xe0" + struct.pack("<q", value)
        elif len(value) < 64:
            entry += bytes([len(value)]) + value
        elif len(value) < 16384:
            entry += struct.pack(">H", 0x4000 | len(value)) + value
        else:
            entry += b"\x80" + struct.pack(">I", len(value)) + value
        last = 10 + len(entries)
        before = len(entry)
        entries += entry
    return struct.pack("<IIH", 11 + len(entries), last, len(values)) + entries + b"\xff"


def listpack(values):
    """Short strings, and integers that fit 16 bits."""
    entries = b""
    for value in values:
        if isinstance(value, int):
            entry = bytes([value]) if 0 <= value < 128 else struct.pack("<Bh", 0xF1, value)
        else:
            entry = bytes([0x80 | len(value)]) + value
        entries += entry + bytes([len(entry)])
    return struct.pack("<IH", 7 + len(entries), len(values)) + entries + b"\xff"


def zipmap(pairs, spare=0):
    body = b""
    for field, value in pairs:
        for text, extra in ((field, b""), (value, bytes([spare]))):
            body += (bytes([len(text)]) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text))) + extra + text
        body += b"\0" * spare
    return bytes([min(len(pairs), 254)]) + body + b"\xff"


def intset(numbers, width):
    return struct.pack("<II", width, len(numbers)) + b"".join(n.to_bytes(width, "little", signed=True) for n in numbers)


def lzf(text):
    packed = compress(text, len(text))
    return b"\xc3" + length(len(packed)) + length(len(text)) + packed


NUMBERS = [0, 12, 13, -1, 127, 128, -129, 32767, -32769, 2**23 - 1, -(2**23), 2**31 - 1, -(2**31) - 1, 2**62]
WORDS = [b"", b"a", b"x" * 63, b"y" * 64, b"z" * 300, b"w" * 17000]
MIXED = [v for pair in zip(NUMBERS, WORDS * 3, strict=False) for v in pair]


def text(value):
    return str(value).encode() if isinstance(value, int) else value


PAIRS = [(b"f%d" % i, text(v)) for i, v in enumerate(MIXED)]
FLAT = [w for pair in PAIRS for w in pair]
SCORED = [(b"m", -1.5), (b"n", 0.0), (b"a", 3.0), (b"b", 3.0), (b"c", float("inf"))]


def stream(version, groups=True, value=b"v"):
    """Two entries, 1-1 and 2-5, the second of which has fields of its own; one group with one pending entry."""
    node = [2, 0, 1, b"f", 0, 2, 0, 0, value, 4, 0, 1, 4, 2, b"a", b"b", b"c", b"d", 8]
    out = length(1) + string(struct.pack(">QQ", 1, 1)) + string(listpack(node)) + length(2) + length(2) + length(5)
    if version > 1:
        out += b"\x01\x01" + b"\x00\x03" + b"\x07"  # first ID, greatest deleted ID, entries ever added
    if not groups:
        return out + b"\x00"
    out += b"\x01" + string(b"group") + b"\x01\x01" + (b"\x01" if version > 1 else b"")
    out += b"\x01" + struct.pack(">QQ", 1, 1) + struct.pack("<q", 1000) + b"\x03"
    out += b"\x01" + string(b"alice") + struct.pack("<q", 2000) + (struct.pack("<q", 3000) if version > 2 else b"")
    return out + b"\x01" + struct.pack(">QQ", 1, 1)


def stream_value(version, groups=True, value=b"v"):
    group = {
        "name": b"group",
        "last_id": b"1-1",
        "entries_read": 1,
        "pending": [(b"1-1", b"alice", 1000, 3)],
        "consumers": [(b"alice", 2000)],
    }
    return {
        "entries": [(b"1-1", [(b"f", value)]), (b"2-5", [(b"a", b"b"), (b"c", b"d")])],
        "last_id": b"2-5",
        "max_deleted_id": b"0-3" if version > 1 else b"0-0",
        "entries_added": 7 if version > 1 else 2,
        "groups": [group] if groups else [],
    }


# type of the file, the value's bytes, kind, what it is; version that had it first
ENCODINGS = {
    "string": (0, string(b"hello"), "string", b"hello", 1),
    "string of 14 bits": (0, string(b"q" * 1000), "string", b"q" * 1000, 1),
    "string of 32 bits": (0, string(b"q" * 20000), "string", b"q" * 20000, 1),
    "string of 64 bits": (0, b"\x81" + struct.pack(">Q", 3) + b"abc", "string", b"abc", 8),
    "int8": (0, b"\xc0\x85", "string", b"-123", 1),
    "int16": (0, b"\xc1\x39\x30", "string", b"12345", 1),
    "int32": (0, b"\xc2" + struct.pack("<i", -(2**31)), "string", b"-2147483648", 1),
    "lzf": (0, lzf(b"abcabcabc" * 50), "string", b"abcabcabc" * 50, 1),
    "list": (1, length(3) + string(b"a") + b"\xc0\x05" + string(b""), "list", [b"a", b"5", b""], 1),
    "set": (2, length(3) + string(b"a") + b"\xc0\x05" + string(b""), "set", {b"a", b"5", b""}, 1),
    "set of integers": (2, length(2) + b"\xc0\x05\xc1\x39\x30", "set", {b"12345", b"5"}, 1),
    "zset": (
        3,
        length(5)
        + string(b"c")
        + b"\xfe"
        + string(b"m")
        + b"\x04-1.5"
        + string(b"b")
        + b"\x013"
        + string(b"a")
        + b"\x033e0"
        + string(b"n")
        + b"\x010",
        "zset",
        SCORED,
        1,
    ),
    "hash": (
        4,
        length(2) + string(b"f") + string(b"v") + string(b"g") + b"\xc0\x01",
        "hash",
        {b"f": b"v", b"g": b"1"},
        2,
    ),
    "zset-2": (
        5,
        length(5) + b"".join(string(m) + struct.pack("<d", s) for m, s in reversed(SCORED)),
        "zset",
        SCORED,
        8,
    ),
    "zipmap": (9, string(zipmap(PAIRS[:9])), "hash", dict(PAIRS[:9]), 2),
    "zipmap with spare bytes": (9, string(zipmap(PAIRS[:9], 3)), "hash", dict(PAIRS[:9]), 2),
    "ziplist list": (10, string(ziplist(MIXED)), "list", [text(v) for v in MIXED], 2),
    "intset of 2": (11, string(intset([-5, 0, 7], 2)), "set", {b"-5", b"0", b"7"}, 2),
    "intset of 4": (11, string(intset([-5, 0, 2**30], 4)), "set", {b"-5", b"0", b"1073741824"}, 2),
    "intset of 8": (11, string(intset([-5, 0, 2**60], 8)), "set", {b"-5", b"0", b"%d" % 2**60}, 2),
    "ziplist zset": (12, string(ziplist([b"m", b"-1.5", b"n", 0, b"a", 3, b"b", 3, b"c", b"inf"])), "zset", SCORED, 2),
    "ziplist hash": (13, string(ziplist(FLAT)), "hash", dict(PAIRS), 4),
    "ziplist hash, compressed": (13, lzf(ziplist(FLAT)), "hash", dict(PAIRS), 4),
    "quicklist": (
        14,
        length(2) + string(ziplist(MIXED)) + lzf(ziplist([b"abc" * 20])),
        "list",
        [*(text(v) for v in MIXED), b"abc" * 20],
        7,
    ),
    "listpack hash": (16, string(listpack([b"f", b"v", b"g", 300])), "hash", {b"f": b"v", b"g": b"300"}, 10),
    "listpack zset": (
        17,
        string(listpack([b"m", b"-1.5", b"n", 0, b"a", 3, b"b", 3, b"c", b"inf"])),
        "zset",
        SCORED,
        10,
    ),
    "listpack zset with another form of its scores": (
        17,
        string(listpack([b"a", b"0.10", b"b", b"1e0", b"c", b"+2"])),
        "zset",
        [(b"a", 0.1), (b"b", 1.0), (b"c", 2.0)],
        10,
    ),
    "quicklist 2": (
        18,
        length(3)
        + b"\x02"
        + string(listpack([b"a", 5]))
        + b"\x01"
        + string(b"plain")
        + b"\x02"
        + string(listpack([b"z"])),
        "list",
        [b"a", b"5", b"plain", b"z"],
        10,
    ),
    "listpack set": (20, string(listpack([b"a", 5, b"b"])), "set", {b"a", b"5", b"b"}, 11),
    "stream": (15, stream(1), "stream", stream_value(1), 9),
    "stream-v2": (19, stream(2), "stream", stream_value(2), 10),
    "stream-v3": (21, stream(3), "stream", stream_value(3), 11),
    "stream with an integer kept as text": (19, stream(2, True, b"7"), "stream", stream_value(2, True, b"7"), 10),
    "stream without groups": (19, stream(2, False), "stream", stream_value(2, False), 10),
    "empty stream": (
        19,
        b"\x00\x00\x05\x01\x00\x00\x05\x01\x03\x00",
        "stream",
        {"entries": [], "last_id": b"5-1", "max_deleted_id": b"5-1", "entries_added": 3, "groups": []},
        10,
    ),
    "integers kept as strings": (16, string(listpack([b"7", b"8"])), "hash", {b"7": b"8"}, 10),
}
