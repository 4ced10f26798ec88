# Connections as CLIENT tells of them: shared with the server, and with the commands that log or name a client.

from libkv.engine.types cimport Arg, Reply, Session
from libkv.structures.buffer cimport Buffer

cdef struct Transport:          # session.transport points to it; the first field of the server's own connection state
    size_t in_flight            # bytes of replies that wait for room in the socket
    size_t capacity             # of the buffer they are in

cdef void client_line(Session* s, size_t argv_bytes, Buffer* out) noexcept nogil
    # one line of CLIENT LIST, without the line's end; lock held
cdef size_t client_argv_size(Arg* argv, int argc) noexcept nogil    # what argv-mem says of a command's arguments

cdef bint client_set_name(Session* s, Arg* name, Reply* r) noexcept nogil
    # names the connection; an empty name takes it away.  False: the error is replied
