"""What a load tells the log (contract: load_log.pxd)."""

from libc.stdio cimport snprintf

from libkv.engine.clock cimport mono_ns
from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.persistence.durable cimport durable_log

cdef enum:
    NAMED = 20                  # things passed over that are named
    KEY_SHOWN = 128             # bytes of a key


cdef void load_log_dropped(Durable* d, const char* what, const char* name, size_t n, const char* where) noexcept nogil:
    cdef char text[256]
    cdef size_t i
    cdef int at
    d.load_dropped += 1
    if d.load_dropped > NAMED + 1:
        return
    if d.load_dropped == NAMED + 1:
        durable_log(d, LOG_WARNING, b"More is passed over, and not named.%s%s", b"", b"")
        return
    at = snprintf(text, sizeof(text), b"%.96s%s", what, b" of key '" if name != NULL else b"")
    for i in range(min(n, KEY_SHOWN) if name != NULL else 0):
        text[at] = name[i] if 32 <= name[i] < 127 else c"?"
        at += 1
    if name != NULL:
        snprintf(text + at, sizeof(text) - at, b"%s", b"'..." if n > KEY_SHOWN else b"'")
    durable_log(d, LOG_WARNING, b"Passed over, as this store can't hold it: %s%s", text, where)


cdef void load_log_failure(Durable* d, const char* part, uint64_t offset, Arg* argv, Buffer* out) noexcept nogil:
    cdef char where[512]
    cdef char what[256]
    cdef size_t n = min(out.n, sizeof(what) - 1)
    cdef size_t i = 0
    while i < n and out.p[i] != 13:
        what[i] = out.p[i]
        i += 1
    what[i] = 0
    snprintf(where, sizeof(where), b"%s, byte %llu, %.*s", part, <unsigned long long>offset, <int>min(argv[0].n, 64), argv[0].p)
    durable_log(d, LOG_WARNING, b"A command of the journal was answered with an error (%s): %s", where, what)


cdef void load_log_part(Durable* d, bint base, const char* name, int64_t began) noexcept nogil:
    cdef char seconds[32]
    snprintf(seconds, sizeof(seconds), b"%.3f", <double>(mono_ns() - began) / 1e9)
    if base:
        durable_log(d, LOG_NOTICE, b"DB loaded from base file %s: %s seconds", name, seconds)
    else:
        durable_log(d, LOG_NOTICE, b"DB loaded from incr file %s: %s seconds", name, seconds)
