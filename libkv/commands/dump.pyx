"""Values as opaque bytes, out and in: DUMP, RESTORE (https://redis.io/docs/latest/commands/dump/, .../restore/).

The payload is an RDB file's value with version and checksum behind it (persistence/rdb_encode, rdb_decode).  RESTORE looks
at every byte of it, whatever sanitize-dump-payload says.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from libkv.engine.access cimport access_fresh, access_uses_lfu
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate_arg, propagate_begin, propagate_int, propagating
from libkv.engine.config cimport config_id, config_value
from libkv.engine.entry cimport E_TTL, ENTRY_KEY, Entry, entry_set_cell, entry_set_clock
from libkv.engine.keyspace cimport (
    changed, keyspace_copy, keyspace_delete, keyspace_doom, keyspace_set, lookup_read, lookup_write,
)
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_bulk, reply_error, reply_nil, reply_ok, reply_oom, reply_syntax
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, HOOK_NO_CHECKSUM, TYPE_STRING, Arg, Ctx, Kv, Reply
from libkv.persistence.rdb_decode cimport rdb_restorable, rdb_restore
from libkv.persistence.rdb_encode cimport rdb_dump
from libkv.persistence.rdb_format cimport RDB_NO_MEMORY, RDB_OK, RdbError, RdbValue
from libkv.persistence.rio cimport Sink, Source, sink_close, sink_open_memory, source_at_end, source_close

cdef int COMPRESSION = config_id(b"rdbcompression")


cdef int cmd_dump(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_read(c, &argv[1])
    cdef Sink s
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    if sink_open_memory(&s, True, config_value(c.kv, COMPRESSION).p[0] == c"y") == 0 and rdb_dump(&s, e) == 0:
        reply_bulk(r, s.buf, s.n)
    else:
        reply_oom(r)
    sink_close(&s)
    return CALL_DONE


cdef struct Restore:            # RESTORE's options
    bint replace
    bint absolute
    int64_t idle                # seconds; -1: not told
    int64_t freq                # -1: not told


cdef bint restore_options(Arg* argv, int argc, Restore* o, Reply* r) noexcept nogil:
    cdef int i = 4
    o.replace = o.absolute = False
    o.idle = o.freq = -1
    while i < argc:
        if arg_is(&argv[i], b"replace", 7):
            o.replace = True
        elif arg_is(&argv[i], b"absttl", 6):
            o.absolute = True
        elif arg_is(&argv[i], b"idletime", 8) and i + 1 < argc and o.freq == -1:
            i += 1
            if not arg_int(&argv[i], &o.idle, r):
                return False
            if o.idle < 0:
                reply_error(r, b"ERR Invalid IDLETIME value, must be >= 0")
                return False
        elif arg_is(&argv[i], b"freq", 4) and i + 1 < argc and o.idle == -1:
            i += 1
            if not arg_int(&argv[i], &o.freq, r):
                return False
            if not 0 <= o.freq <= 255:
                reply_error(r, b"ERR Invalid FREQ value, must be >= 0 and <= 255")
                return False
        else:
            reply_syntax(r)
            return False
        i += 1
    return True


cdef Entry* restore_put(Ctx* c, Arg* key, RdbValue* v, int64_t when) noexcept nogil:
    """The value under its key, in one step with its expiry; NULL: no memory, and what was there still is."""
    cdef char model[ENTRY_KEY + 1 + 8 + 8]          # an entry with an empty key
    cdef Entry* e = <Entry*>model
    if v.type == TYPE_STRING:
        return keyspace_set(c, c.db, key, v.string.p, v.string.n, when)
    e.kind = <uint8_t>(v.type | (v.cell.layout << 4))
    e.flags = E_TTL if when >= 0 else 0
    entry_set_clock(e, access_fresh(c.kv))
    model[ENTRY_KEY] = 0
    memcpy(model + ENTRY_KEY + 1, &when, 8)
    entry_set_cell(e, &v.cell)
    e = keyspace_copy(c, e, c.db, key, &v.cell)
    if e == NULL:
        keyspace_doom(c.kv, v.type, &v.cell)
    return e


cdef void restore_clock(Kv* kv, Entry* e, Restore* o) noexcept nogil:
    """Idle time or use counter as told, when the eviction policy has such a thing."""
    if access_uses_lfu(kv):
        if o.freq >= 0:
            entry_set_clock(e, (<uint32_t>((kv.now // 60000) & 0xffff) << 8) | <uint32_t>o.freq)
    elif o.idle >= 0:
        entry_set_clock(e, (kv.lru_clock - <uint32_t>(o.idle if o.idle < 0xffffff else 0xffffff)) & 0xffffff)


cdef void restore_tell(Ctx* c, Arg* argv, int argc, int64_t when, Restore* o) noexcept nogil:
    """The effect has the expiry as an absolute time."""
    cdef int i
    if o.absolute or when < 0 or not propagating(c):
        return
    propagate_begin(c, c.db, argc + 1)
    for i in range(argc):
        if i == 2:
            propagate_int(c, when)
        else:
            propagate_arg(c, argv[i].p, argv[i].n)
    propagate_arg(c, b"ABSTTL", 6)


cdef int restore_late(Ctx* c, Arg* argv, bint there, Reply* r) noexcept nogil:
    """The value is past its time already: what it replaces goes."""
    if there:
        keyspace_delete(c, c.db, &argv[1])
        changed(c, c.db, &argv[1], EVENT_GENERIC, b"del")
        if propagating(c):
            propagate_begin(c, c.db, 2)
            propagate_arg(c, b"DEL", 3)
            propagate_arg(c, argv[1].p, argv[1].n)
    reply_ok(r)
    return CALL_DONE


cdef int restore_value(Ctx* c, Arg* payload, Source* s, RdbValue* v, Reply* r) noexcept nogil:
    """The payload's value; False: an error is replied."""
    cdef RdbError error
    cdef int code = rdb_restore(c.heap, c.kv.settings, payload.p, payload.n, s, v, &error)
    if code == RDB_OK and source_at_end(s):
        return True
    if code == RDB_OK and v.type != TYPE_STRING:
        keyspace_doom(c.kv, v.type, &v.cell)
    if code == RDB_NO_MEMORY:
        reply_oom(r)
    else:
        reply_error(r, b"ERR Bad data format")
    return False


cdef int cmd_restore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Restore o
    cdef RdbValue v
    cdef Source s
    cdef int64_t when
    cdef bint there
    cdef Entry* e
    if not restore_options(argv, argc, &o, r):
        return CALL_DONE
    there = lookup_write(c, &argv[1]) != NULL
    if there and not o.replace:
        reply_error(r, b"BUSYKEY Target key name already exists.")
        return CALL_DONE
    if not arg_int(&argv[2], &when, r):
        return CALL_DONE
    if when < 0:
        reply_error(r, b"ERR Invalid TTL value, must be >= 0")
        return CALL_DONE
    if not rdb_restorable(argv[3].p, argv[3].n) and (not c.kv.hooks & HOOK_NO_CHECKSUM or argv[3].n < 10):
        reply_error(r, b"ERR DUMP payload version or checksum are wrong")
        return CALL_DONE
    if not restore_value(c, &argv[3], &s, &v, r):
        source_close(&s)
        return CALL_DONE
    if when == 0:
        when = -1
    elif not o.absolute:
        when = when + c.now if when <= <int64_t>0x7fffffffffffffff - c.now else <int64_t>0x7fffffffffffffff
    if 0 <= when <= c.now and not c.replay and not c.kv.loading:
        if v.type != TYPE_STRING:
            keyspace_doom(c.kv, v.type, &v.cell)
        source_close(&s)
        return restore_late(c, argv, there, r)
    e = restore_put(c, &argv[1], &v, when)
    source_close(&s)
    if e == NULL:
        reply_oom(r)
        return CALL_DONE
    restore_clock(c.kv, e, &o)
    restore_tell(c, argv, argc, when, &o)
    changed(c, c.db, &argv[1], EVENT_GENERIC, b"restore")
    reply_ok(r)
    return CALL_DONE


registry_bind("dump", cmd_dump)
registry_bind("restore", cmd_restore)
registry_bind("restore-asking", cmd_restore)
