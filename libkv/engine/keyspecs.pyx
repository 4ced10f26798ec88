"""Where the keys are in a command's arguments (contract: keyspecs.pxd).

The rules are those of Redis 7.0.15 as COMMAND GETKEYSANDFLAGS shows them: the specifications are tried in their order, and
one that can't be satisfied makes the answer invalid, unless the command's own syntax says more.  Positions are not
checked for being within the database's rights or for being distinct.
"""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy

from libkv.engine.args cimport arg_is
from libkv.engine.registry cimport (
    CMD_KEY_ACCESS, CMD_KEY_DELETE, CMD_KEY_INCOMPLETE, CMD_KEY_NOT_KEY, CMD_KEY_OW, CMD_KEY_RO, CMD_KEY_RW,
    CMD_KEY_UPDATE,
)
from libkv.structures.number cimport number_parse_i64

cdef enum:
    INVALID = -1

cdef struct Found:              # the answer while it grows
    int* positions
    uint32_t* flags
    int room
    int n


cdef inline void found(Found* f, int position, uint32_t flags) noexcept nogil:
    if f.n < f.room:
        f.positions[f.n] = position
        if f.flags != NULL:
            f.flags[f.n] = flags
    f.n += 1


cdef int keyspecs_find(const KeySpecs* ks, Arg* argv, int argc, int* positions, uint32_t* flags, int room) noexcept nogil:
    cdef Found f = Found(positions, flags, room, 0)
    cdef int i
    cdef bint by_syntax = ks.syntax == SYNTAX_SET or ks.syntax == SYNTAX_BITFIELD   # only it knows the flags
    if not by_syntax:
        for i in range(ks.n):
            if ks.spec[i].flags & CMD_KEY_NOT_KEY:
                continue
            if find_by_spec(&ks.spec[i], argv, argc, &f) == INVALID:
                by_syntax = True
                break
        else:
            return f.n
    f.n = 0
    return keyspecs_of_syntax(ks, argv, argc, &f)


cdef int find_by_spec(const KeySpec* s, Arg* argv, int argc, Found* f) noexcept nogil:
    """0, or INVALID."""
    cdef int first = s.at
    cdef int last, step
    cdef int64_t number
    if s.begin == BEGIN_KEYWORD:
        first = find_word(s, argv, argc)
        if first == 0:
            return 0            # an option that is not there
    if s.begin == BEGIN_UNKNOWN or s.flags & CMD_KEY_INCOMPLETE:
        return INVALID
    if s.find == FIND_RANGE:
        step = s.step
        if s.last >= 0:
            last = first + s.last
        elif s.limit <= 1:
            last = argc + s.last
        else:
            last = first + (argc - first) // s.limit + s.last
    elif s.find == FIND_KEYNUM:
        if first + s.last >= argc or not number_parse_i64(argv[first + s.last].p, argv[first + s.last].n, &number):
            return INVALID
        if not 0 <= number <= argc:
            return INVALID
        step = s.limit
        first += s.step
        last = first + (<int>number - 1) * step
    else:
        return INVALID
    if first >= argc or last >= argc or last < first:
        return INVALID
    while first <= last:
        found(f, first, s.flags)
        first += step
    return 0


cdef int find_word(const KeySpec* s, Arg* argv, int argc) noexcept nogil:
    """The argument after the word, or 0."""
    cdef int i
    if s.at > 0:
        for i in range(s.at, argc - 1):
            if arg_is(&argv[i], s.word, s.word_n):
                return i + 1
    else:
        i = argc + s.at
        while i > 1:
            if arg_is(&argv[i], s.word, s.word_n):
                return i + 1
            i -= 1
    return 0


# --- by the command's own syntax -------------------------------------------------------------------------------------

cdef int keyspecs_of_syntax(const KeySpecs* ks, Arg* argv, int argc, Found* f) noexcept nogil:
    if ks.syntax == SYNTAX_NUMBERED:
        return keys_numbered(ks, argv, argc, f)
    if ks.syntax == SYNTAX_SET:
        return keys_of_set(argv, argc, f)
    if ks.syntax == SYNTAX_BITFIELD:
        return keys_of_bitfield(argv, argc, f)
    if ks.syntax == SYNTAX_SORT or ks.syntax == SYNTAX_SORT_RO:
        return keys_of_sort(argv, argc, f, ks.syntax == SYNTAX_SORT)
    if ks.syntax == SYNTAX_MIGRATE:
        return keys_of_migrate(argv, argc, f)
    if ks.syntax == SYNTAX_GEORADIUS:
        return keys_of_georadius(argv, argc, f)
    if ks.syntax == SYNTAX_XREAD:
        return keys_of_xread(argv, argc, f)
    return INVALID


cdef int leading_int(Arg* a) noexcept nogil:
    """The number that the argument starts with, as C's atoi reads it; 0 without one or when it is too large."""
    cdef size_t i = 0
    cdef int64_t v = 0
    cdef bint minus = False
    while i < a.n and (a.p[i] == 32 or 9 <= a.p[i] <= 13):
        i += 1
    if i < a.n and (a.p[i] == 43 or a.p[i] == 45):
        minus = a.p[i] == 45
        i += 1
    while i < a.n and 48 <= a.p[i] <= 57:
        v = v * 10 + a.p[i] - 48
        if v > 0x7fffffff:
            return 0
        i += 1
    return <int>(-v if minus else v)


cdef int keys_numbered(const KeySpecs* ks, Arg* argv, int argc, Found* f) noexcept nogil:
    cdef int i
    cdef int first = ks.number_at + 1
    cdef int n = leading_int(&argv[ks.number_at])
    if n < 1 or n > argc - first:
        return INVALID
    for i in range(first, first + n):
        found(f, i, 0)
    if ks.store_at:
        found(f, ks.store_at, 0)
    return f.n


cdef int keys_of_set(Arg* argv, int argc, Found* f) noexcept nogil:
    """With GET the old value is returned, too."""
    cdef int i
    cdef uint32_t flags = CMD_KEY_OW | CMD_KEY_UPDATE
    for i in range(3, argc):
        if arg_is(&argv[i], b"get", 3):
            flags = CMD_KEY_RW | CMD_KEY_ACCESS | CMD_KEY_UPDATE
            break
    found(f, 1, flags)
    return 1


cdef int keys_of_bitfield(Arg* argv, int argc, Found* f) noexcept nogil:
    """With nothing but GETs it only reads."""
    cdef int i = 2
    cdef uint32_t flags = CMD_KEY_RO | CMD_KEY_ACCESS
    while i < argc:
        if arg_is(&argv[i], b"get", 3) and argc - i > 2:
            i += 3
        elif (arg_is(&argv[i], b"set", 3) or arg_is(&argv[i], b"incrby", 6)) and argc - i > 3:
            flags = CMD_KEY_RW | CMD_KEY_ACCESS | CMD_KEY_UPDATE
            break
        elif arg_is(&argv[i], b"overflow", 8) and argc - i > 1:
            i += 2
        else:
            flags = CMD_KEY_RW | CMD_KEY_ACCESS | CMD_KEY_UPDATE
            break
    found(f, 1, flags)
    return 1


cdef int keys_of_sort(Arg* argv, int argc, Found* f, bint may_store) noexcept nogil:
    """The last STORE counts.  Keys that BY and GET lead to depend on the data: nobody can tell them."""
    cdef int i = 2
    cdef int store = 0
    found(f, 1, CMD_KEY_RO | CMD_KEY_ACCESS)
    if not may_store:
        return 1
    while i < argc:
        if arg_is(&argv[i], b"limit", 5):
            i += 2
        elif arg_is(&argv[i], b"get", 3) or arg_is(&argv[i], b"by", 2):
            i += 1
        elif arg_is(&argv[i], b"store", 5) and i + 1 < argc:
            store = i + 1       # and is looked at again: "store store k" stores in k
        i += 1
    if store:
        found(f, store, CMD_KEY_OW | CMD_KEY_UPDATE)
    return f.n


cdef int keys_of_migrate(Arg* argv, int argc, Found* f) noexcept nogil:
    """One key at its place, or an empty one there and the keys after KEYS."""
    cdef int i = 6
    cdef uint32_t flags = CMD_KEY_RW | CMD_KEY_ACCESS | CMD_KEY_DELETE
    while i < argc:
        if arg_is(&argv[i], b"keys", 4):
            if argv[3].n:
                return INVALID
            for i in range(i + 1, argc):
                found(f, i, flags)
            return f.n
        if arg_is(&argv[i], b"auth", 4):
            i += 1
        elif arg_is(&argv[i], b"auth2", 5):
            i += 2
        i += 1
    found(f, 3, flags)
    return 1


cdef int keys_of_georadius(Arg* argv, int argc, Found* f) noexcept nogil:
    """The last STORE or STOREDIST counts."""
    cdef int i = 5
    cdef int store = 0
    found(f, 1, 0)
    while i < argc - 1:
        if arg_is(&argv[i], b"store", 5) or arg_is(&argv[i], b"storedist", 9):
            store = i + 1
            i += 1
        i += 1
    if store:
        found(f, store, 0)
    return f.n


cdef int keys_of_xread(Arg* argv, int argc, Found* f) noexcept nogil:
    """As many IDs as keys follow STREAMS; words before it may be values of options."""
    cdef int i = 1
    cdef int streams = 0
    cdef int n
    while i < argc:
        if arg_is(&argv[i], b"block", 5) or arg_is(&argv[i], b"count", 5):
            i += 1
        elif arg_is(&argv[i], b"group", 5):
            i += 2
        elif arg_is(&argv[i], b"streams", 7):
            streams = i
            break
        elif not arg_is(&argv[i], b"noack", 5):
            break
        i += 1
    n = argc - streams - 1
    if streams == 0 or n == 0 or n % 2:
        return INVALID
    for i in range(streams + 1, streams + 1 + n // 2):
        found(f, i, 0)
    return f.n


# --- building --------------------------------------------------------------------------------------------------------

SYNTAX = {      # name: the syntax and, for numbered keys, where the number and the destination are
    "set": (SYNTAX_SET, 0, 0),
    "bitfield": (SYNTAX_BITFIELD, 0, 0),
    "sort": (SYNTAX_SORT, 0, 0),
    "sort_ro": (SYNTAX_SORT_RO, 0, 0),
    "migrate": (SYNTAX_MIGRATE, 0, 0),
    "xread": (SYNTAX_XREAD, 0, 0),
    "xreadgroup": (SYNTAX_XREAD, 0, 0),
    "georadius": (SYNTAX_GEORADIUS, 0, 0),
    "georadiusbymember": (SYNTAX_GEORADIUS, 0, 0),
}
SYNTAX.update((name, (SYNTAX_NUMBERED, 2, 1)) for name in ("zunionstore", "zinterstore", "zdiffstore"))
SYNTAX.update((name, (SYNTAX_NUMBERED, 1, 0)) for name in (
    "zunion", "zinter", "zdiff", "zintercard", "sintercard", "lmpop", "zmpop",
))
SYNTAX.update((name, (SYNTAX_NUMBERED, 2, 0)) for name in (
    "eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro", "blmpop", "bzmpop",
))


cdef KeySpecs* keyspecs_new(row) except NULL:
    """Never freed: the command table lives as long as the process."""
    from libkv.commands.facts.row import KEY_FLAGS, key_specs   # not above: that package's modules import this one
    specs = key_specs(row)
    cdef KeySpecs* ks = <KeySpecs*>calloc(1, sizeof(KeySpecs))
    if ks == NULL:
        raise MemoryError
    ks.spec = <KeySpec*>calloc(max(1, len(specs)), sizeof(KeySpec))
    if ks.spec == NULL:
        raise MemoryError
    ks.n = len(specs)
    ks.syntax, ks.number_at, ks.store_at = SYNTAX.get(row.name, (SYNTAX_NONE, 0, 0))
    cdef KeySpec* s
    for i, spec in enumerate(specs):
        s = &ks.spec[i]
        for flag in spec["flags"]:
            s.flags |= 1 << KEY_FLAGS.index(flag)
        s.notes = keyspecs_text(spec["notes"]) if "notes" in spec else NULL
        begin, find = spec["begin_search"], spec["find_keys"]
        if begin["type"] == "index":
            s.begin = BEGIN_INDEX
            s.at = begin["spec"]["index"]
        elif begin["type"] == "keyword":
            s.begin = BEGIN_KEYWORD
            s.at = begin["spec"]["startfrom"]
            s.label = keyspecs_text(begin["spec"]["keyword"])
            s.word = keyspecs_text(begin["spec"]["keyword"].lower())
            s.word_n = len(begin["spec"]["keyword"])
        if find["type"] == "range":
            s.find = FIND_RANGE
            s.last, s.step, s.limit = find["spec"].values()
        elif find["type"] == "keynum":
            s.find = FIND_KEYNUM
            s.last, s.step, s.limit = find["spec"].values()
    return ks


cdef char* keyspecs_text(str text) except NULL:
    """A copy with a NUL at its end, for ever."""
    cdef bytes raw = text.encode()
    cdef char* p = <char*>malloc(len(raw) + 1)
    if p == NULL:
        raise MemoryError
    memcpy(p, <const char*>raw, len(raw) + 1)
    return p


cdef void keyspecs_legacy(const KeySpecs* ks, int* first, int* last, int* step) noexcept nogil:
    cdef int i, end
    cdef const KeySpec* s
    first[0] = last[0] = step[0] = 0
    for i in range(ks.n):
        s = &ks.spec[i]
        if s.begin != BEGIN_INDEX or s.find != FIND_RANGE:
            continue
        end = s.at + s.last if s.last >= 0 else s.last
        if first[0] and (last[0] < 0 or s.at != last[0] + 1):
            continue
        if first[0] == 0:
            first[0] = s.at
        last[0] = end
        step[0] = s.step
