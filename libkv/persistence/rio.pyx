"""Sinks and sources of RDB bytes (contract: rio.pxd)."""

from libc.errno cimport EFBIG, EINTR, EIO, ENOMEM, errno
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memmove, memset
from posix.unistd cimport read, write

from libkv.persistence.crc64 cimport crc64

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void*, size_t, int, int, int, long)
    int munmap(void*, size_t)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS
    void* MAP_FAILED

cdef enum:
    MEMORY_FIRST = 256          # first size of a memory sink


# ---- sinks

cdef int sink_open(Sink* s, sink_write_fn write_fn, void* arg, bint checksum, bint compress) noexcept nogil:
    memset(s, 0, sizeof(Sink))
    s.write = write_fn
    s.arg = arg
    s.checksum = checksum
    s.compress = compress
    s.cap = RIO_BUFFER
    s.buf = <char*>malloc(RIO_BUFFER)
    if sink_work(s, RIO_WORK) != NULL and compress:
        s.lzf = <Lzf*>calloc(1, sizeof(Lzf))
    if s.buf == NULL or s.work == NULL or (compress and s.lzf == NULL):
        sink_close(s)
        return -1
    return 0


cdef int sink_open_memory(Sink* s, bint checksum, bint compress) noexcept nogil:
    memset(s, 0, sizeof(Sink))
    s.checksum = checksum
    s.compress = compress
    s.buf = <char*>malloc(MEMORY_FIRST)
    s.cap = MEMORY_FIRST
    return 0 if s.buf != NULL else -1


cdef void sink_close(Sink* s) noexcept nogil:
    free(s.buf)
    free(s.lzf)
    if s.work != NULL:
        munmap(s.work, s.work_room)
    s.buf = NULL
    s.lzf = NULL
    s.work = NULL
    s.n = s.cap = s.work_room = 0


cdef char* sink_work(Sink* s, size_t n) noexcept nogil:
    cdef size_t room = (n + 4095) & ~<size_t>4095
    cdef void* p
    if n <= s.work_room and s.work != NULL:
        return s.work
    if n > <size_t>1 << 48:
        s.error = EFBIG
        return NULL
    if room < s.work_room * 2:
        room = s.work_room * 2
    p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if p == MAP_FAILED:
        if s.error == 0:
            s.error = ENOMEM
        return NULL
    if s.work != NULL:
        munmap(s.work, s.work_room)
    s.work = <char*>p
    s.work_room = room
    return s.work


cdef void sink_hand(Sink* s, const char* p, size_t n) noexcept nogil:
    """Bytes to the write function."""
    if s.error or n == 0:
        return
    if s.checksum:
        s.crc = crc64(s.crc, p, n)
    s.error = s.write(s.arg, p, n)
    s.written += n


cdef int sink_flush(Sink* s) noexcept nogil:
    if s.write != NULL:
        sink_hand(s, s.buf, s.n)
        s.n = 0
    return s.error


cdef uint64_t sink_crc(Sink* s) noexcept nogil:
    if s.write != NULL:
        sink_flush(s)
    elif s.checksum:
        s.crc = crc64(s.crc, s.buf + s.summed, s.n - s.summed)
        s.summed = s.n
    return s.crc


cdef void sink_put_slow(Sink* s, const char* p, size_t n) noexcept nogil:
    cdef size_t room
    cdef char* grown
    if s.error:
        return
    if s.write != NULL:
        sink_flush(s)
        if n >= s.cap:
            sink_hand(s, p, n)
            return
    elif s.cap - s.n < n:
        room = s.cap * 2 if s.cap * 2 > s.n + n else s.n + n
        grown = <char*>realloc(s.buf, room) if s.n + n > n else NULL
        if grown == NULL:
            s.error = ENOMEM
            return
        s.buf = grown
        s.cap = room
    if s.error == 0:
        memcpy(s.buf + s.n, p, n)
        s.n += n


cdef int sink_fd_write(void* arg, const char* p, size_t n) noexcept nogil:
    cdef ssize_t k
    while n:
        k = write(<int><size_t>arg, p, n)
        if k < 0:
            if errno == EINTR:
                continue
            return errno
        if k == 0:
            return EIO
        p += k
        n -= k
    return 0


# ---- sources

cdef void source_open_memory(Source* s, const char* p, size_t n, bint checksum) noexcept nogil:
    memset(s, 0, sizeof(Source))
    s.at = s.summed = p
    s.end = p + n
    s.passed = s.total = n
    s.checksum = checksum


cdef int source_open(Source* s, source_read_fn read_fn, void* arg, uint64_t total, bint checksum) noexcept nogil:
    memset(s, 0, sizeof(Source))
    s.read = read_fn
    s.arg = arg
    s.total = total
    s.checksum = checksum
    s.buf = <char*>malloc(RIO_BUFFER)
    if s.buf == NULL:
        return -1
    s.cap = RIO_BUFFER
    s.at = s.end = s.summed = s.buf
    return 0


cdef void source_close(Source* s) noexcept nogil:
    free(s.buf)
    free(s.work)
    free(s.spare)
    free(s.seen)
    s.buf = s.work = s.spare = NULL
    s.seen = NULL
    s.at = s.end = s.summed = NULL
    s.cap = s.work_room = s.spare_room = s.seen_room = 0


cdef uint64_t source_crc(Source* s) noexcept nogil:
    if s.checksum and s.at > s.summed:
        s.crc = crc64(s.crc, s.summed, s.at - s.summed)
    s.summed = s.at
    return s.crc


cdef const char* source_need_slow(Source* s, size_t n) noexcept nogil:
    """Reads on until n bytes are there.  The buffer doubles as bytes really come, so a length that lies costs nothing."""
    cdef size_t have = s.end - s.at
    cdef size_t room
    cdef ssize_t k
    cdef char* grown
    if s.error:
        return NULL
    if s.read == NULL or n > source_left(s):
        s.error = SOURCE_CUT
        return NULL
    source_crc(s)
    if s.at != s.buf:
        memmove(s.buf, s.at, have)
    s.at = s.summed = s.buf
    s.end = s.buf + have
    while have < n:
        if have == s.cap:
            room = s.cap * 2
            grown = <char*>realloc(s.buf, room)
            if grown == NULL:
                s.error = ENOMEM
                return NULL
            s.buf = grown
            s.cap = room
        k = s.read(s.arg, s.buf + have, s.cap - have)
        if k <= 0:
            s.error = SOURCE_CUT if k == 0 else <int>-k
        else:
            have += k
            s.passed += k
        s.at = s.summed = s.buf
        s.end = s.buf + have
        if k <= 0:
            return NULL
    return s.at


cdef char* source_room(char** p, size_t* room, size_t n) noexcept nogil:
    cdef char* grown
    cdef size_t more
    if n <= room[0]:
        return p[0]
    more = room[0] * 2 if room[0] * 2 > n else n
    if more < RIO_WORK:
        more = RIO_WORK
    grown = <char*>malloc(more)
    if grown == NULL:
        return NULL
    free(p[0])
    p[0] = grown
    room[0] = more
    return grown


cdef char* source_work(Source* s, size_t n) noexcept nogil:
    return source_room(&s.work, &s.work_room, n if n else 1)


cdef char* source_spare(Source* s, size_t n) noexcept nogil:
    return source_room(&s.spare, &s.spare_room, n if n else 1)


cdef ssize_t source_fd_read(void* arg, char* p, size_t n) noexcept nogil:
    cdef ssize_t k
    while True:
        k = read(<int><size_t>arg, p, n)
        if k >= 0:
            return k
        if errno != EINTR:
            return -errno
