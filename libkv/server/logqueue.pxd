# Log lines from threads without the GIL to Python's logging: a bounded queue of text.
#
#   ring of LOG_RING bytes:  | n (2) | level (1) | wall clock ms (8) | n bytes of text | ...
#
# A writer never waits for the reader: when the ring is full the line is counted as lost, and the reader says how many.
# The mutex is held for a copy of one line.

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    LOG_RING = 65536
    LOG_LINE = 2048             # longest line; the rest is cut off

cdef struct LogQueue:
    void* mutex
    int fd                      # an eventfd: readable when there are lines
    int level                   # LOG_... (settings.pxd), atomic: lines below it are not taken
    char* ring
    size_t head                 # next byte to read
    size_t used
    uint64_t lost

cdef int logqueue_open(LogQueue* q) noexcept nogil              # 0 or an errno
cdef void logqueue_close(LogQueue* q) noexcept nogil
cdef void logqueue_add(LogQueue* q, int level, const char* p, size_t n) noexcept nogil
cdef size_t logqueue_take(LogQueue* q, char* text, int* level, int64_t* when_ms, uint64_t* lost) noexcept nogil
    # the oldest line into text (LOG_LINE bytes): its length, 0 = none

cdef inline bint logqueue_wants(LogQueue* q, int level) noexcept nogil:
    """Whether a line of this level is worth formatting."""
    return level >= q.level
