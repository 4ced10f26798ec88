"""REPLICAOF, ROLE's companions and what replicas say, as a master without replicas answers them (Redis 7.0.15).

Deviation: a store has no replication.  REPLICAOF of a host, PSYNC and SYNC are refused with a reason; what a replica tells
about itself (REPLCONF) is checked and forgotten.
"""

from libc.stdint cimport int64_t

from libkv.engine.args cimport arg_int, arg_is, arg_range
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_error, reply_errorf, reply_ok, reply_syntax
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply

cdef enum:
    HOST_MAX = 255              # bytes of an address that a replica announces


cdef int cmd_replicaof(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t port
    if arg_is(&argv[1], b"no", 2) and arg_is(&argv[2], b"one", 3):
        reply_ok(r)
    elif arg_range(&argv[2], 0, 65535, &port, r, b"ERR Invalid master port"):
        reply_error(r, b"ERR this store has no replication: it can't become a replica")
    return CALL_DONE


cdef int cmd_psync(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int64_t offset
    if argc < 3 or arg_int(&argv[2], &offset, r):
        reply_error(r, b"ERR this store has no replication: it can't have replicas")
    return CALL_DONE


cdef int cmd_sync(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_error(r, b"ERR this store has no replication: it can't have replicas")
    return CALL_DONE


# ---- REPLCONF

cdef bint rdb_filter(Arg* a, Reply* r) noexcept nogil:
    """Words, of which only "functions" is known."""
    cdef size_t from_ = 0
    cdef size_t end
    cdef Arg word
    while from_ < a.n:
        end = from_
        while end < a.n and a.p[end] != b" ":
            end += 1
        word.p = a.p + from_
        word.n = end - from_
        if word.n and not arg_is(&word, b"functions", 9):
            reply_errorf(r, b"ERR Unsupported rdb-filter-only option: %.*s", word.p, word.n)
            return False
        from_ = end + 1
    return True


cdef bint replica_says(Arg* name, Arg* value, Reply* r) noexcept nogil:
    """False: an error is replied."""
    cdef int64_t v
    if arg_is(name, b"listening-port", 14):
        return arg_int(value, &v, r)
    if arg_is(name, b"ip-address", 10):
        if value.n <= HOST_MAX:
            return True
        reply_error(r, b"ERR REPLCONF ip-address provided by replica instance is too long")
        return False
    if arg_is(name, b"capa", 4):
        return True
    if arg_is(name, b"rdb-only", 8):
        if not arg_int(value, &v, r):
            return False
        if v == 0 or v == 1:
            return True
        reply_error(r, b"ERR value is out of range, value must between 0 and 1")
        return False
    if arg_is(name, b"rdb-filter-only", 15):
        return rdb_filter(value, r)
    reply_errorf(r, b"ERR Unrecognized REPLCONF option: %.*s", name.p, name.n)
    return False


cdef int cmd_replconf(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """ACK and GETACK are never answered."""
    cdef int i = 1
    if argc % 2 == 0:
        reply_syntax(r)
        return CALL_DONE
    while i < argc:
        if arg_is(&argv[i], b"ack", 3) or arg_is(&argv[i], b"getack", 6):
            return CALL_DONE
        if not replica_says(&argv[i], &argv[i + 1], r):
            return CALL_DONE
        i += 2
    reply_ok(r)
    return CALL_DONE


# ---- FAILOVER

cdef int cmd_failover(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint to = False
    cdef bint forced = False
    cdef bint timed = False
    cdef int64_t v
    cdef int i = 1
    if argc == 2 and arg_is(&argv[1], b"abort", 5):
        reply_error(r, b"ERR No failover in progress.")
        return CALL_DONE
    while i < argc:
        if arg_is(&argv[i], b"timeout", 7) and i + 1 < argc and not timed:
            if not arg_int(&argv[i + 1], &v, r):
                return CALL_DONE
            if v <= 0:
                reply_error(r, b"ERR FAILOVER timeout must be greater than 0")
                return CALL_DONE
            timed = True
            i += 2
        elif arg_is(&argv[i], b"to", 2) and i + 2 < argc and not to:
            if not arg_int(&argv[i + 2], &v, r):
                return CALL_DONE
            to = True
            i += 3
        elif arg_is(&argv[i], b"force", 5) and not forced:
            forced = True
            i += 1
        else:
            reply_syntax(r)
            return CALL_DONE
    reply_error(r, b"ERR FAILOVER requires connected replicas.")
    return CALL_DONE


registry_bind("failover", cmd_failover)
registry_bind("psync", cmd_psync)
registry_bind("replconf", cmd_replconf)
registry_bind("replicaof", cmd_replicaof)
registry_bind("slaveof", cmd_replicaof)
registry_bind("sync", cmd_sync)
