"""The bitmap group (https://redis.io/docs/latest/commands/?group=bitmap): strings as rows of bits.

A command that may write makes the string "raw" even if no bit changes, as Redis does.  One deviation: a BITFIELD that
only lengthened the string (each write failed by OVERFLOW FAIL) is no change for WATCH and `dirty`, as in Redis, but it
is told to the effect stream, so that a replayed store holds the same string.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate, propagating
from libkv.engine.entry cimport E_RAW, STR_HEAP, STR_INT, Entry, entry_layout, entry_string
from libkv.engine.keyspace cimport (
    changed, changed_n, keyspace_delete, keyspace_set, keyspace_set_raw, lookup_read_type, lookup_write,
    lookup_write_type,
)
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_error, reply_int, reply_nil, reply_oom, reply_syntax
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_STRING, TYPE_STRING, Arg, Ctx, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.bits cimport (
    BITS_AND, BITS_FAIL, BITS_NOT, BITS_OR, BITS_SATURATE, BITS_WRAP, BITS_XOR, bits_add_signed, bits_add_unsigned,
    bits_combine, bits_count, bits_count_range, bits_field, bits_find, bits_get, bits_set, bits_set_field, bits_signed,
)
from libkv.structures.cell cimport Slice
from libkv.structures.number cimport number_parse_i64

cdef enum:
    # units of a range
    UNIT_BYTE = 0
    UNIT_BIT = 1
    # steps of BITFIELD
    STEP_GET = 0
    STEP_SET = 1
    STEP_INCRBY = 2

cdef struct Step:
    uint64_t at                 # first bit of the field
    int64_t number              # what SET writes and INCRBY adds
    uint8_t width
    uint8_t does                # STEP_*
    uint8_t overflow            # BITS_WRAP, ...
    bint is_signed


# ---- arguments

cdef bint bit_offset(Ctx* c, Arg* a, int width, uint64_t* at, Reply* r) noexcept nogil:
    """A place in bits inside the largest string that may be; with width > 0 also "#n", the n-th field of that width.
    The product wraps around at 64 bits, as Redis's."""
    cdef bint counted = width > 0 and a.n > 0 and a.p[0] == b"#"
    cdef int64_t v = 0
    cdef bint good = number_parse_i64(a.p + counted, a.n - counted, &v)
    if good and counted:
        v = <int64_t>(<uint64_t>v * <uint64_t>width)
    # what is replayed was accepted once, perhaps under another limit
    if not good or v < 0 or (not c.replay and not c.kv.loading and (v >> 3) >= c.kv.settings.proto_max_bulk_len):
        reply_error(r, b"ERR bit offset is not an integer or out of range")
        return False
    at[0] = <uint64_t>v
    return True


cdef bint field_type(Arg* a, Step* s, Reply* r) noexcept nogil:
    """i1 to i64, u1 to u63; read up to a NUL, as a C string."""
    cdef int64_t width = 0
    cdef size_t n = 0
    while n < a.n and a.p[n] != 0:
        n += 1
    s.is_signed = n > 0 and a.p[0] == b"i"
    if (n > 1 and (s.is_signed or a.p[0] == b"u") and number_parse_i64(a.p + 1, n - 1, &width)
            and 1 <= width <= 63 + s.is_signed):
        s.width = <uint8_t>width
        return True
    reply_error(r, b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
    return False


cdef bint unit_named(Arg* a, int* unit, Reply* r) noexcept nogil:
    if arg_is(a, b"bit", 3):
        unit[0] = UNIT_BIT
    elif arg_is(a, b"byte", 4):
        unit[0] = UNIT_BYTE
    else:
        reply_syntax(r)
        return False
    return True


cdef bint clip(int64_t start, int64_t end, int unit, size_t n, uint64_t* first, uint64_t* last) noexcept nogil:
    """The bits from start to end (both counted in, negative: from the end) of a string of n bytes; False: none."""
    cdef int64_t total = <int64_t>n << (3 * unit)
    if start < 0:
        start = start + total if start + total > 0 else 0
    if end < 0:
        end = end + total if end + total > 0 else 0
    if end >= total:
        end = total - 1
    if start > end:
        return False
    if unit == UNIT_BYTE:
        first[0] = <uint64_t>start * 8
        last[0] = <uint64_t>end * 8 + 7
    else:
        first[0] = <uint64_t>start
        last[0] = <uint64_t>end
    return True


# ---- single bits

cdef uint8_t* writable(Ctx* c, Arg* key, Entry* e, size_t n, bint* grown) noexcept nogil:
    """The bytes of the raw string at a key (e: its entry or NULL), at least n, new ones zero; NULL: no memory."""
    cdef Slice s
    cdef char scratch[24]
    cdef char* bytes
    s.n = 0
    if e != NULL:
        entry_string(e, scratch, &s)
    grown[0] = e == NULL or n > s.n
    if not grown[0]:
        if entry_layout(e) == STR_HEAP:
            e.flags |= E_RAW
            return <uint8_t*>s.p
        n = s.n
    if keyspace_set_raw(c, c.db, key, n, s.n, &bytes) == NULL:
        return NULL
    memset(bytes + s.n, 0, n - s.n)
    return <uint8_t*>bytes


cdef int cmd_setbit(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint64_t at = 0
    cdef int64_t bit = 0
    cdef bint wrong = False
    cdef bint grown = False
    cdef bint was
    cdef Entry* e
    cdef uint8_t* bytes
    if not bit_offset(c, &argv[2], 0, &at, r):
        return CALL_DONE
    if not number_parse_i64(argv[3].p, argv[3].n, &bit) or bit & ~<int64_t>1:
        reply_error(r, b"ERR bit is not an integer or out of range")
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    bytes = writable(c, &argv[1], e, <size_t>(at >> 3) + 1, &grown)
    if bytes == NULL:
        reply_oom(r)
        return CALL_DONE
    was = bits_get(bytes, <size_t>(at >> 3) + 1, at)
    if grown or was != <bint>bit:
        bits_set(bytes, at, <bint>bit)
        changed(c, c.db, &argv[1], EVENT_STRING, b"setbit")
    reply_int(r, was)
    return CALL_DONE


cdef int cmd_getbit(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint64_t at = 0
    cdef bint wrong = False
    cdef Entry* e
    cdef Slice s
    cdef char scratch[24]
    if not bit_offset(c, &argv[2], 0, &at, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    s.p = NULL
    s.n = 0
    if e != NULL:
        entry_string(e, scratch, &s)
    reply_int(r, bits_get(<const uint8_t*>s.p, s.n, at))
    return CALL_DONE


# ---- counting and searching

cdef int cmd_bitcount(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t start = 0
    cdef int64_t end = 0
    cdef uint64_t first = 0
    cdef uint64_t last = 0
    cdef int unit = UNIT_BYTE
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    cdef Slice s
    cdef char scratch[24]
    if wrong:
        return CALL_DONE
    if e == NULL:               # what follows is not even looked at
        reply_int(r, 0)
        return CALL_DONE
    entry_string(e, scratch, &s)
    if argc == 2:
        reply_int(r, <int64_t>bits_count(<const uint8_t*>s.p, s.n))
        return CALL_DONE
    if argc != 4 and argc != 5:
        reply_syntax(r)
        return CALL_DONE
    if not arg_int(&argv[2], &start, r) or not arg_int(&argv[3], &end, r):
        return CALL_DONE
    if start < 0 and end < 0 and start > end:
        reply_int(r, 0)
    elif argc == 5 and not unit_named(&argv[4], &unit, r):
        pass
    elif clip(start, end, unit, s.n, &first, &last):
        reply_int(r, <int64_t>bits_count_range(<const uint8_t*>s.p, first, last))
    else:
        reply_int(r, 0)
    return CALL_DONE


cdef int cmd_bitpos(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t bit = 0
    cdef int64_t start = 0
    cdef int64_t end = -1
    cdef int64_t at
    cdef uint64_t first = 0
    cdef uint64_t last = 0
    cdef int unit = UNIT_BYTE
    cdef Entry* e
    cdef bint wrong = False
    cdef Slice s
    cdef char scratch[24]
    if not arg_int(&argv[2], &bit, r):
        return CALL_DONE
    if bit != 0 and bit != 1:
        reply_error(r, b"ERR The bit argument must be 1 or 0.")
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:               # a row of zeros without an end; what follows is not looked at
        reply_int(r, -bit)
        return CALL_DONE
    if argc > 6:
        reply_syntax(r)
        return CALL_DONE
    if argc > 3 and not arg_int(&argv[3], &start, r):
        return CALL_DONE
    if argc == 6 and not unit_named(&argv[5], &unit, r):
        return CALL_DONE
    if argc > 4 and not arg_int(&argv[4], &end, r):
        return CALL_DONE
    entry_string(e, scratch, &s)
    if not clip(start, end, unit, s.n, &first, &last):
        reply_int(r, -1)
        return CALL_DONE
    at = bits_find(<const uint8_t*>s.p, first, last, <bint>bit)
    if at < 0 and bit == 0 and argc <= 4:       # without an end, zeros follow the string
        at = <int64_t>last + 1
    reply_int(r, at)
    return CALL_DONE


# ---- BITOP

cdef int operation(Arg* a) noexcept nogil:
    if arg_is(a, b"and", 3):
        return BITS_AND
    if arg_is(a, b"or", 2):
        return BITS_OR
    if arg_is(a, b"xor", 3):
        return BITS_XOR
    return BITS_NOT if arg_is(a, b"not", 3) else -1


cdef int cmd_bitop(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int op = operation(&argv[1])
    cdef int sources = argc - 3
    cdef size_t each = sizeof(char*) + sizeof(size_t) + 24
    cdef char* room
    if op < 0:
        reply_syntax(r)
        return CALL_DONE
    if op == BITS_NOT and sources != 1:
        reply_error(r, b"ERR BITOP NOT must be called with a single source key.")
        return CALL_DONE
    room = <char*>heap_alloc(c.heap, sources * each)
    if room == NULL:
        reply_oom(r)
        return CALL_DONE
    combine(c, op, argv, sources, <const uint8_t**>room, <size_t*>(room + sources * sizeof(char*)),
            room + sources * (sizeof(char*) + sizeof(size_t)), r)
    heap_free(c.heap, room, sources * each)
    return CALL_DONE


cdef void combine(Ctx* c, int op, Arg* argv, int sources, const uint8_t** source, size_t* length, char* scratch,
                  Reply* r) noexcept nogil:
    """BITOP, given arrays for its sources: their bytes, lengths, and 24 bytes each for those that are numbers."""
    cdef Arg* target = &argv[2]
    cdef bint wrong = False
    cdef size_t n = 0
    cdef char* result
    cdef Slice s
    cdef Entry* e
    cdef int i
    for i in range(sources):
        e = lookup_read_type(c, &argv[3 + i], TYPE_STRING, r, &wrong)
        if wrong:
            return
        s.p = NULL
        s.n = 0
        if e != NULL:
            entry_string(e, scratch + 24 * i, &s)
        source[i] = <const uint8_t*>s.p
        length[i] = s.n
        if s.n > n:
            n = s.n
    if n == 0:
        if keyspace_delete(c, c.db, target):
            changed(c, c.db, target, EVENT_GENERIC, b"del")
        reply_int(r, 0)
        return
    result = <char*>heap_alloc(c.heap, n)       # the target may be one of the sources
    if result == NULL:
        reply_oom(r)
        return
    bits_combine(op, <uint8_t*>result, n, source, length, sources)
    if store(c, target, result, n):
        changed(c, c.db, target, EVENT_STRING, b"set")
        reply_int(r, <int64_t>n)
    else:
        reply_oom(r)
    heap_free(c.heap, result, n)


cdef bint store(Ctx* c, Arg* key, const char* p, size_t n) noexcept nogil:
    """Replaces whatever the key holds by a raw string without expiry."""
    cdef Entry* e
    cdef char* bytes
    lookup_write(c, key)        # an expired value goes by its expiry
    e = keyspace_set(c, c.db, key, p, n, -1)
    if e == NULL:
        return False
    if entry_layout(e) == STR_INT:
        keyspace_set_raw(c, c.db, key, n, n, &bytes)    # without memory for it, it stays a number: the same bytes
    else:
        e.flags |= E_RAW
    return True


# ---- BITFIELD

cdef int parse_steps(Ctx* c, Arg* argv, int argc, Step* steps, uint64_t* end, Reply* r) noexcept nogil:
    """The steps of a BITFIELD, as many as it returns (-1: replied), and the bit behind the last one written, or 0."""
    cdef int n = 0
    cdef int i = 2
    cdef int after
    cdef uint8_t overflow = BITS_WRAP
    cdef Step* s
    while i < argc:
        after = argc - i - 1
        s = &steps[n]
        if arg_is(&argv[i], b"get", 3) and after >= 2:
            s.does = STEP_GET
        elif arg_is(&argv[i], b"set", 3) and after >= 3:
            s.does = STEP_SET
        elif arg_is(&argv[i], b"incrby", 6) and after >= 3:
            s.does = STEP_INCRBY
        elif arg_is(&argv[i], b"overflow", 8) and after >= 1:
            if arg_is(&argv[i + 1], b"wrap", 4):
                overflow = BITS_WRAP
            elif arg_is(&argv[i + 1], b"sat", 3):
                overflow = BITS_SATURATE
            elif arg_is(&argv[i + 1], b"fail", 4):
                overflow = BITS_FAIL
            else:
                reply_error(r, b"ERR Invalid OVERFLOW type specified")
                return -1
            i += 2
            continue
        else:
            reply_syntax(r)
            return -1
        if not field_type(&argv[i + 1], s, r) or not bit_offset(c, &argv[i + 2], s.width, &s.at, r):
            return -1
        s.overflow = overflow
        s.number = 0
        if s.does != STEP_GET:
            if s.at + s.width > end[0]:
                end[0] = s.at + s.width
            if not arg_int(&argv[i + 3], &s.number, r):
                return -1
        i += 3 if s.does == STEP_GET else 4
        n += 1
    return n


cdef void reply_field(Step* s, uint64_t field, Reply* r) noexcept nogil:
    reply_int(r, bits_signed(field, s.width) if s.is_signed else <int64_t>field)


cdef bint write_field(Step* s, uint8_t* p, size_t n, bint* differs, Reply* r) noexcept nogil:
    """One SET or INCRBY and its reply; False: it did not fit and must not be written."""
    cdef uint64_t was = bits_field(p, n, s.at, s.width)
    cdef uint64_t now = 0
    cdef int64_t number = 0
    cdef bint sets = s.does == STEP_SET
    cdef int64_t by = 0 if sets else s.number
    cdef bint fits
    if s.is_signed:
        number = s.number if sets else bits_signed(was, s.width)
        fits = bits_add_signed(number, by, s.width, s.overflow, &number)
        now = <uint64_t>number
    else:
        fits = bits_add_unsigned(<uint64_t>s.number if sets else was, by, s.width, s.overflow, &now)
    if not fits and s.overflow == BITS_FAIL:
        reply_nil(r)
        return False
    if s.width < 64:
        now &= (<uint64_t>1 << s.width) - 1
    differs[0] = now != was
    bits_set_field(p, s.at, s.width, now)
    reply_field(s, was if sets else now, r)
    return True


cdef void run_steps(Ctx* c, Arg* argv, int argc, Step* steps, int n, uint64_t end, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef bint grown = False
    cdef bint differs = False
    cdef uint64_t changes = 0
    cdef uint8_t* bytes
    cdef size_t length
    cdef Slice s
    cdef char scratch[24]
    cdef int i
    cdef Entry* e = (lookup_write_type(c, &argv[1], TYPE_STRING, r, &wrong) if end
                     else lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong))
    if wrong:
        return
    s.p = NULL
    s.n = 0
    if e != NULL:
        entry_string(e, scratch, &s)
    bytes = <uint8_t*>s.p
    length = s.n
    if end:
        if <size_t>((end + 7) >> 3) > length:
            length = <size_t>((end + 7) >> 3)
        bytes = writable(c, &argv[1], e, length, &grown)
        if bytes == NULL:
            reply_oom(r)
            return
    reply_array(r, n)
    for i in range(n):
        if steps[i].does == STEP_GET:
            reply_field(&steps[i], bits_field(bytes, length, steps[i].at, steps[i].width), r)
        elif write_field(&steps[i], bytes, length, &differs, r) and (grown or differs):
            changes += 1
    if changes:
        changed_n(c, c.db, &argv[1], EVENT_STRING, b"setbit", changes)
    elif grown and propagating(c):
        propagate(c, c.db, argc, argv)


cdef int bitfield(Ctx* c, Arg* argv, int argc, bint reads_only, Reply* r) noexcept nogil:
    cdef int most = (argc - 2) // 3 + 1
    cdef uint64_t end = 0
    cdef int n
    cdef Step* steps = <Step*>heap_alloc(c.heap, most * sizeof(Step))
    if steps == NULL:
        reply_oom(r)
        return CALL_DONE
    n = parse_steps(c, argv, argc, steps, &end, r)
    if n >= 0 and reads_only and end:
        reply_error(r, b"ERR BITFIELD_RO only supports the GET subcommand")
    elif n >= 0:
        run_steps(c, argv, argc, steps, n, end, r)
    heap_free(c.heap, steps, most * sizeof(Step))
    return CALL_DONE


cdef int cmd_bitfield(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return bitfield(c, argv, argc, False, r)


cdef int cmd_bitfield_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return bitfield(c, argv, argc, True, r)


registry_bind("setbit", cmd_setbit)
registry_bind("getbit", cmd_getbit)
registry_bind("bitcount", cmd_bitcount)
registry_bind("bitpos", cmd_bitpos)
registry_bind("bitop", cmd_bitop)
registry_bind("bitfield", cmd_bitfield)
registry_bind("bitfield_ro", cmd_bitfield_ro)
