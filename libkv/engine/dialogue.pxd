# A blocking dialogue with another server: MIGRATE's connection.  Every step waits at most `timeout` ms, as Redis does it:
# the store stands still meanwhile.

from libc.stdint cimport int64_t

cdef enum:
    DIALOGUE_ROOM = 4096

cdef struct Dialogue:
    int fd                      # -1: not connected
    int64_t timeout             # ms of one step
    bint timed_out              # the last failure was a timeout
    char room[DIALOGUE_ROOM]    # bytes that came and were not asked for yet
    size_t at
    size_t end

cdef int dialogue_open(Dialogue* d, const char* host, const char* port, int64_t timeout) noexcept nogil    # 0 or -1; port: digits
cdef void dialogue_close(Dialogue* d) noexcept nogil
cdef int dialogue_write(Dialogue* d, const char* p, size_t n) noexcept nogil       # all of it; 0 or -1
cdef int dialogue_line(Dialogue* d, char* out, size_t room) noexcept nogil
    # reads to the line's end; what does not fit is dropped; out ends with a NUL, without CR LF.  0 or -1
