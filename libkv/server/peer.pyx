"""The socket of a connection that has just come in (contract: peer.pxd)."""

from libc.stdio cimport snprintf
from libc.string cimport memset, strcmp, strlen

cdef extern from "<sys/socket.h>" nogil:
    struct sockaddr:
        unsigned short sa_family
    ctypedef unsigned int socklen_t
    int getsockname(int, sockaddr*, socklen_t*)
    int setsockopt(int, int, int, const void*, socklen_t)
    ssize_t send(int, const void*, size_t, int)
    enum:
        AF_INET
        AF_INET6
        SOL_SOCKET
        SO_KEEPALIVE
        MSG_NOSIGNAL
        MSG_DONTWAIT

cdef extern from "<netinet/in.h>" nogil:
    struct sockaddr_in:
        unsigned short sin_port
        int sin_addr
    struct sockaddr_in6:
        unsigned short sin6_port
        int sin6_addr
    struct sockaddr_storage:
        unsigned short ss_family
    unsigned short ntohs(unsigned short)
    enum:
        IPPROTO_TCP

cdef extern from "<netinet/tcp.h>" nogil:
    enum:
        TCP_NODELAY
        TCP_KEEPIDLE
        TCP_KEEPINTVL
        TCP_KEEPCNT

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int, const void*, char*, socklen_t)


cdef bint peer_print_address(const void* address, char* out, size_t room) noexcept nogil:
    cdef const sockaddr_storage* a = <const sockaddr_storage*>address
    cdef char ip[64]
    if a.ss_family == AF_INET6:
        inet_ntop(AF_INET6, &(<const sockaddr_in6*>a).sin6_addr, ip, sizeof(ip))
        snprintf(out, room, b"[%s]:%d", ip, <int>ntohs((<const sockaddr_in6*>a).sin6_port))
        return strcmp(ip, b"::1") == 0
    inet_ntop(AF_INET, &(<const sockaddr_in*>a).sin_addr, ip, sizeof(ip))
    snprintf(out, room, b"%s:%d", ip, <int>ntohs((<const sockaddr_in*>a).sin_port))
    return ip[0] == c"1" and ip[1] == c"2" and ip[2] == c"7" and ip[3] == c"."


cdef void peer_print_own(int fd, char* out, size_t room) noexcept nogil:
    cdef sockaddr_storage local
    cdef socklen_t n = sizeof(local)
    memset(&local, 0, sizeof(local))
    getsockname(fd, <sockaddr*>&local, &n)
    peer_print_address(&local, out, room)


cdef void peer_set_options(int fd, int keepalive) noexcept nogil:
    cdef int one = 1
    cdef int gap = keepalive // 3 if keepalive >= 3 else 1
    cdef int count = 3
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
    if keepalive > 0:
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one))
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive, sizeof(keepalive))
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &gap, sizeof(gap))
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count))


cdef void peer_say(int fd, const char* text) noexcept nogil:
    send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT)
