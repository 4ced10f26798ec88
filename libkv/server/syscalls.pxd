# The system calls of the loop.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int epoll_wait(int, epoll_event*, int, int)
    enum:
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
        EPOLLET
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLL_CLOEXEC

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

cdef extern from "<sys/socket.h>" nogil:
    struct sockaddr_storage:
        pass
    ctypedef uint32_t socklen_t
    int accept4(int, sockaddr*, socklen_t*, int)
    struct sockaddr:
        pass
    ssize_t recv(int, void*, size_t, int)
    int shutdown(int, int)
    enum:
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        MSG_DONTWAIT
        SHUT_WR

cdef extern from "<fcntl.h>" nogil:
    int c_open "open"(const char*, int, ...)
    enum:
        O_RDONLY
        O_CLOEXEC

cdef extern from "<unistd.h>" nogil:
    int close(int)
    ssize_t read(int, void*, size_t)

cdef extern from *:
    """
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    /* As in libc, without its cancellation points: they cost about 20 ns a call in a process with threads. */
    static inline ssize_t kv_send(int fd, const void *p, size_t n)
    { return syscall(SYS_sendto, fd, p, n, MSG_NOSIGNAL, NULL, 0); }
    static inline ssize_t kv_recv(int fd, void *p, size_t n)
    { return syscall(SYS_recvfrom, fd, p, n, 0, NULL, NULL); }
    """
    ssize_t kv_send(int, const void*, size_t) nogil
    ssize_t kv_recv(int, void*, size_t) nogil

cdef extern from "<time.h>" nogil:
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(int, timespec*)
    enum:
        CLOCK_MONOTONIC
