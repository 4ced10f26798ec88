"""Replies as RESP2 or RESP3 bytes (contract: reply.pxd; RESP3: https://github.com/redis/redis-specifications)."""

from libc.stdio cimport snprintf
from libc.string cimport strlen

from libkv.engine.registry cimport Command
from libkv.structures.buffer cimport buffer_insert
from libkv.structures.number cimport number_print_double, number_print_long_double

cdef enum:
    ERROR_ARG_MAX = 128         # bytes of a client's own words that an error repeats


cdef void reply_status(Reply* r, const char* text) noexcept nogil:
    buffer_add(r.out, b"+", 1)
    buffer_add(r.out, text, strlen(text))
    buffer_add(r.out, b"\r\n", 2)


cdef void reply_error(Reply* r, const char* text) noexcept nogil:
    r.errors += 1
    buffer_add(r.out, b"-", 1)
    buffer_add(r.out, text, strlen(text))
    buffer_add(r.out, b"\r\n", 2)


cdef void reply_errorf(Reply* r, const char* format, const char* p, size_t n) noexcept nogil:
    """The client's bytes go in up to their first NUL, as in a C string; line ends become spaces, since an error is one line."""
    cdef char text[512]
    cdef char word[ERROR_ARG_MAX + 1]
    cdef size_t i = 0
    while i < n and i < ERROR_ARG_MAX and p[i] != 0:
        word[i] = 32 if p[i] == 13 or p[i] == 10 else p[i]
        i += 1
    snprintf(text, sizeof(text), format, <int>i, word)
    reply_error(r, text)


cdef void reply_cstring(Reply* r, const char* text) noexcept nogil:
    reply_bulk(r, text, strlen(text))


cdef void reply_slice(Reply* r, Slice* s) noexcept nogil:
    reply_bulk(r, s.p, s.n)


cdef void reply_int_bulk(Reply* r, int64_t v) noexcept nogil:
    cdef char digits[24]
    reply_bulk(r, digits, number_print_i64(digits, v))


cdef void reply_nil_array(Reply* r) noexcept nogil:
    if r.proto == 2:
        buffer_add(r.out, b"*-1\r\n", 5)
    else:
        buffer_add(r.out, b"_\r\n", 3)


cdef void reply_array(Reply* r, int64_t n) noexcept nogil:
    reply_header(r, b"*", n)


cdef void reply_map(Reply* r, int64_t pairs) noexcept nogil:
    if r.proto == 2:
        reply_header(r, b"*", pairs * 2)
    else:
        reply_header(r, b"%", pairs)


cdef void reply_set(Reply* r, int64_t n) noexcept nogil:
    reply_header(r, b"*" if r.proto == 2 else b"~", n)


cdef void reply_push(Reply* r, int64_t n) noexcept nogil:
    reply_header(r, b"*" if r.proto == 2 else b">", n)


cdef void reply_double(Reply* r, double v) noexcept nogil:
    cdef char digits[512]
    cdef int n = number_print_double(digits, v)
    if r.proto == 2:
        reply_bulk(r, digits, n)
        return
    buffer_add(r.out, b",", 1)
    buffer_add(r.out, digits, n)
    buffer_add(r.out, b"\r\n", 2)


cdef void reply_human_double(Reply* r, long double v) noexcept nogil:
    cdef char digits[5 * 1024]
    reply_bulk(r, digits, number_print_long_double(digits, v))


cdef void reply_bool(Reply* r, bint v) noexcept nogil:
    if r.proto == 2:
        buffer_add(r.out, b":1\r\n" if v else b":0\r\n", 4)
    else:
        buffer_add(r.out, b"#t\r\n" if v else b"#f\r\n", 4)


cdef void reply_verbatim(Reply* r, const char* kind, const char* p, size_t n) noexcept nogil:
    if r.proto == 2:
        reply_bulk(r, p, n)
        return
    reply_header(r, b"=", <int64_t>n + 4)
    buffer_add(r.out, kind, 3)
    buffer_add(r.out, b":", 1)
    buffer_add(r.out, p, n)
    buffer_add(r.out, b"\r\n", 2)


cdef void reply_big(Reply* r, const char* digits, size_t n) noexcept nogil:
    if r.proto == 2:
        reply_bulk(r, digits, n)
        return
    buffer_add(r.out, b"(", 1)
    buffer_add(r.out, digits, n)
    buffer_add(r.out, b"\r\n", 2)


cdef void reply_raw(Reply* r, const char* p, size_t n) noexcept nogil:
    buffer_add(r.out, p, n)


# ---- a length known only at the end

cdef size_t reply_later(Reply* r) noexcept nogil:
    return r.out.n


cdef void put_header(Reply* r, size_t mark, char kind, int64_t n) noexcept nogil:
    cdef char head[24]
    cdef int k
    head[0] = kind
    k = 1 + number_print_i64(head + 1, n)
    head[k] = 13
    head[k + 1] = 10
    if not r.out.failed:
        buffer_insert(r.out, mark, head, k + 2)


cdef void reply_later_array(Reply* r, size_t mark, int64_t n) noexcept nogil:
    put_header(r, mark, b"*", n)


cdef void reply_later_map(Reply* r, size_t mark, int64_t pairs) noexcept nogil:
    if r.proto == 2:
        put_header(r, mark, b"*", pairs * 2)
    else:
        put_header(r, mark, b"%", pairs)


cdef void reply_later_set(Reply* r, size_t mark, int64_t n) noexcept nogil:
    put_header(r, mark, b"*" if r.proto == 2 else b"~", n)


# ---- errors that many commands share

cdef void reply_wrong_type(Reply* r) noexcept nogil:
    reply_error(r, b"WRONGTYPE Operation against a key holding the wrong kind of value")


cdef void reply_syntax(Reply* r) noexcept nogil:
    reply_error(r, b"ERR syntax error")


cdef void reply_not_int(Reply* r) noexcept nogil:
    reply_error(r, b"ERR value is not an integer or out of range")


cdef void reply_not_float(Reply* r) noexcept nogil:
    reply_error(r, b"ERR value is not a valid float")


cdef void reply_oom(Reply* r) noexcept nogil:
    reply_error(r, b"OOM command not allowed: the process is out of memory")


cdef void reply_no_key(Reply* r) noexcept nogil:
    reply_error(r, b"ERR no such key")


cdef void reply_wrong_arity(Reply* r, void* cmd) noexcept nogil:
    cdef Command* row = <Command*>cmd
    reply_errorf(r, b"ERR wrong number of arguments for '%.*s' command", row.full, row.full_n)


cdef void reply_unknown_sub(Reply* r, const char* sub, size_t n, const char* container) noexcept nogil:
    cdef char format[160]
    snprintf(format, sizeof(format), b"ERR unknown subcommand '%%.*s'. Try %s HELP.", container)
    reply_errorf(r, format, sub, n)


cdef void reply_help(Reply* r, const char* command, const char** lines) noexcept nogil:
    """`command` in capitals; the lines of HELP itself are added."""
    cdef char first[160]
    cdef int n = 0
    cdef int i
    while lines[n] != NULL:
        n += 1
    reply_array(r, n + 3)
    snprintf(first, sizeof(first), b"%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", command)
    reply_status(r, first)
    for i in range(n):
        reply_status(r, lines[i])
    reply_status(r, b"HELP")
    reply_status(r, b"    Prints this help.")
