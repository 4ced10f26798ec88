"""Reply bytes to Python objects: the embedded API's side of engine/reply.

The bytes are our own, so they are well formed; the GIL is held and no lock is.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from libc.string cimport memchr

from libkv.errors import error_from_reply


cdef inline int64_t read_number(const char* p) noexcept:
    cdef int64_t v = 0
    cdef bint negative = p[0] == c"-"
    if negative:
        p += 1
    while p[0] != 13:
        v = v * 10 - (p[0] - 48)        # downwards, so that the least number fits
        p += 1
    return v if negative else -v


cdef inline const char* line_end(const char* p, const char* end) noexcept:
    return <const char*>memchr(p, 13, end - p)


cdef object decode_list(int64_t n, const char** after, const char* end):
    cdef list out = PyList_New(n)
    cdef object item
    cdef int64_t i
    for i in range(n):
        item = decode_reply(after[0], end, after)
        Py_INCREF(item)
        PyList_SET_ITEM(out, i, item)
    return out


cdef object hashable(object v):
    """A map's key may itself be a list."""
    return tuple([hashable(x) for x in v]) if isinstance(v, list) else v


cdef object decode_reply(const char* p, const char* end, const char** after):
    cdef char kind = p[0]
    cdef const char* eol = line_end(p, end)
    cdef int64_t n
    cdef int64_t _i
    cdef object out
    cdef object key
    after[0] = eol + 2
    if kind == c"$" or kind == c"=":
        n = read_number(p + 1)
        if n < 0:
            return None
        after[0] = eol + 2 + n + 2
        if kind == c"=":
            return PyBytes_FromStringAndSize(eol + 6, n - 4)
        return PyBytes_FromStringAndSize(eol + 2, n)
    if kind == c":":
        return read_number(p + 1)
    if kind == c"+":
        return PyBytes_FromStringAndSize(p + 1, eol - p - 1)
    if kind == c"*" or kind == c">":
        n = read_number(p + 1)
        return None if n < 0 else decode_list(n, after, end)
    if kind == c"-":
        return error_from_reply(PyBytes_FromStringAndSize(p + 1, eol - p - 1))
    if kind == c"_":
        return None
    if kind == c"#":
        return p[1] == c"t"
    if kind == c",":
        return float(PyBytes_FromStringAndSize(p + 1, eol - p - 1))
    if kind == c"(":
        return int(PyBytes_FromStringAndSize(p + 1, eol - p - 1))
    n = read_number(p + 1)
    if kind == c"%":
        out = {}
        for _i in range(n):
            key = hashable(decode_reply(after[0], end, after))
            out[key] = decode_reply(after[0], end, after)
        return out
    return decode_list(n, after, end)   # a set: its members may be maps, which Python's sets don't take
