# The slow log: the last commands that took longer than slowlog-log-slower-than, newest first.
#
# kv.slow is a ring of kv.slow_cap places; the newest is kv.slow[kv.slow_head], older ones follow with falling index (modulo
# slow_cap), kv.slow_n in all.  An entry owns one copy of its arguments:
#
#   argv -> | Arg 0 | Arg 1 | ... | bytes of 0 | bytes of 1 | ... | name |      one piece of the heap

from libc.stdint cimport int64_t

from libkv.engine.types cimport Arg, Kv, Session, SlowEntry

cdef enum:
    SLOW_ARGS = 32              # arguments kept of a command, the last one saying how many more there were
    SLOW_BYTES = 128            # bytes kept of an argument

# when `usec` reaches the setting; without memory the entry is dropped
cdef void slowlog_add(Kv* kv, Session* s, Arg* argv, int argc, int64_t usec) noexcept nogil
cdef SlowEntry* slowlog_entry(Kv* kv, int i) noexcept nogil         # 0 = the newest; i < kv.slow_n
cdef void slowlog_trim(Kv* kv, int64_t keep) noexcept nogil         # forgets all but the newest `keep`
cdef void slowlog_free(Kv* kv) noexcept nogil                       # the store ends

cdef inline void slowlog_redact(Arg* a) noexcept nogil:
    """For a command's secret argument, when its work is done: the slow log sees this instead."""
    a.p = b"(redacted)"
    a.n = 10
    a.hashed = False
