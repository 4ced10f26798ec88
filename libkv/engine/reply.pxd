# What a command answers: RESP2 or RESP3 bytes appended to a buffer, by the client's protocol.
#
# The embedded API reads the same bytes after the lock is gone (engine/decode).  Function names are RESP3's types; in RESP2
# a map is a flat array, a double a bulk string, a boolean :1 or :0, null "$-1", as Redis does it.

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from libkv.engine.types cimport Reply
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_room
from libkv.structures.cell cimport Slice
from libkv.structures.number cimport number_print_i64

cdef void reply_status(Reply* r, const char* text) noexcept nogil       # +text
cdef void reply_error(Reply* r, const char* text) noexcept nogil        # text starts with its code: "ERR syntax error"
cdef void reply_errorf(Reply* r, const char* format, const char* p, size_t n) noexcept nogil
    # one %.*s in format, filled with at most 128 bytes of p; control characters become spaces
cdef void reply_cstring(Reply* r, const char* text) noexcept nogil      # bulk string of a NUL-terminated text
cdef void reply_slice(Reply* r, Slice* s) noexcept nogil
cdef void reply_int_bulk(Reply* r, int64_t v) noexcept nogil            # the number as a bulk string
cdef void reply_nil_array(Reply* r) noexcept nogil                      # *-1 or _
cdef void reply_array(Reply* r, int64_t n) noexcept nogil
cdef void reply_map(Reply* r, int64_t pairs) noexcept nogil
cdef void reply_set(Reply* r, int64_t n) noexcept nogil
cdef void reply_push(Reply* r, int64_t n) noexcept nogil                # > in RESP3, * in RESP2
cdef void reply_double(Reply* r, double v) noexcept nogil
cdef void reply_human_double(Reply* r, long double v) noexcept nogil    # INCRBYFLOAT's form, as a bulk string
cdef void reply_bool(Reply* r, bint v) noexcept nogil
cdef void reply_verbatim(Reply* r, const char* kind, const char* p, size_t n) noexcept nogil   # kind: "txt", "mkd"
cdef void reply_big(Reply* r, const char* digits, size_t n) noexcept nogil
cdef void reply_raw(Reply* r, const char* p, size_t n) noexcept nogil   # bytes that are RESP already

# a length known only at the end: m = reply_later(r); ...elements...; reply_later_array(r, m, n)
cdef size_t reply_later(Reply* r) noexcept nogil
cdef void reply_later_array(Reply* r, size_t mark, int64_t n) noexcept nogil
cdef void reply_later_map(Reply* r, size_t mark, int64_t pairs) noexcept nogil
cdef void reply_later_set(Reply* r, size_t mark, int64_t n) noexcept nogil

# errors that many commands share, in Redis's words
cdef void reply_wrong_type(Reply* r) noexcept nogil
cdef void reply_syntax(Reply* r) noexcept nogil
cdef void reply_not_int(Reply* r) noexcept nogil        # ERR value is not an integer or out of range
cdef void reply_not_float(Reply* r) noexcept nogil      # ERR value is not a valid float
cdef void reply_oom(Reply* r) noexcept nogil            # OOM command not allowed: out of memory
cdef void reply_no_key(Reply* r) noexcept nogil         # ERR no such key
cdef void reply_wrong_arity(Reply* r, void* cmd) noexcept nogil          # ERR wrong number of arguments for '...' command
cdef void reply_unknown_sub(Reply* r, const char* sub, size_t n, const char* container) noexcept nogil
    # ERR unknown subcommand or wrong number of arguments for '...'. Try CONTAINER HELP.
cdef void reply_help(Reply* r, const char* command, const char** lines) noexcept nogil  # lines end with NULL; adds HELP's own


# ---- on GET's and SET's path: inline

cdef inline void reply_ok(Reply* r) noexcept nogil:
    buffer_add(r.out, b"+OK\r\n", 5)

cdef inline void reply_nil(Reply* r) noexcept nogil:
    """$-1 or _"""
    if r.proto == 2:
        buffer_add(r.out, b"$-1\r\n", 5)
    else:
        buffer_add(r.out, b"_\r\n", 3)

cdef inline void reply_header(Reply* r, char kind, int64_t v) noexcept nogil:
    """A type's first byte, a number and the line's end: an integer, or the length of what follows."""
    cdef char* o = buffer_room(r.out, 24)
    cdef int k
    if o == NULL:
        return
    o[0] = kind
    k = 1
    if 0 <= v < 10:
        o[1] = <char>(48 + v)
        k = 2
    else:
        k += number_print_i64(o + 1, v)
    o[k] = 13
    o[k + 1] = 10
    r.out.n += k + 2

cdef inline void reply_int(Reply* r, int64_t v) noexcept nogil:
    reply_header(r, b":", v)

cdef inline void reply_bulk(Reply* r, const char* p, size_t n) noexcept nogil:
    cdef char* o = buffer_room(r.out, n + 32)
    cdef int k
    if o == NULL:
        return
    o[0] = b"$"
    if n < 10:
        o[1] = <char>(48 + n)
        k = 2
    else:
        k = 1 + number_print_i64(o + 1, <int64_t>n)
    o[k] = 13
    o[k + 1] = 10
    o += k + 2
    if n:
        memcpy(o, p, n)
    o[n] = 13
    o[n + 1] = 10
    r.out.n += k + n + 4
