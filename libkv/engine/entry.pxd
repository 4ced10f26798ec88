# An entry: one key and its value, in one allocation.
#
#   byte 0       type (low 4 bits), layout (high 4 bits)
#   byte 1       flags: E_TTL, E_RAW
#   bytes 2-4    LRU clock (seconds, 24 bits) or LFU: minutes (16 bits), counter (8 bits), as Redis keeps them
#   byte 5       key, length-prefixed (prefixed.pxd)
#   then         expiry, 8 bytes, milliseconds of Unix time, when E_TTL
#   then         the value:
#                  TYPE_STRING   STR_INT     8 bytes, int64
#                                STR_INLINE  length-prefixed bytes, at most INLINE_MAX
#                                STR_HEAP    pointer, length, capacity (8 bytes each): a piece of `capacity` bytes
#                  collections   pointer (8 bytes); the layout is the cell's
#
# Nothing in it is aligned: fields are read and written by memcpy.  An entry moves when its size changes: whoever holds
# an entry takes the pointer that a function of keyspace returns.

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from libkv.structures.cell cimport Cell, Slice
from libkv.structures.number cimport number_print_i64
from libkv.structures.prefixed cimport prefixed_read, prefixed_size

cdef enum:
    ENTRY_KEY = 5               # Table.key_at of the keyspace
    E_TTL = 1
    E_RAW = 2                   # Redis would hold this string as "raw" although it is short (APPEND, SETRANGE, ...)
    STR_INT = 0
    STR_INLINE = 1
    STR_HEAP = 2
    INLINE_MAX = 4000           # longest value inside its entry

cdef struct Entry:              # opaque: see above
    uint8_t kind
    uint8_t flags
    uint8_t clock[3]

cdef inline int entry_type(Entry* e) noexcept nogil:
    return e.kind & 15

cdef inline int entry_layout(Entry* e) noexcept nogil:
    return e.kind >> 4

cdef inline const char* entry_key(Entry* e, size_t* n) noexcept nogil:
    return prefixed_read(<const char*>e + ENTRY_KEY, n)

cdef inline char* entry_after_key(Entry* e) noexcept nogil:
    cdef size_t n
    cdef const char* k = prefixed_read(<const char*>e + ENTRY_KEY, &n)
    return <char*>k + n

cdef inline char* entry_value(Entry* e) noexcept nogil:
    return entry_after_key(e) + ((e.flags & E_TTL) << 3)

cdef inline int64_t entry_expire(Entry* e) noexcept nogil:
    """Milliseconds of Unix time, or -1."""
    cdef int64_t when
    if not e.flags & E_TTL:
        return -1
    memcpy(&when, entry_after_key(e), 8)
    return when

cdef inline void entry_cell(Entry* e, Cell* cell) noexcept nogil:
    """The collection of an entry; write it back with entry_set_cell after a change."""
    memcpy(&cell.ptr, entry_value(e), 8)
    cell.layout = e.kind >> 4

cdef inline void entry_set_cell(Entry* e, Cell* cell) noexcept nogil:
    memcpy(entry_value(e), &cell.ptr, 8)
    e.kind = (e.kind & 15) | <uint8_t>(cell.layout << 4)

cdef inline int64_t entry_int(Entry* e) noexcept nogil:
    """The number of a STR_INT entry."""
    cdef int64_t v
    memcpy(&v, entry_value(e), 8)
    return v

cdef inline void entry_string(Entry* e, char* scratch, Slice* out) noexcept nogil:
    """The bytes of a string entry; a number is printed into scratch (24 bytes)."""
    cdef char* v = entry_value(e)
    cdef int64_t number
    if (e.kind >> 4) == STR_INLINE:
        out.p = prefixed_read(v, &out.n)
    elif (e.kind >> 4) == STR_INT:
        memcpy(&number, v, 8)
        out.n = number_print_i64(scratch, number)
        out.p = scratch
    else:
        memcpy(&out.p, v, 8)
        memcpy(&out.n, v + 8, 8)

cdef inline uint32_t entry_clock(Entry* e) noexcept nogil:
    return e.clock[0] | (<uint32_t>e.clock[1] << 8) | (<uint32_t>e.clock[2] << 16)

cdef inline void entry_set_clock(Entry* e, uint32_t clock) noexcept nogil:
    e.clock[0] = clock & 255
    e.clock[1] = (clock >> 8) & 255
    e.clock[2] = (clock >> 16) & 255

cdef inline size_t entry_bytes(Entry* e) noexcept nogil:
    """Of the entry's own allocation."""
    cdef char* v = entry_value(e)
    cdef size_t n
    if (e.kind & 15) != 0:              # a collection
        return v - <char*>e + 8
    if (e.kind >> 4) == STR_INLINE:
        prefixed_read(v, &n)
        return v - <char*>e + prefixed_size(n)
    return v - <char*>e + (8 if (e.kind >> 4) == STR_INT else 24)
