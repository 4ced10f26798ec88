"""Entries (layout: entry.pxd)."""

from libkv.engine.types cimport TYPE_STRING


cdef size_t entry_bytes(Entry* e) noexcept nogil:
    cdef char* v = entry_value(e)
    cdef size_t head = v - <char*>e
    cdef size_t n
    if (e.kind & 15) != TYPE_STRING:
        return head + 8
    if (e.kind >> 4) == STR_INLINE:
        prefixed_read(v, &n)
        return head + prefixed_size(n)
    return head + (8 if (e.kind >> 4) == STR_INT else 24)
