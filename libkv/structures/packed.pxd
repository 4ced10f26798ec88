# Packed entries in one flat buffer: the layout of small lists, sets, hashes and sorted sets.
#
# The bytes are those of Redis's listpack (its published description: "Listpack specification", antirez/listpack), so
# that an RDB file of version 10 takes a buffer as it is:
#
#   +-----------+-----------+---------+ ... +---------+------+
#   | bytes u32 | count u16 | entry   |     | entry   | 0xFF |        little-endian; count 65535 = "walk and see"
#   +-----------+-----------+---------+ ... +---------+------+
#
#   entry = head, data, back length (how many bytes head and data take, 7 bits a byte, readable from the right)
#
#   0vvvvvvv                       0..127                 11110001 + 2      16-bit signed
#   10nnnnnn + n bytes             string up to 63        11110010 + 3      24-bit signed
#   110vvvvv vvvvvvvv              13-bit signed          11110011 + 4      32-bit signed
#   1110nnnn nnnnnnnn + n bytes    string up to 4095      11110100 + 8      64-bit signed
#   11110000 + u32 n + n bytes     string
#
# A string that is the canonical decimal form of a 64-bit integer is always kept as an integer.
#
# A buffer is a char* whose piece of the heap has packed_room(its bytes); functions that change it take a char** and may
# move it: every position (a char* to an entry's head) in it is stale then, but for those they hand back.  They return 0,
# or -1 with nothing changed: no memory, or the buffer would pass 2**32 bytes.  Removing can fail too, because a smaller
# buffer is a new piece.  A buffer never holds its own capacity, so that it costs what Redis's does.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from libkv.structures.alloc cimport Heap, SLABS, SMALL_MAX
from libkv.structures.cell cimport Slice
from libkv.structures.number cimport number_print_i64

cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "packed buffers are little-endian, and so must the machine be"
    #endif
    """

cdef enum:
    PACKED_HEADER = 6
    PACKED_EMPTY = 7            # bytes of a buffer without entries
    PACKED_END = 0xFF
    PACKED_SCRATCH = 24         # bytes that the longest printed integer fits in
    PACKED_SAFE = 1 << 30       # larger buffers are not made by commands (packed_fits)

cdef struct Needle:             # a value to compare entries with
    const char* p
    size_t n
    int64_t value               # when is_int
    bint is_int                 # it is an integer's canonical form, and so are the entries equal to it

cdef int packed_new(Heap* h, char** b) noexcept nogil
cdef void packed_free(Heap* h, char* b) noexcept nogil
cdef int packed_copy(Heap* h, const char* b, char** copy) noexcept nogil        # also: takes a validated foreign buffer in
# a buffer of `count` entries that lie in `bytes` bytes
cdef int packed_from_entries(Heap* h, char** b, const char* entries, size_t bytes, uint64_t count) noexcept nogil
cdef uint64_t packed_length(const char* b) noexcept nogil

# Positions.  NULL = none.  Forwards from first() by next(), backwards from last() by prev().
cdef char* packed_first(char* b) noexcept nogil
cdef char* packed_last(char* b) noexcept nogil
cdef char* packed_next(char* b, char* at) noexcept nogil
cdef char* packed_prev(char* b, char* at) noexcept nogil
cdef char* packed_index(char* b, int64_t i) noexcept nogil                      # -1 = the last; walks from the nearer end
# from `at` on (NULL: none), comparing one entry and passing over `skip`
cdef char* packed_find(char* b, char* at, const char* p, size_t n, uint32_t skip) noexcept nogil

# Changes.  A value is bytes; integers among them are recognised.
cdef int packed_append(Heap* h, char** b, const char* p, size_t n) noexcept nogil
cdef int packed_append_int(Heap* h, char** b, int64_t v) noexcept nogil
cdef int packed_prepend(Heap* h, char** b, const char* p, size_t n) noexcept nogil
# all of them before at[0] (NULL: at the end), in one step; at[0] = the first of the inserted
cdef int packed_insert(Heap* h, char** b, char** at, const Slice* values, uint32_t count) noexcept nogil
cdef int packed_insert_before(Heap* h, char** b, char** at, const char* p, size_t n) noexcept nogil     # at[0] = the inserted
cdef int packed_insert_after(Heap* h, char** b, char** at, const char* p, size_t n) noexcept nogil      # at[0] = the inserted
cdef int packed_replace(Heap* h, char** b, char** at, const char* p, size_t n) noexcept nogil           # at[0] = the new one
# `count` entries from at[0] on (fewer at the end); at[0] = what follows, or NULL
cdef int packed_delete(Heap* h, char** b, char** at, uint64_t count) noexcept nogil
cdef int packed_keep(Heap* h, char** b, char* first, char* end) noexcept nogil  # only [first, end); end NULL: to the end
# removes up to `limit` equal entries; how many, or -1
cdef int64_t packed_remove_equal(Heap* h, char** b, const char* p, size_t n, int64_t limit, bint backwards) noexcept nogil

# Invariants.
# may untrusted bytes be used as a buffer?  deep: every entry is walked; otherwise only the frame is looked at
cdef bint packed_validate(const char* b, size_t size, bint deep) noexcept nogil
cdef int packed_check(const char* b) noexcept nogil                             # 0, or the number of the broken invariant

# One entry, wherever it lies.
cdef size_t packed_entry_size(const char* p, size_t n) noexcept nogil           # bytes its entry takes, back length included
cdef size_t packed_entry_write(char* at, const char* p, size_t n) noexcept nogil
cdef size_t packed_entry_write_int(char* at, int64_t v) noexcept nogil
cdef bint packed_entry_sound(const char* at, const char* end) noexcept nogil    # head, data and back length agree and fit
cdef void packed_needle(Needle* x, const char* p, size_t n) noexcept nogil
cdef bint packed_equal_slow(const char* at, const Needle* x) noexcept nogil

cdef extern from "<string.h>" nogil:
    int packed_memcmp "memcmp"(const void*, const void*, size_t)

cdef inline size_t packed_bytes(const char* b) noexcept nogil:
    cdef uint32_t n
    memcpy(&n, b, 4)
    return n

cdef inline size_t packed_room(size_t bytes) noexcept nogil:
    """What is asked of the heap for a buffer of so many bytes: large ones grow in steps of 256."""
    return bytes if bytes <= SMALL_MAX or not SLABS else (bytes + 255) & ~<size_t>255

cdef inline bint packed_fits(const char* b, size_t more) noexcept nogil:
    """Whether `more` bytes of values can be added without an unreasonable buffer."""
    return more < PACKED_SAFE and packed_bytes(b) + more < PACKED_SAFE

cdef inline size_t packed_body(const char* at) noexcept nogil:
    """Bytes of head and data of the entry at `at`."""
    cdef const uint8_t* e = <const uint8_t*>at
    cdef uint32_t n
    if e[0] < 0x80:
        return 1
    if e[0] < 0xC0:
        return 1 + <size_t>(e[0] & 0x3F)
    if e[0] < 0xE0:
        return 2
    if e[0] < 0xF0:
        return 2 + ((<size_t>(e[0] & 0x0F) << 8) | e[1])
    if e[0] == 0xF0:
        memcpy(&n, e + 1, 4)
        return 5 + <size_t>n
    if e[0] == 0xF4:
        return 9
    return <size_t>(e[0] - 0xF1) + 3        # 0xF1, 0xF2, 0xF3: 2, 3 and 4 bytes of data

cdef inline size_t packed_back(size_t body) noexcept nogil:
    """Bytes of the back length of an entry whose head and data take `body`."""
    if body <= 127:
        return 1
    if body < 16383:
        return 2
    if body < 2097151:
        return 3
    if body < 268435455:
        return 4
    return 5

cdef inline size_t packed_skip(const char* at) noexcept nogil:
    """Bytes from the entry at `at` to what follows it."""
    cdef size_t body = packed_body(at)
    return body + packed_back(body)

cdef inline size_t packed_skip_back(const char* end) noexcept nogil:
    """Bytes of the whole entry that ends before `end`."""
    cdef const uint8_t* e = <const uint8_t*>end - 1
    cdef size_t body = e[0] & 127
    cdef size_t taken = 1
    while e[0] & 128:
        e -= 1
        body |= <size_t>(e[0] & 127) << (7 * taken)
        taken += 1
    return body + taken

cdef inline bint packed_read(const char* at, Slice* s, int64_t* v) noexcept nogil:
    """True: the entry is the integer v[0].  False: it is the bytes s[0], which lie in the buffer."""
    cdef const uint8_t* e = <const uint8_t*>at
    cdef uint32_t n
    cdef int64_t wide = 0
    if e[0] < 0x80:
        v[0] = e[0]
        return True
    if e[0] < 0xC0:
        s.p = at + 1
        s.n = e[0] & 0x3F
        return False
    if e[0] < 0xE0:
        wide = (<int64_t>(e[0] & 0x1F) << 8) | e[1]
        v[0] = wide - 8192 if wide >= 4096 else wide
        return True
    if e[0] < 0xF0:
        s.p = at + 2
        s.n = (<size_t>(e[0] & 0x0F) << 8) | e[1]
        return False
    if e[0] == 0xF0:
        memcpy(&n, e + 1, 4)
        s.p = at + 5
        s.n = n
        return False
    if e[0] == 0xF4:
        memcpy(v, e + 1, 8)
    elif e[0] == 0xF3:
        memcpy(&n, e + 1, 4)
        wide = n
        v[0] = wide - <int64_t>4294967296 if n >> 31 else wide
    elif e[0] == 0xF2:
        wide = e[1] | (<int64_t>e[2] << 8) | (<int64_t>e[3] << 16)
        v[0] = wide - (1 << 24) if wide >> 23 else wide
    else:
        wide = e[1] | (<int64_t>e[2] << 8)
        v[0] = wide - (1 << 16) if wide >> 15 else wide
    return True

cdef inline Slice packed_get(const char* at, char* scratch) noexcept nogil:
    """The entry's bytes; an integer's digits are printed into scratch (PACKED_SCRATCH bytes)."""
    cdef Slice s
    cdef int64_t v
    if packed_read(at, &s, &v):
        s.p = scratch
        s.n = number_print_i64(scratch, v)
    return s

cdef inline bint packed_equal(const char* at, const Needle* x) noexcept nogil:
    """Whether the entry holds the needle's bytes."""
    cdef const uint8_t* e = <const uint8_t*>at
    if 0x80 <= e[0] < 0xC0:
        return x.n == (e[0] & 0x3F) and packed_memcmp(at + 1, x.p, x.n) == 0
    return packed_equal_slow(at, x)
