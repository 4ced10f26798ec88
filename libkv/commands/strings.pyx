"""The string group (https://redis.io/docs/latest/commands/?group=string); LCS is commands/lcs."""

from libc.math cimport isinf, isnan
from libc.limits cimport LLONG_MAX, LLONG_MIN
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.call cimport propagate, propagate_arg, propagate_begin, propagate_int, propagating
from libkv.engine.entry cimport STR_INT, Entry, entry_expire, entry_int, entry_layout, entry_string, entry_type
from libkv.engine.keyspace cimport (
    changed, changed_n, keyspace_delete, keyspace_expire, keyspace_set, keyspace_set_int, keyspace_set_raw,
    keyspace_set_text, lookup_read, lookup_read_type, lookup_write, lookup_write_type,
)
from libkv.engine.prefetch cimport prefetch_keys
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_errorf, reply_int, reply_nil, reply_not_float,
    reply_not_int, reply_ok, reply_oom, reply_syntax, reply_wrong_arity, reply_wrong_type,
)
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_STRING, TYPE_STRING, Arg, Ctx, Reply
from libkv.structures.alloc cimport LIKELY
from libkv.structures.cell cimport Slice
from libkv.structures.number cimport (
    NUMBER_LONG_DOUBLE, number_parse_i64, number_parse_long_double, number_print_long_double,
)

cdef enum:
    # options of SET and GETEX
    OPT_NX = 1
    OPT_XX = 2
    OPT_GET = 4
    OPT_KEEPTTL = 8
    OPT_PERSIST = 16
    OPT_EXPIRE = 32             # EX, PX, EXAT or PXAT


# ---- reading

cdef void reply_string(Reply* r, Entry* e) noexcept nogil:
    cdef Slice s
    cdef char scratch[24]
    entry_string(e, scratch, &s)
    reply_bulk(r, s.p, s.n)


cdef int cmd_get(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = lookup_read(c, &argv[1])
    if e == NULL:
        reply_nil(r)
    elif entry_type(e) != TYPE_STRING:
        reply_wrong_type(r)
    else:
        reply_string(r, e)
    return CALL_DONE


cdef int cmd_mget(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e
    cdef int i
    prefetch_keys(c, argv, argc, 1, 1)
    reply_array(r, argc - 1)
    for i in range(1, argc):
        e = lookup_read(c, &argv[i])
        if e == NULL or entry_type(e) != TYPE_STRING:
            reply_nil(r)
        else:
            reply_string(r, e)
    return CALL_DONE


cdef int cmd_strlen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    cdef Slice s
    cdef char scratch[24]
    if wrong:
        return CALL_DONE
    s.n = 0
    if e != NULL:
        entry_string(e, scratch, &s)
    reply_int(r, <int64_t>s.n)
    return CALL_DONE


cdef int cmd_getrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t start = 0
    cdef int64_t end = 0
    cdef int64_t n
    cdef bint wrong = False
    cdef Entry* e
    cdef Slice s
    cdef char scratch[24]
    if not arg_int(&argv[2], &start, r) or not arg_int(&argv[3], &end, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_bulk(r, b"", 0)
        return CALL_DONE
    entry_string(e, scratch, &s)
    n = <int64_t>s.n
    if start < 0 and end < 0 and start > end:
        reply_bulk(r, b"", 0)
        return CALL_DONE
    if start < 0:
        start = start + n if start + n > 0 else 0
    if end < 0:
        end = end + n if end + n > 0 else 0
    if end >= n:
        end = n - 1
    if start > end or n == 0:
        reply_bulk(r, b"", 0)
    else:
        reply_bulk(r, s.p + start, <size_t>(end - start + 1))
    return CALL_DONE


# ---- SET and its relatives

cdef bint expire_time(Ctx* c, Arg* a, bint seconds, bint absolute, int64_t* out, Reply* r) noexcept nogil:
    """The time an EX, PX, EXAT or PXAT option means, in ms of Unix time; or Redis's error."""
    cdef int64_t v = 0
    if not arg_int(a, &v, r):
        return False
    if v <= 0 or (seconds and v > LLONG_MAX // 1000):
        refuse_expire(c, r)
        return False
    if seconds:
        v *= 1000
    if not absolute:
        if v > LLONG_MAX - c.now:
            refuse_expire(c, r)
            return False
        v += c.now
    out[0] = v
    return True


cdef void refuse_expire(Ctx* c, Reply* r) noexcept nogil:
    cdef Command* cmd = <Command*>c.cmd
    reply_errorf(r, b"ERR invalid expire time in '%.*s' command", cmd.full, cmd.full_n)


cdef bint options(Arg* argv, int argc, int first, bint for_set, int* opts, Arg** when, bint* seconds, bint* absolute,
                  Reply* r) noexcept nogil:
    """NX XX GET KEEPTTL EX PX EXAT PXAT of SET, PERSIST EX ... of GETEX; or a syntax error."""
    cdef int i = first
    cdef Arg* a
    cdef bint more
    while i < argc:
        a = &argv[i]
        more = i + 1 < argc
        if for_set and arg_is(a, b"nx", 2) and not opts[0] & OPT_XX:
            opts[0] |= OPT_NX
        elif for_set and arg_is(a, b"xx", 2) and not opts[0] & OPT_NX:
            opts[0] |= OPT_XX
        elif for_set and arg_is(a, b"get", 3):
            opts[0] |= OPT_GET
        elif for_set and arg_is(a, b"keepttl", 7) and not opts[0] & OPT_EXPIRE:
            opts[0] |= OPT_KEEPTTL
        elif not for_set and arg_is(a, b"persist", 7) and not opts[0] & OPT_EXPIRE:
            opts[0] |= OPT_PERSIST
        elif (more and not opts[0] & (OPT_KEEPTTL | OPT_PERSIST)
                and is_expire(a, opts[0] & OPT_EXPIRE != 0, seconds, absolute)):
            opts[0] |= OPT_EXPIRE
            when[0] = &argv[i + 1]
            i += 1
        else:
            reply_syntax(r)
            return False
        i += 1
    return True


cdef bint is_expire(Arg* a, bint again, bint* seconds, bint* absolute) noexcept nogil:
    """again: there was one before; only the same word may come a second time, and counts."""
    cdef bint s = arg_is(a, b"ex", 2) or arg_is(a, b"exat", 4)
    cdef bint at = arg_is(a, b"exat", 4) or arg_is(a, b"pxat", 4)
    if not (s or at or arg_is(a, b"px", 2)) or (again and (s != seconds[0] or at != absolute[0])):
        return False
    seconds[0] = s
    absolute[0] = at
    return True


cdef void propagate_set(Ctx* c, Arg* key, Arg* value, int64_t expire) noexcept nogil:
    """SET key value PXAT time: the same whenever it is replayed."""
    propagate_begin(c, c.db, 5)
    propagate_arg(c, b"SET", 3)
    propagate_arg(c, key.p, key.n)
    propagate_arg(c, value.p, value.n)
    propagate_arg(c, b"PXAT", 4)
    propagate_int(c, expire)


cdef int set_value(Ctx* c, Arg* key, Arg* value, int64_t expire, Reply* r) noexcept nogil:
    """Sets and reports; expire as keyspace_set's.  -1: no memory, replied."""
    if keyspace_set(c, c.db, key, value.p, value.n, expire) == NULL:
        reply_oom(r)
        return -1
    changed(c, c.db, key, EVENT_STRING, b"set")
    if expire >= 0:
        changed_n(c, c.db, key, EVENT_GENERIC, b"expire", 0)
        if propagating(c):
            propagate_set(c, key, value, expire)
    return 0


cdef int cmd_set(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if LIKELY(argc == 3):
        if set_value(c, &argv[1], &argv[2], -1, r) == 0:
            reply_ok(r)
        return CALL_DONE
    return set_with_options(c, argv, argc, r)


cdef int set_with_options(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int opts = 0
    cdef Arg* when = NULL
    cdef bint seconds = False
    cdef bint absolute = False
    cdef int64_t expire = -1
    cdef Entry* e
    cdef size_t mark = r.out.n
    if not options(argv, argc, 3, True, &opts, &when, &seconds, &absolute, r):
        return CALL_DONE
    if when != NULL and not expire_time(c, when, seconds, absolute, &expire, r):
        return CALL_DONE
    if opts & OPT_KEEPTTL:
        expire = -2
    if opts & OPT_GET:
        cmd_get(c, argv, argc, r)
        if r.out.n > mark and r.out.p[mark] == c"-":
            return CALL_DONE
    if opts & (OPT_NX | OPT_XX):
        e = lookup_write(c, &argv[1])
        if (opts & OPT_NX and e != NULL) or (opts & OPT_XX and e == NULL):
            if not opts & OPT_GET:
                reply_nil(r)
            return CALL_DONE
    elif expire == -2:
        lookup_write(c, &argv[1])       # an expired key's time is not one to keep
    if keyspace_set(c, c.db, &argv[1], argv[2].p, argv[2].n, expire) == NULL:
        r.out.n = mark
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_STRING, b"set")
    if expire >= 0:
        changed_n(c, c.db, &argv[1], EVENT_GENERIC, b"expire", 0)
        if propagating(c):
            propagate_set(c, &argv[1], &argv[2], expire)
    if not opts & OPT_GET:
        reply_ok(r)
    return CALL_DONE


cdef int cmd_setnx(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if lookup_write(c, &argv[1]) != NULL:
        reply_int(r, 0)
    elif set_value(c, &argv[1], &argv[2], -1, r) == 0:
        reply_int(r, 1)
    return CALL_DONE


cdef int set_for(Ctx* c, Arg* argv, bint seconds, Reply* r) noexcept nogil:
    cdef int64_t expire = -1
    if expire_time(c, &argv[2], seconds, False, &expire, r) and set_value(c, &argv[1], &argv[3], expire, r) == 0:
        reply_ok(r)
    return CALL_DONE


cdef int cmd_setex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return set_for(c, argv, True, r)


cdef int cmd_psetex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return set_for(c, argv, False, r)


cdef int cmd_getset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef size_t mark = r.out.n
    cdef Arg set_[3]
    cmd_get(c, argv, argc, r)
    if r.out.n > mark and r.out.p[mark] == c"-":
        return CALL_DONE
    if keyspace_set(c, c.db, &argv[1], argv[2].p, argv[2].n, -1) == NULL:
        r.out.n = mark
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_STRING, b"set")
    if propagating(c):
        set_[0].p = b"SET"
        set_[0].n = 3
        set_[1] = argv[1]
        set_[2] = argv[2]
        propagate(c, c.db, 3, set_)
    return CALL_DONE


cdef void propagate_key(Ctx* c, const char* name, size_t name_n, Arg* key) noexcept nogil:
    if propagating(c):
        propagate_begin(c, c.db, 2)
        propagate_arg(c, name, name_n)
        propagate_arg(c, key.p, key.n)


cdef int cmd_getdel(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef size_t mark = r.out.n
    cmd_get(c, argv, argc, r)
    if r.out.n > mark and r.out.p[mark] != c"-" and keyspace_delete(c, c.db, &argv[1]):
        changed(c, c.db, &argv[1], EVENT_GENERIC, b"del")
        propagate_key(c, b"DEL", 3, &argv[1])
    return CALL_DONE


cdef int cmd_getex(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int opts = 0
    cdef Arg* when = NULL
    cdef bint seconds = False
    cdef bint absolute = False
    cdef bint wrong = False
    cdef int64_t expire = -1
    cdef Entry* e
    if not options(argv, argc, 2, False, &opts, &when, &seconds, &absolute, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    if e == NULL:
        reply_nil(r)
        return CALL_DONE
    if when != NULL and not expire_time(c, when, seconds, absolute, &expire, r):
        return CALL_DONE
    reply_string(r, e)
    if when != NULL and absolute and expire <= c.now and not c.replay and not c.kv.loading:
        keyspace_delete(c, c.db, &argv[1])
        changed(c, c.db, &argv[1], EVENT_GENERIC, b"del")
        propagate_key(c, b"DEL", 3, &argv[1])
    elif when != NULL:
        if keyspace_expire(c, c.db, &argv[1], e, expire) != NULL:
            changed(c, c.db, &argv[1], EVENT_GENERIC, b"expire")
            if propagating(c):
                propagate_begin(c, c.db, 3)
                propagate_arg(c, b"PEXPIREAT", 9)
                propagate_arg(c, argv[1].p, argv[1].n)
                propagate_int(c, expire)
    elif opts & OPT_PERSIST and entry_expire(e) >= 0 and keyspace_expire(c, c.db, &argv[1], e, -1) != NULL:
        changed(c, c.db, &argv[1], EVENT_GENERIC, b"persist")
        propagate_key(c, b"PERSIST", 7, &argv[1])
    return CALL_DONE


cdef int cmd_mset(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return mset(c, argv, argc, False, r)


cdef int cmd_msetnx(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return mset(c, argv, argc, True, r)


cdef int mset(Ctx* c, Arg* argv, int argc, bint nx, Reply* r) noexcept nogil:
    cdef int i
    if argc % 2 == 0:
        reply_wrong_arity(r, c.cmd)
        return CALL_DONE
    prefetch_keys(c, argv, argc, 1, 2)
    if nx:
        for i in range(1, argc, 2):
            if lookup_write(c, &argv[i]) != NULL:
                reply_int(r, 0)
                return CALL_DONE
    for i in range(1, argc, 2):
        if keyspace_set(c, c.db, &argv[i], argv[i + 1].p, argv[i + 1].n, -1) == NULL:
            reply_oom(r)
            return CALL_DONE
        changed(c, c.db, &argv[i], EVENT_STRING, b"set")
    if nx:
        reply_int(r, 1)
    else:
        reply_ok(r)
    return CALL_DONE


# ---- numbers

cdef int increase(Ctx* c, Arg* key, int64_t by, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, key, TYPE_STRING, r, &wrong)
    cdef int64_t v = 0
    cdef Slice s
    cdef char scratch[24]
    if wrong:
        return CALL_DONE
    if e != NULL:
        if LIKELY(entry_layout(e) == STR_INT):
            v = entry_int(e)
        else:
            entry_string(e, scratch, &s)
            if not number_parse_i64(s.p, s.n, &v):
                reply_not_int(r)
                return CALL_DONE
    if (by < 0 and v < 0 and by < LLONG_MIN - v) or (by > 0 and v > 0 and by > LLONG_MAX - v):
        reply_error(r, b"ERR increment or decrement would overflow")
        return CALL_DONE
    v += by
    if keyspace_set_int(c, c.db, key, v) == NULL:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, key, EVENT_STRING, b"incrby")
    reply_int(r, v)
    return CALL_DONE


cdef int cmd_incr(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return increase(c, &argv[1], 1, r)


cdef int cmd_decr(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return increase(c, &argv[1], -1, r)


cdef int cmd_incrby(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t by = 0
    if arg_int(&argv[2], &by, r):
        increase(c, &argv[1], by, r)
    return CALL_DONE


cdef int cmd_decrby(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t by = 0
    if not arg_int(&argv[2], &by, r):
        return CALL_DONE
    if by == LLONG_MIN:
        reply_error(r, b"ERR decrement would overflow")
        return CALL_DONE
    return increase(c, &argv[1], -by, r)


cdef int cmd_incrbyfloat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_STRING, r, &wrong)
    cdef long double v = 0
    cdef long double by = 0
    cdef Slice s
    cdef char scratch[24]
    cdef char text[NUMBER_LONG_DOUBLE]
    cdef int n
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_string(e, scratch, &s)
        if not number_parse_long_double(s.p, s.n, &v) or isnan(<double>v):
            reply_not_float(r)
            return CALL_DONE
    if not number_parse_long_double(argv[2].p, argv[2].n, &by) or isnan(<double>by):
        reply_not_float(r)
        return CALL_DONE
    v += by
    if isnan(<double>v) or isinf(v):
        reply_error(r, b"ERR increment would produce NaN or Infinity")
        return CALL_DONE
    n = number_print_long_double(text, v)
    if keyspace_set_text(c, c.db, &argv[1], text, n) == NULL:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_STRING, b"incrbyfloat")
    reply_bulk(r, text, n)
    if propagating(c):
        propagate_begin(c, c.db, 4)
        propagate_arg(c, b"SET", 3)
        propagate_arg(c, argv[1].p, argv[1].n)
        propagate_arg(c, text, n)
        propagate_arg(c, b"KEEPTTL", 7)
    return CALL_DONE


# ---- parts of strings

cdef bint fits(Ctx* c, uint64_t n, Reply* r) noexcept nogil:
    if n <= <uint64_t>c.kv.settings.proto_max_bulk_len:
        return True
    reply_error(r, b"ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    return False


cdef int cmd_append(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_write_type(c, &argv[1], TYPE_STRING, r, &wrong)
    cdef Slice s
    cdef char scratch[24]
    cdef char* bytes
    cdef size_t n
    if wrong:
        return CALL_DONE
    if e == NULL:
        n = argv[2].n
        e = keyspace_set(c, c.db, &argv[1], argv[2].p, n, -1)
    else:
        entry_string(e, scratch, &s)
        n = s.n + argv[2].n
        if not fits(c, n, r):
            return CALL_DONE
        e = keyspace_set_raw(c, c.db, &argv[1], n, n - argv[2].n, &bytes)
        if e != NULL:
            memcpy(bytes + n - argv[2].n, argv[2].p, argv[2].n)
    if e == NULL:
        reply_oom(r)
        return CALL_DONE
    changed(c, c.db, &argv[1], EVENT_STRING, b"append")
    reply_int(r, <int64_t>n)
    return CALL_DONE


cdef int cmd_setrange(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t offset = 0
    cdef bint wrong = False
    cdef Entry* e
    cdef Slice s
    cdef char scratch[24]
    cdef char* bytes
    cdef size_t n
    if not arg_int(&argv[2], &offset, r):
        return CALL_DONE
    if offset < 0:
        reply_error(r, b"ERR offset is out of range")
        return CALL_DONE
    e = lookup_write_type(c, &argv[1], TYPE_STRING, r, &wrong)
    if wrong:
        return CALL_DONE
    s.n = 0
    if e != NULL:
        entry_string(e, scratch, &s)
    if argv[3].n == 0:
        reply_int(r, <int64_t>s.n)
        return CALL_DONE
    if not fits(c, <uint64_t>offset + argv[3].n, r):
        return CALL_DONE
    n = <size_t>offset + argv[3].n
    if n < s.n:
        n = s.n
    if keyspace_set_raw(c, c.db, &argv[1], n, s.n, &bytes) == NULL:
        reply_oom(r)
        return CALL_DONE
    if <size_t>offset > s.n:
        memset(bytes + s.n, 0, <size_t>offset - s.n)
    memcpy(bytes + offset, argv[3].p, argv[3].n)
    changed(c, c.db, &argv[1], EVENT_STRING, b"setrange")
    reply_int(r, <int64_t>n)
    return CALL_DONE


registry_bind("get", cmd_get)
registry_bind("set", cmd_set)
registry_bind("setnx", cmd_setnx)
registry_bind("setex", cmd_setex)
registry_bind("psetex", cmd_psetex)
registry_bind("getset", cmd_getset)
registry_bind("getdel", cmd_getdel)
registry_bind("getex", cmd_getex)
registry_bind("mget", cmd_mget)
registry_bind("mset", cmd_mset)
registry_bind("msetnx", cmd_msetnx)
registry_bind("incr", cmd_incr)
registry_bind("decr", cmd_decr)
registry_bind("incrby", cmd_incrby)
registry_bind("decrby", cmd_decrby)
registry_bind("incrbyfloat", cmd_incrbyfloat)
registry_bind("append", cmd_append)
registry_bind("strlen", cmd_strlen)
registry_bind("getrange", cmd_getrange)
registry_bind("substr", cmd_getrange)
registry_bind("setrange", cmd_setrange)
