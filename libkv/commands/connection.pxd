# What the connection group shares with the server: a connection's state as CLIENT LIST tells it.

from libkv.engine.types cimport Session
from libkv.structures.buffer cimport Buffer

cdef struct Transport:          # session.transport points to it; the first field of the server's own connection state
    size_t in_flight            # bytes of replies that wait for room in the socket
    size_t capacity             # of the buffer they are in

cdef void client_line(Session* s, size_t argv_bytes, Buffer* out) noexcept nogil
    # one line of CLIENT LIST, without the line's end; lock held
