"""The HyperLogLog group (https://redis.io/docs/latest/commands/?group=hyperloglog) over structures/hyperloglog.

A sketch is a string: any client may read and write its bytes, so each command checks what it finds.  A command works on
a copy where the size may change, and puts it back in one step: without memory, or when the sketch proves broken half
way, nothing has changed (redis-server keeps what PFADD did before it came upon the broken place).

PFCOUNT of one key writes the estimate into the sketch: a change for WATCH and the effect stream, though the command is
called a reading one.  No keyspace event tells of it: its event class is 0.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from libkv.engine.args cimport arg_is
from libkv.engine.entry cimport E_RAW, Entry, entry_clock, entry_set_clock, entry_string
from libkv.engine.keyspace cimport changed, changed_n, keyspace_set, lookup_read_type, lookup_write, lookup_write_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_errorf, reply_int, reply_ok, reply_oom, reply_status,
)
from libkv.engine.types cimport CALL_DONE, EVENT_STRING, TYPE_STRING, Arg, Ctx, Reply
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init, buffer_room
from libkv.structures.cell cimport Slice
from libkv.structures.hyperloglog cimport (
    HLL_DENSE, HLL_HEADER, HLL_RANKS, HLL_REGISTERS, HLL_ROOM, HLL_SPARSE, HLL_SPARSE_MOST, HLL_VAL, HLL_XZERO, HllRun,
    Sketch, hll_add, hll_cache, hll_cached, hll_check, hll_encoding, hll_estimate, hll_estimate_registers,
    hll_header_valid, hll_merge, hll_new, hll_raise, hll_register, hll_run, hll_stale, hll_to_dense,
)
from libkv.structures.number cimport number_print_u64
from libkv.structures.random cimport Random, random_below, random_next, random_seed

cdef enum:
    SELF_TEST_ELEMENTS = 100000


# ---- the sketch at a key

cdef bint sketch_of(Entry* e, Sketch* s, Reply* r) noexcept nogil:
    """A string's own bytes as a sketch; or the error that they are none."""
    cdef Slice bytes
    cdef char scratch[24]
    entry_string(e, scratch, &bytes)
    s.p = <uint8_t*>bytes.p
    s.n = bytes.n
    if hll_header_valid(s.p, s.n):      # never a number's digits, which are only in scratch
        return True
    reply_error(r, b"WRONGTYPE Key is not a valid HyperLogLog string value.")
    return False


cdef void reply_broken(Reply* r) noexcept nogil:
    reply_error(r, b"INVALIDOBJ Corrupted HLL object detected")


cdef bint begin(Entry* e, Sketch* work, Reply* r) noexcept nogil:
    """Copies the sketch of an entry (NULL: a new one) into work's HLL_ROOM bytes; or replies why not."""
    cdef Sketch own
    if e == NULL:
        hll_new(work)
        return True
    if not sketch_of(e, &own, r):
        return False
    e.flags |= E_RAW            # for Redis, a string that may be changed
    if own.n > HLL_SPARSE_MOST:
        reply_broken(r)
        return False
    memcpy(work.p, own.p, own.n)
    work.n = own.n
    return True


cdef bint end(Ctx* c, Arg* key, Entry* e, Sketch* work, Reply* r) noexcept nogil:
    """Puts the copy back, with the expiry and the access clock that the key had; False: no memory, replied."""
    cdef Slice own
    cdef char scratch[24]
    cdef uint32_t clock = 0
    if e != NULL:
        clock = entry_clock(e)
        entry_string(e, scratch, &own)
        if own.n == work.n:
            memcpy(<char*>own.p, work.p, work.n)
            return True
    e = keyspace_set(c, c.db, key, <const char*>work.p, work.n, -1 if e == NULL else -2)
    if e == NULL:
        reply_oom(r)
        return False
    e.flags |= E_RAW
    if clock:
        entry_set_clock(e, clock)
    return True


# ---- commands

cdef int cmd_pfadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t room[HLL_ROOM]
    cdef Sketch work
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_STRING, r, &wrong)
    cdef uint64_t updated = 1 if e == NULL else 0
    cdef int grown
    cdef int i
    if wrong:
        return CALL_DONE
    work.p = room
    if e != NULL and not sketch_of(e, &work, r):
        return CALL_DONE
    if e == NULL or hll_encoding(work.p) == HLL_SPARSE:         # a dense one never changes its size
        work.p = room
        if not begin(e, &work, r):
            return CALL_DONE
    for i in range(2, argc):
        grown = hll_add(&work, argv[i].p, argv[i].n, <size_t>c.kv.settings.hll_sparse_max_bytes)
        if grown < 0:
            reply_broken(r)
            return CALL_DONE
        updated += grown
    if updated:
        hll_stale(work.p)
        if work.p == room and not end(c, &argv[1], e, &work, r):
            return CALL_DONE
        changed_n(c, c.db, &argv[1], EVENT_STRING, b"pfadd", updated)
    reply_int(r, 1 if updated else 0)
    return CALL_DONE


cdef int count_several(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef bint wrong = False
    cdef Sketch s
    cdef Entry* e
    cdef int i
    memset(registers, 0, sizeof(registers))
    for i in range(1, argc):
        e = lookup_read_type(c, &argv[i], TYPE_STRING, r, &wrong)
        if wrong:
            return CALL_DONE
        if e == NULL:
            continue
        if not sketch_of(e, &s, r):
            return CALL_DONE
        if hll_merge(registers, s.p, s.n) != 0:
            reply_broken(r)
            return CALL_DONE
    reply_int(r, <int64_t>hll_estimate_registers(registers))
    return CALL_DONE


cdef int cmd_pfcount(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint64_t estimate = 0
    cdef bint wrong = False
    cdef Sketch s
    cdef Entry* e
    if argc > 2:
        return count_several(c, argv, argc, r)
    e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    if not sketch_of(e, &s, r):
        return CALL_DONE
    e.flags |= E_RAW
    if not hll_cached(s.p, &estimate):
        if hll_estimate(s.p, s.n, &estimate) != 0:
            reply_broken(r)
            return CALL_DONE
        hll_cache(s.p, estimate)
        changed(c, c.db, &argv[1], 0, b"")
    reply_int(r, <int64_t>estimate)
    return CALL_DONE


cdef bint merge_sources(Ctx* c, Arg* argv, int argc, uint8_t* registers, bint* dense, Reply* r) noexcept nogil:
    """The largest registers of all keys, the target's too; whether one of them is dense."""
    cdef bint wrong = False
    cdef Sketch s
    cdef Entry* e
    cdef int i
    for i in range(1, argc):
        e = lookup_read_type(c, &argv[i], TYPE_STRING, r, &wrong)
        if wrong:
            return False
        if e == NULL:
            continue
        if not sketch_of(e, &s, r):
            return False
        dense[0] = dense[0] or hll_encoding(s.p) == HLL_DENSE
        if hll_merge(registers, s.p, s.n) != 0:
            reply_broken(r)
            return False
    return True


cdef int cmd_pfmerge(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef uint8_t room[HLL_ROOM]
    cdef bint dense = False
    cdef Sketch work
    cdef Entry* e
    cdef uint32_t i
    memset(registers, 0, sizeof(registers))
    if not merge_sources(c, argv, argc, registers, &dense, r):
        return CALL_DONE
    e = lookup_write(c, &argv[1])
    work.p = room
    if not begin(e, &work, r):
        return CALL_DONE
    if dense and hll_to_dense(&work) != 0:
        reply_broken(r)
        return CALL_DONE
    for i in range(HLL_REGISTERS):
        if registers[i] and hll_raise(&work, i, registers[i], <size_t>c.kv.settings.hll_sparse_max_bytes) < 0:
            reply_broken(r)
            return CALL_DONE
    hll_stale(work.p)
    if end(c, &argv[1], e, &work, r):
        changed(c, c.db, &argv[1], EVENT_STRING, b"pfadd")
        reply_ok(r)
    return CALL_DONE


# ---- PFDEBUG

cdef int debug_to_dense(Ctx* c, Arg* key, Entry* e, bint registers, Reply* r) noexcept nogil:
    """TODENSE, which replies whether it was sparse, and GETREG, which replies all registers."""
    cdef uint8_t room[HLL_ROOM]
    cdef bint sparse
    cdef Sketch work
    work.p = room
    if not begin(e, &work, r):
        return CALL_DONE
    sparse = hll_encoding(work.p) == HLL_SPARSE
    if sparse:
        if hll_to_dense(&work) != 0:
            reply_broken(r)
            return CALL_DONE
        if not end(c, key, e, &work, r):
            return CALL_DONE
        changed(c, c.db, key, 0, b"")
    if registers:
        reply_registers(&work, r)
    else:
        reply_int(r, sparse)
    return CALL_DONE


cdef void reply_registers(Sketch* s, Reply* r) noexcept nogil:
    cdef uint32_t i
    reply_array(r, HLL_REGISTERS)
    for i in range(HLL_REGISTERS):
        reply_int(r, hll_register(s.p, i))


cdef void reply_runs(Sketch* s, Reply* r) noexcept nogil:
    """Z:n and z:n for so many zeros in two bytes and in one, v:value,n for registers of a value."""
    cdef const uint8_t* p = s.p + HLL_HEADER
    cdef const uint8_t* last = s.p + s.n
    cdef Buffer text
    cdef char* o
    cdef HllRun run
    cdef int k
    buffer_init(&text)
    while p < last:
        hll_run(p, last, &run)
        o = buffer_room(&text, 32)
        if o == NULL:
            break
        memcpy(o, b"v: " if run.kind == HLL_VAL else (b"Z: " if run.kind == HLL_XZERO else b"z: "), 2)
        k = 2
        if run.kind == HLL_VAL:
            k += number_print_u64(o + k, run.value)
            o[k] = b","
            k += 1
        k += number_print_u64(o + k, run.count)
        o[k] = b" "
        text.n += k + 1
        p += run.bytes
    if text.failed:
        reply_oom(r)
    else:
        reply_bulk(r, text.p, text.n - 1 if text.n else 0)
    buffer_free(&text)


cdef int cmd_pfdebug(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Sketch s
    cdef Entry* e = lookup_write_type(c, &argv[2], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_error(r, b"ERR The specified key does not exist")
        return CALL_DONE
    if not sketch_of(e, &s, r):
        return CALL_DONE
    e.flags |= E_RAW
    if arg_is(&argv[1], b"getreg", 6):
        debug_to_dense(c, &argv[2], e, True, r)
    elif arg_is(&argv[1], b"decode", 6):
        if hll_encoding(s.p) == HLL_SPARSE:
            reply_runs(&s, r)
        else:
            reply_error(r, b"ERR HLL encoding is not sparse")
    elif arg_is(&argv[1], b"encoding", 8):
        reply_status(r, b"sparse" if hll_encoding(s.p) == HLL_SPARSE else b"dense")
    elif arg_is(&argv[1], b"todense", 7):
        debug_to_dense(c, &argv[2], e, False, r)
    else:
        reply_errorf(r, b"ERR Unknown PFDEBUG subcommand '%.*s'", argv[1].p, argv[1].n)
    return CALL_DONE


# ---- PFSELFTEST

cdef bint registers_hold(Random* random) noexcept nogil:
    """Whether the packed registers of a dense sketch keep what an array of bytes keeps."""
    cdef uint8_t room[HLL_ROOM]
    cdef uint8_t plain[HLL_REGISTERS]
    cdef Sketch s
    cdef uint32_t i
    cdef uint32_t _i
    cdef uint32_t index
    cdef uint8_t value
    s.p = room
    hll_new(&s)
    memset(plain, 0, sizeof(plain))
    if hll_to_dense(&s) != 0:
        return False
    for _i in range(4 * HLL_REGISTERS):
        index = <uint32_t>random_below(random, HLL_REGISTERS)
        value = <uint8_t>random_below(random, HLL_RANKS + 2)
        if hll_raise(&s, index, value, 0) != (value > plain[index]):
            return False
        plain[index] = value if value > plain[index] else plain[index]
    for i in range(HLL_REGISTERS):
        if hll_register(s.p, i) != plain[i]:
            return False
    return hll_check(s.p, s.n) == 0


cdef bint estimates_hold(size_t sparse_most, Random* random) noexcept nogil:
    """Whether the estimates of a sparse (as long as it may be) and a dense sketch are equal, and, at powers of ten,
    within six standard errors (1.04 / 128 each) of the truth."""
    cdef uint8_t sparse_room[HLL_ROOM]
    cdef uint8_t dense_room[HLL_ROOM]
    cdef Sketch sparse
    cdef Sketch dense
    cdef uint64_t element
    cdef uint64_t a = 0
    cdef uint64_t b = 0
    cdef int64_t n
    cdef int64_t next = 10
    cdef double off
    sparse.p = sparse_room
    dense.p = dense_room
    hll_new(&sparse)
    hll_new(&dense)
    if hll_to_dense(&dense) != 0:
        return False
    for n in range(1, SELF_TEST_ELEMENTS + 1):
        element = random_next(random)
        if (hll_add(&sparse, <const char*>&element, sizeof(element), sparse_most)
                != hll_add(&dense, <const char*>&element, sizeof(element), 0)):
            return False
        if n == next:
            next *= 10
            if hll_check(sparse.p, sparse.n) != 0 or hll_estimate(sparse.p, sparse.n, &a) != 0:
                return False
            if hll_estimate(dense.p, dense.n, &b) != 0 or a != b:
                return False
            off = <double>a - <double>n
            if (off if off > 0 else -off) > 1 + 6 * 1.04 / 128 * n:
                return False
    return True


cdef int cmd_pfselftest(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Random random
    random_seed(&random, 1)
    if not registers_hold(&random):
        reply_error(r, b"TESTFAILED a dense sketch does not keep its registers")
    elif not estimates_hold(<size_t>c.kv.settings.hll_sparse_max_bytes, &random):
        reply_error(r, b"TESTFAILED an estimate is too far off")
    else:
        reply_ok(r)
    return CALL_DONE


registry_bind("pfadd", cmd_pfadd)
registry_bind("pfcount", cmd_pfcount)
registry_bind("pfmerge", cmd_pfmerge)
registry_bind("pfdebug", cmd_pfdebug)
registry_bind("pfselftest", cmd_pfselftest)
