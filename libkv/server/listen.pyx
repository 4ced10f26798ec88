"""Listening sockets (contract: listen.pxd).  In C, because CONFIG SET port and bind open them without the GIL."""

from libc.errno cimport EADDRNOTAVAIL, EAFNOSUPPORT, EPFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT, errno
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset, strcmp, strerror, strlen

cdef extern from "<sys/socket.h>" nogil:
    struct sockaddr:
        pass
    ctypedef unsigned int socklen_t
    int socket(int, int, int)
    int bind(int, sockaddr*, socklen_t)
    int listen(int, int)
    int getsockname(int, sockaddr*, socklen_t*)
    int setsockopt(int, int, int, const void*, socklen_t)
    enum:
        AF_INET
        AF_INET6
        AF_UNIX
        AF_UNSPEC
        SOCK_STREAM
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        SOL_SOCKET
        SO_REUSEADDR

cdef extern from "<netinet/in.h>" nogil:
    struct sockaddr_in:
        unsigned short sin_port
    struct sockaddr_in6:
        unsigned short sin6_port
    struct sockaddr_storage:
        unsigned short ss_family
    unsigned short ntohs(unsigned short)
    unsigned short htons(unsigned short)
    enum:
        IPPROTO_IPV6
        IPV6_V6ONLY

cdef extern from "<sys/un.h>" nogil:
    struct sockaddr_un:
        unsigned short sun_family
        char sun_path[108]

cdef extern from "<netdb.h>" nogil:
    struct addrinfo:
        int ai_flags
        int ai_family
        int ai_socktype
        socklen_t ai_addrlen
        sockaddr* ai_addr
        addrinfo* ai_next
    int getaddrinfo(const char*, const char*, addrinfo*, addrinfo**)
    void freeaddrinfo(addrinfo*)
    const char* gai_strerror(int)
    enum:
        AI_PASSIVE

cdef extern from "<unistd.h>" nogil:
    int close(int)
    int unlink(const char*)

cdef extern from "<sys/stat.h>" nogil:
    int chmod(const char*, unsigned int)
    struct c_stat "stat":
        unsigned int st_mode
    int lstat(const char*, c_stat*)
    bint S_ISSOCK(unsigned int)


cdef int listen_port(int fd) noexcept nogil:
    cdef sockaddr_storage a
    cdef socklen_t n = sizeof(a)
    if getsockname(fd, <sockaddr*>&a, &n) != 0:
        return 0
    if a.ss_family == AF_INET6:
        return ntohs((<sockaddr_in6*>&a).sin6_port)
    return ntohs((<sockaddr_in*>&a).sin_port)


cdef int listen_address(addrinfo* a, int port, int backlog, const char** step) noexcept nogil:
    """One socket, or minus an errno with the call that failed in *step."""
    cdef int one = 1
    cdef int error
    cdef int fd = socket(a.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    step[0] = b"socket"
    if fd < 0:
        return -errno
    if a.ai_family == AF_INET6:
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))
        (<sockaddr_in6*>a.ai_addr).sin6_port = htons(<unsigned short>port)
    else:
        (<sockaddr_in*>a.ai_addr).sin_port = htons(<unsigned short>port)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))
    step[0] = b"bind"
    if bind(fd, a.ai_addr, a.ai_addrlen) == 0:
        step[0] = b"listen"
        if listen(fd, backlog) == 0:
            return fd
    error = errno
    close(fd)
    return -error


cdef int listen_host(const char* host, int port, int backlog, char* error) noexcept nogil:
    """The first address of a name that can be listened at; minus an errno, and the text in error."""
    cdef addrinfo hints
    cdef addrinfo* found = NULL
    cdef addrinfo* a
    cdef const char* name = host
    cdef const char* step = b"bind"
    cdef int fd = -EADDRNOTAVAIL
    cdef int status
    memset(&hints, 0, sizeof(hints))
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = SOCK_STREAM
    hints.ai_flags = AI_PASSIVE
    if strcmp(host, b"*") == 0:
        name = NULL
        hints.ai_family = AF_INET
    elif strcmp(host, b"::*") == 0:
        name = NULL
        hints.ai_family = AF_INET6
    status = getaddrinfo(name, b"1", &hints, &found)
    if status != 0:
        snprintf(error, LISTEN_ERROR, b"%.200s:%d: %s", host, port, gai_strerror(status))
        return -EADDRNOTAVAIL
    a = found
    while a != NULL and fd < 0:
        fd = listen_address(a, port, backlog, &step)
        a = a.ai_next
    if fd < 0:
        snprintf(error, LISTEN_ERROR, b"%.200s:%d: %s: %s", host, port, step, strerror(-fd))
    freeaddrinfo(found)
    return fd


cdef int listen_tcp(const char* bind, int* port, int backlog, int* fds, int room, char* error) noexcept nogil:
    cdef char host[256]
    cdef const char* p = bind
    cdef size_t n
    cdef bint optional
    cdef int count = 0
    cdef int fd
    while True:
        while p[0] == 32 or p[0] == 9:
            p += 1
        if p[0] == 0:
            return count
        n = 0
        while p[n] != 0 and p[n] != 32 and p[n] != 9:
            n += 1
        optional = p[0] == c"-"
        if optional:
            p += 1
            n -= 1
        if n >= sizeof(host) or count == room:
            snprintf(error, LISTEN_ERROR, b"too many addresses, or too long a name: %.100s", p)
            break
        memcpy(host, p, n)
        host[n] = 0
        p += n
        fd = listen_host(host, port[0], backlog, error)
        if fd >= 0:
            fds[count] = fd
            count += 1
            if port[0] == 0:
                port[0] = listen_port(fd)
        elif not ((optional and fd == -EADDRNOTAVAIL) or fd == -EAFNOSUPPORT or fd == -EPFNOSUPPORT
                  or fd == -EPROTONOSUPPORT or fd == -ESOCKTNOSUPPORT):
            break
    while count:
        count -= 1
        close(fds[count])
    return -1


cdef int listen_unix(const char* path, int mode, int backlog, char* error) noexcept nogil:
    cdef sockaddr_un a
    cdef c_stat st
    cdef size_t n = strlen(path)
    cdef const char* step = b"bind"
    cdef int fd
    memset(&a, 0, sizeof(a))
    if n == 0 or n >= sizeof(a.sun_path):
        snprintf(error, LISTEN_ERROR, b"%.200s: the path of a unix socket has at most %d bytes", path,
                 <int>sizeof(a.sun_path) - 1)
        return -1
    a.sun_family = AF_UNIX
    memcpy(a.sun_path, path, n)
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        snprintf(error, LISTEN_ERROR, b"%s: socket: %s", path, strerror(errno))
        return -1
    if lstat(path, &st) == 0 and S_ISSOCK(st.st_mode):
        unlink(path)
    if bind(fd, <sockaddr*>&a, sizeof(a)) == 0:
        step = b"chmod"
        if mode == 0 or chmod(path, mode) == 0:
            step = b"listen"
            if listen(fd, backlog) == 0:
                return fd
    snprintf(error, LISTEN_ERROR, b"%s: %s: %s", path, step, strerror(errno))
    close(fd)
    return -1
