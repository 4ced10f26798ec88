# Listening sockets, as redis.conf's bind, port and unixsocket describe them.

cdef enum:
    LISTEN_MAX = 32             # sockets of a server
    LISTEN_TCP = 0              # tags, for the loop
    LISTEN_UNIX = 1
    LISTEN_ERROR = 512          # bytes of an error's text

cdef int listen_tcp(const char* bind, int* port, int backlog, int* fds, int room, char* error) noexcept nogil
    # bind: addresses separated by blanks: IPv4, IPv6, host names, "*" and "::*" for all; "-" in front: may be missing.
    # *port 0: an ephemeral one, the same for all, told in *port.  The number of sockets in fds, or -1 with a text in error.
cdef int listen_unix(const char* path, int mode, int backlog, char* error) noexcept nogil
    # a socket file is made anew; mode 0 leaves the umask's.  The socket, or -1
