"""A past moment of a journal (contract: past.pxd)."""

from libc.errno cimport ENOENT, ERANGE
from libc.stdio cimport snprintf

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct tm:
        pass
    tm* localtime_r(const time_t*, tm*)
    size_t strftime(char*, size_t, const char*, const tm*)

cdef enum:
    MOMENT = 64                 # bytes of a moment in words


cdef void moment_text(char* out, int64_t seconds) noexcept nogil:
    """As 2026-05-01 12:00:00 +0200 (Unix time 1777629600)."""
    cdef time_t when = <time_t>seconds
    cdef tm parts
    cdef size_t n = 0
    if localtime_r(&when, &parts) != NULL:
        n = strftime(out, MOMENT, b"%Y-%m-%d %H:%M:%S %z ", &parts)
    snprintf(out + n, MOMENT - n, b"(Unix time %lld)", <long long>seconds)


cdef int too_old(Past* p, Durable* d, int64_t oldest) noexcept nogil:
    cdef char wanted[MOMENT]
    cdef char reached[MOMENT]
    moment_text(wanted, p.until)
    moment_text(reached, oldest)
    snprintf(d.trouble, sizeof(d.trouble), b"the state of %s can't be shown: the journal in %s reaches back to %s", wanted,
             d.journal_dir, reached)
    return ERANGE


cdef int past_made(Past* p, Durable* d, int64_t made) noexcept nogil:
    p.based = True
    return too_old(p, d, made) if p.until and made > p.until else 0


cdef int past_end(Past* p, Durable* d, int64_t stamp) noexcept nogil:
    if p.until == 0 or p.dated or (p.undated == 0 and (p.based or stamp == 0)):
        return 0
    if stamp:                           # it stands in front of everything: the journal begins there
        return too_old(p, d, stamp)
    snprintf(d.trouble, sizeof(d.trouble), b"the journal in %s tells no times: it was written without aof-timestamp-enabled",
             d.journal_dir)
    return ERANGE


cdef int past_without(Past* p, Durable* d) noexcept nogil:
    snprintf(d.trouble, sizeof(d.trouble), b"there is no journal in %s, and so no past moment", d.journal_dir)
    return ENOENT
