"""One direction of a connection of the proxy plane: bytes from a socket through a pipe into another socket.

Small messages are cheaper copied than spliced: a direction reads into a buffer and writes at once, until a read fills
the buffer; then it splices, until a splice brings little.  What the target doesn't take of a copy goes into the pipe.

Source: splice(2), epoll(7) ("a short read has emptied the socket"; the end of input comes as an event of its own).
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #include <sys/socket.h>
    #include <unistd.h>
    """
    enum:
        MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR, SPLICE_F_MOVE, SPLICE_F_NONBLOCK
    int c_shutdown "shutdown"(int fd, int how) nogil
    ssize_t c_recv "recv"(int fd, void *data, size_t size, int flags) nogil
    ssize_t c_send "send"(int fd, const void *data, size_t size, int flags) nogil
    ssize_t c_write "write"(int fd, const void *data, size_t size) nogil
    ssize_t splice(int source, void *offset, int target, void *offset2, size_t size, unsigned int flags) nogil

cdef enum:
    CHUNK = 65536     # a pipe's capacity
    SMALL = 8192      # bytes that are rather copied than spliced; less than a pipe's capacity


cdef struct Way:                # one direction
    int source, target          # sockets
    int pipe[2]                 # read end, write end
    size_t held                 # bytes in the pipe
    bint ready                  # input may be there: an event has said so
    bint hung                   # an event has announced the end of input, or an error: read until it comes
    bint large                  # much was read last time: splice
    bint ended, passed_on       # end of input seen; half-close done
    uint64_t *counter


cdef inline int copy(Way *way) noexcept nogil:
    """Read a little and write it at once; the pipe is empty and takes what is left.  As pump() returns."""
    cdef char data[SMALL]
    cdef ssize_t count = c_recv(way.source, data, SMALL, MSG_DONTWAIT)
    cdef ssize_t sent
    if count == 0:
        way.ended = True
        return 0
    if count < 0:
        if errno == EINTR:
            return 1
        way.ready = False
        return 0 if errno == EAGAIN else -1
    way.counter[0] += count
    way.large = count == SMALL
    if not way.large and not way.hung:
        way.ready = False  # a short read has taken all there was; what comes now is a new event
    sent = c_send(way.target, data, count, MSG_DONTWAIT | MSG_NOSIGNAL)
    if sent < 0:
        if errno != EAGAIN and errno != EINTR:
            return -1
        sent = 0
    if sent < count:
        way.held = count - sent
        if c_write(way.pipe[1], data + sent, way.held) != <ssize_t> way.held:
            return -1
    return 1


cdef inline int fill(Way *way) noexcept nogil:
    """Splice input into the pipe.  As pump() returns."""
    cdef ssize_t count = splice(way.source, NULL, way.pipe[1], NULL, CHUNK - way.held,
                                SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
    if count > 0:
        way.held += count
        way.counter[0] += count
        way.large = count >= SMALL
        return 1
    if count == 0:
        way.ended = True
        return 0
    if errno == EAGAIN:
        if way.held == 0:  # else it may be the pipe that is full: of pages, not of bytes
            way.ready = False
        return 0
    return 1 if errno == EINTR else -1


cdef inline int pump(Way *way, bint last) noexcept nogil:
    """Move what can be moved.  1 if something moved, 0 if not, -1 if the connection is broken.

    last: the other direction is over, so that the sockets are closed when this one is.
    """
    cdef ssize_t count
    cdef int moved = 0
    if way.ready and not way.ended and way.held < CHUNK:
        moved = fill(way) if way.large or way.held else copy(way)
        if moved < 0:
            return -1
    if way.held:
        count = splice(way.pipe[0], NULL, way.target, NULL, way.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
        if count > 0:
            way.held -= count
            moved = 1
        elif count < 0 and errno != EAGAIN and errno != EINTR:
            return -1
    if way.ended and way.held == 0 and not way.passed_on:
        if not last:
            c_shutdown(way.target, SHUT_WR)
        way.passed_on = True
        moved = 1
    return moved
