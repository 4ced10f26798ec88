"""The generic group: keys whatever they hold (https://redis.io/docs/latest/commands/?group=generic).

SCAN and KEYS are commands/scan; expiry times are commands/expiry.
"""

from libc.stdint cimport int64_t

from libkv.engine.access cimport access_lfu_now, access_uses_lfu
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.entry cimport (
    E_RAW, STR_INT, Entry, entry_cell, entry_clock, entry_int, entry_key, entry_layout,
    entry_string, entry_type,
)
from libkv.engine.keyspace cimport (
    changed, changed_n, keyspace_copy, keyspace_delete, keyspace_doom, keyspace_move, keyspace_random,
    lookup_in, lookup_quiet, lookup_read, lookup_silent, lookup_write,
)
from libkv.engine.prefetch cimport prefetch_keys
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_bulk, reply_cstring, reply_error, reply_help, reply_int, reply_nil, reply_no_key, reply_ok, reply_oom,
    reply_status, reply_syntax,
)
from libkv.engine.types cimport (
    CALL_DONE, EVENT_GENERIC, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET, Arg, Ctx, Db, Reply,
)
from libkv.structures.cell cimport HASH_PACKED, SET_INTS, ZSET_PACKED, Cell, Slice
from libkv.structures.hash cimport hash_copy
from libkv.structures.list cimport list_copy
from libkv.structures.set cimport set_copy
from libkv.structures.stream cimport stream_copy
from libkv.structures.zset cimport zset_copy

cdef enum:
    EMBEDDED_MAX = 44           # longest string that Redis calls embstr
    SHARED_INTS = 10000         # numbers that Redis shares, with a reference count of INT_MAX


cdef const char* type_name(int type) noexcept nogil:
    if type == TYPE_STRING:
        return b"string"
    if type == TYPE_LIST:
        return b"list"
    if type == TYPE_SET:
        return b"set"
    if type == TYPE_ZSET:
        return b"zset"
    if type == TYPE_HASH:
        return b"hash"
    return b"stream"


cdef const char* encoding_name(Entry* e) noexcept nogil:
    """What OBJECT ENCODING answers: the encoding that Redis 7.0 would have, whatever ours is."""
    cdef Slice s
    cdef char scratch[24]
    cdef int layout = entry_layout(e)
    cdef int type = entry_type(e)
    if type == TYPE_STRING:
        if layout == STR_INT:
            return b"int"
        entry_string(e, scratch, &s)
        return b"raw" if e.flags & E_RAW or s.n > EMBEDDED_MAX else b"embstr"
    if type == TYPE_LIST:
        return b"quicklist"
    if type == TYPE_SET:
        return b"intset" if layout == SET_INTS else b"hashtable"
    if type == TYPE_HASH:
        return b"listpack" if layout == HASH_PACKED else b"hashtable"
    if type == TYPE_ZSET:
        return b"listpack" if layout == ZSET_PACKED else b"skiplist"
    return b"stream"


# ---- one key or several

cdef int cmd_del(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t n = 0
    cdef int i
    if argc > 2:
        prefetch_keys(c, argv, argc, 1, 1)
    for i in range(1, argc):
        if lookup_write(c, &argv[i]) != NULL:
            keyspace_delete(c, c.db, &argv[i])
            changed(c, c.db, &argv[i], EVENT_GENERIC, b"del")
            n += 1
    reply_int(r, n)
    return CALL_DONE


cdef int cmd_exists(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t n = 0
    cdef int i
    for i in range(1, argc):
        n += lookup_quiet(c, &argv[i]) != NULL
    reply_int(r, n)
    return CALL_DONE


cdef int cmd_touch(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t n = 0
    cdef int i
    for i in range(1, argc):
        n += lookup_read(c, &argv[i]) != NULL
    reply_int(r, n)
    return CALL_DONE


cdef int cmd_type(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_quiet(c, &argv[1])
    if e == NULL:
        reply_status(r, b"none")
    else:
        reply_status(r, type_name(entry_type(e)))
    return CALL_DONE


cdef int cmd_randomkey(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = keyspace_random(c, c.db)
    cdef const char* p
    cdef size_t n
    if e == NULL:
        reply_nil(r)
    else:
        p = entry_key(e, &n)
        reply_bulk(r, p, n)
    return CALL_DONE


# ---- RENAME, MOVE, COPY

cdef bint same_bytes(Arg* a, Arg* b) noexcept nogil:
    cdef size_t i
    if a.n != b.n:
        return False
    for i in range(a.n):
        if a.p[i] != b.p[i]:
            return False
    return True


cdef int rename(Ctx* c, Arg* argv, bint nx, Reply* r) noexcept nogil:
    if lookup_write(c, &argv[1]) == NULL:
        reply_no_key(r)
        return CALL_DONE
    if same_bytes(&argv[1], &argv[2]):
        if nx:
            reply_int(r, 0)
        else:
            reply_ok(r)
        return CALL_DONE
    if lookup_write(c, &argv[2]) != NULL and nx:
        reply_int(r, 0)
        return CALL_DONE
    if keyspace_move(c, c.db, &argv[1], c.db, &argv[2]) != 0:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_GENERIC, b"rename_from")
    changed_n(c, c.db, &argv[2], EVENT_GENERIC, b"rename_to", 0)
    if nx:
        reply_int(r, 1)
    else:
        reply_ok(r)
    return CALL_DONE


cdef int cmd_rename(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return rename(c, argv, False, r)


cdef int cmd_renamenx(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return rename(c, argv, True, r)


cdef Db* database(Ctx* c, Arg* a, Reply* r) noexcept nogil:
    """The database an argument names, or NULL with Redis's error."""
    cdef int64_t n = 0
    if not arg_int(a, &n, r):
        return NULL
    if n < -0x80000000 or n > 0x7fffffff:
        reply_error(r, b"ERR value is out of range, value must between -2147483648 and 2147483647")
        return NULL
    if n < 0 or n >= c.kv.n_dbs:
        reply_error(r, b"ERR DB index is out of range")
        return NULL
    return &c.kv.dbs[n]


cdef int cmd_move(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Db* to = database(c, &argv[2], r)
    if to == NULL:
        return CALL_DONE
    if to == c.db:
        reply_error(r, b"ERR source and destination objects are the same")
        return CALL_DONE
    if lookup_write(c, &argv[1]) == NULL or lookup_in(c, to, &argv[1], True) != NULL:
        reply_int(r, 0)
        return CALL_DONE
    if keyspace_move(c, c.db, &argv[1], to, &argv[1]) != 0:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_GENERIC, b"move_from")
    changed_n(c, to, &argv[1], EVENT_GENERIC, b"move_to", 0)
    reply_int(r, 1)
    return CALL_DONE


cdef int copy_collection(Ctx* c, int type, Cell* cell, Cell* twin) noexcept nogil:
    if type == TYPE_LIST:
        return list_copy(c.heap, cell, twin)
    if type == TYPE_SET:
        return set_copy(c.heap, cell, twin)
    if type == TYPE_HASH:
        return hash_copy(c.heap, cell, twin)
    if type == TYPE_STREAM:
        return stream_copy(c.heap, cell, twin)
    return zset_copy(c.heap, cell, twin)


cdef Entry* copy_value(Ctx* c, Entry* e, Db* to, Arg* key) noexcept nogil:
    """A copy of e's value and expiry under a key, in the place of what is there; NULL without memory, nothing changed."""
    cdef Cell cell
    cdef Cell twin
    cdef Entry* made
    if entry_type(e) == TYPE_STRING:
        return keyspace_copy(c, e, to, key, NULL)
    entry_cell(e, &cell)
    if copy_collection(c, entry_type(e), &cell, &twin) != 0:
        return NULL
    made = keyspace_copy(c, e, to, key, &twin)
    if made == NULL:
        keyspace_doom(c.kv, entry_type(e), &twin)
    return made


cdef int cmd_copy(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Db* to = c.db
    cdef bint replace = False
    cdef Entry* e
    cdef int i = 3
    while i < argc:
        if arg_is(&argv[i], b"replace", 7):
            replace = True
        elif arg_is(&argv[i], b"db", 2) and i + 1 < argc:
            to = database(c, &argv[i + 1], r)
            if to == NULL:
                return CALL_DONE
            i += 1
        else:
            reply_syntax(r)
            return CALL_DONE
        i += 1
    if to == c.db and same_bytes(&argv[1], &argv[2]):
        reply_error(r, b"ERR source and destination objects are the same")
        return CALL_DONE
    e = lookup_read(c, &argv[1])
    if e == NULL:
        reply_int(r, 0)
        return CALL_DONE
    if lookup_in(c, to, &argv[2], True) != NULL and not replace:
        reply_int(r, 0)
        return CALL_DONE
    if copy_value(c, e, to, &argv[2]) == NULL:
        reply_oom(r)
        return CALL_DONE
    changed(c, to, &argv[2], EVENT_GENERIC, b"copy_to")
    reply_int(r, 1)
    return CALL_DONE


# ---- OBJECT

cdef int cmd_object_encoding(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_silent(c, &argv[2])
    if e == NULL:
        reply_nil(r)
    else:
        reply_cstring(r, encoding_name(e))
    return CALL_DONE


cdef int cmd_object_refcount(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_silent(c, &argv[2])
    if e == NULL:
        reply_nil(r)
    elif entry_type(e) == TYPE_STRING and entry_layout(e) == STR_INT and 0 <= entry_int(e) < SHARED_INTS:
        reply_int(r, 0x7fffffff)
    else:
        reply_int(r, 1)
    return CALL_DONE


cdef int cmd_object_idletime(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_silent(c, &argv[2])
    if e == NULL:
        reply_nil(r)
    elif access_uses_lfu(c.kv):
        reply_error(r, b"ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching "
                       b"between policies at runtime LRU and LFU data will take some time to adjust.")
    else:
        reply_int(r, (c.kv.lru_clock - entry_clock(e)) & 0xffffff)
    return CALL_DONE


cdef int cmd_object_freq(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_silent(c, &argv[2])
    if e == NULL:
        reply_nil(r)
    elif not access_uses_lfu(c.kv):
        reply_error(r, b"ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
                       b"switching between policies at runtime LRU and LFU data will take some time to adjust.")
    else:
        reply_int(r, access_lfu_now(c.kv, e))
    return CALL_DONE


cdef int cmd_object_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char* lines[9]
    lines[0] = b"ENCODING <key>"
    lines[1] = b"    The encoding that holds the key's value."
    lines[2] = b"FREQ <key>"
    lines[3] = b"    The key's access counter; needs an LFU maxmemory-policy."
    lines[4] = b"IDLETIME <key>"
    lines[5] = b"    Seconds since the key was last used."
    lines[6] = b"REFCOUNT <key>"
    lines[7] = b"    How many references to the value there are."
    lines[8] = NULL
    reply_help(r, b"OBJECT", lines)
    return CALL_DONE


registry_bind("del", cmd_del)
registry_bind("unlink", cmd_del)
registry_bind("exists", cmd_exists)
registry_bind("touch", cmd_touch)
registry_bind("type", cmd_type)
registry_bind("randomkey", cmd_randomkey)
registry_bind("rename", cmd_rename)
registry_bind("renamenx", cmd_renamenx)
registry_bind("move", cmd_move)
registry_bind("copy", cmd_copy)
registry_bind("object|encoding", cmd_object_encoding)
registry_bind("object|refcount", cmd_object_refcount)
registry_bind("object|idletime", cmd_object_idletime)
registry_bind("object|freq", cmd_object_freq)
registry_bind("object|help", cmd_object_help)
