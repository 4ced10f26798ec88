# Where the bytes of a snapshot go to and come from: a Sink and a Source over one function each.
#
# A Sink has all its memory before the first byte (sink_open), so that the child of a fork that writes through it takes
# nothing from an allocator; only a string too long for its work area makes it map pages of its own.  A Source hands out
# bytes in place: from memory, or from a buffer that a read function fills.  Both keep the CRC-64 running over whole
# buffers, not over each small piece.

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from libkv.persistence.lzf cimport Lzf
from libkv.structures.alloc cimport LIKELY

cdef enum:
    RIO_BUFFER = 1 << 18        # bytes collected before a write; bytes asked of a read
    RIO_WORK = 1 << 17          # first size of a work area

# writes all n bytes; 0, or the errno of what went wrong
ctypedef int (*sink_write_fn)(void* arg, const char* p, size_t n) noexcept nogil
# reads up to n bytes; how many, 0 at the end, or -errno
ctypedef ssize_t (*source_read_fn)(void* arg, char* p, size_t n) noexcept nogil

cdef struct Sink:
    sink_write_fn write         # NULL: a memory sink, whose bytes stay in buf[0:n]
    void* arg
    char* buf
    size_t n                    # bytes in buf
    size_t cap
    uint64_t written            # bytes handed to write
    uint64_t crc                # of the first `written` bytes (memory sink: of the first `summed`)
    size_t summed               # bytes of buf that crc covers already
    int error                   # errno of the first failure; what follows is dropped
    bint checksum               # keep crc (rdbchecksum)
    bint compress               # strings of more than 20 bytes as LZF where that is shorter (rdbcompression)
    char* work                  # room for a compressed or assembled string
    size_t work_room
    Lzf* lzf

cdef int sink_open(Sink* s, sink_write_fn write, void* arg, bint checksum, bint compress) noexcept nogil   # 0 or -1: no memory
cdef int sink_open_memory(Sink* s, bint checksum, bint compress) noexcept nogil    # the bytes are in s.buf[0:s.n]
cdef int sink_fd_write(void* arg, const char* p, size_t n) noexcept nogil          # a sink_write_fn; arg: <void*><size_t>fd
cdef void sink_close(Sink* s) noexcept nogil            # gives its memory back; flushes nothing
cdef int sink_flush(Sink* s) noexcept nogil             # hands all bytes to write; 0, or the errno (kept in s.error)
cdef uint64_t sink_crc(Sink* s) noexcept nogil          # CRC-64 of all bytes put so far (flushes a sink with a function)
cdef void sink_put_slow(Sink* s, const char* p, size_t n) noexcept nogil
cdef char* sink_work(Sink* s, size_t n) noexcept nogil  # n bytes of room, or NULL with s.error set; the one before is void

cdef inline void sink_put(Sink* s, const char* p, size_t n) noexcept nogil:
    if LIKELY(s.cap - s.n >= n):
        memcpy(s.buf + s.n, p, n)
        s.n += n
    else:
        sink_put_slow(s, p, n)

cdef inline void sink_byte(Sink* s, int b) noexcept nogil:
    cdef char c = <char>b
    if LIKELY(s.n < s.cap):
        s.buf[s.n] = c
        s.n += 1
    else:
        sink_put_slow(s, &c, 1)

cdef enum:
    SOURCE_CUT = -1             # Source.error: the input ended too early (else an errno)

cdef struct Source:
    source_read_fn read         # NULL: all of it is in memory
    void* arg
    char* buf                   # NULL in a memory source
    size_t cap
    const char* at              # the next byte
    const char* end             # behind the last byte that is there
    uint64_t passed             # offset of `end` in the input
    uint64_t total              # bytes of the input, (uint64_t)-1: not known
    const char* summed          # crc covers what is before this place
    uint64_t crc
    bint checksum
    int error
    char* work                  # a decompressed string
    size_t work_room
    char* spare                 # a second one: a key, a buffer that is being converted
    size_t spare_room
    uint64_t* seen              # hashes and places of entries, when a buffer is searched for duplicates (rdb_flat)
    size_t seen_room            # how many

cdef void source_open_memory(Source* s, const char* p, size_t n, bint checksum) noexcept nogil     # borrows p
cdef int source_open(Source* s, source_read_fn read, void* arg, uint64_t total, bint checksum) noexcept nogil   # 0 or -1
cdef ssize_t source_fd_read(void* arg, char* p, size_t n) noexcept nogil           # a source_read_fn; arg: <void*><size_t>fd
cdef void source_close(Source* s) noexcept nogil
cdef const char* source_need_slow(Source* s, size_t n) noexcept nogil
cdef uint64_t source_crc(Source* s) noexcept nogil      # of all bytes taken so far
cdef char* source_work(Source* s, size_t n) noexcept nogil      # n bytes of room, or NULL: no memory; the one before is void
cdef char* source_spare(Source* s, size_t n) noexcept nogil     # the same, another

cdef inline const char* source_need(Source* s, size_t n) noexcept nogil:
    """The next n bytes, in one piece, without taking them; NULL: they are not there (s.error).  What was handed out
    before is void then."""
    if LIKELY(<size_t>(s.end - s.at) >= n):
        return s.at
    return source_need_slow(s, n)

cdef inline const char* source_take(Source* s, size_t n) noexcept nogil:
    """The next n bytes, taken."""
    cdef const char* p = source_need(s, n)
    if p != NULL:
        s.at = p + n
    return p

cdef inline uint64_t source_offset(Source* s) noexcept nogil:
    """Offset of the next byte in the input."""
    return s.passed - <uint64_t>(s.end - s.at)

cdef inline uint64_t source_left(Source* s) noexcept nogil:
    """Bytes that may still come: of an input of unknown size, very many."""
    if s.total == <uint64_t>-1:
        return s.total
    return s.total - source_offset(s) if s.total > source_offset(s) else 0

cdef inline bint source_at_end(Source* s) noexcept nogil:
    """Whether a memory source has been read to its end."""
    return s.at == s.end
