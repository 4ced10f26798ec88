# The loop's epoll backend (interface and rules: loop.pxd).

from libc.stdint cimport int64_t

from libkv.server.loop cimport Conn, Loop

cdef int epoll_open(Loop* l) noexcept nogil
    # makes the backend of a loop whose `on` is filled; 0, or an errno and nothing is left open
cdef void epoll_close_all(Loop* l) noexcept nogil
    # closes every connection; on_closed is called for each
cdef void epoll_shut(Loop* l) noexcept nogil
    # that, and the end of the backend and all its descriptors, not the listeners'; no loop_wake may come any more
cdef void epoll_forget(Loop* l) noexcept nogil
    # in a forked child: closes the child's copies of all descriptors, and touches nothing else
cdef int epoll_listen(Loop* l, int fd, int tag) noexcept nogil
    # accepts from a listening socket; 0 or an errno.  Before the first epoll_run_once or in the loop's thread.
cdef void epoll_listen_stop(Loop* l) noexcept nogil
cdef int epoll_watch_fd(Loop* l, int fd) noexcept nogil
    # on_fd when it is readable (level-triggered); 0 or an errno
cdef void epoll_unwatch_fd(Loop* l, int fd) noexcept nogil
cdef void epoll_run_once(Loop* l, int64_t timeout_us, int64_t spin_us) noexcept nogil
    # one iteration.  timeout_us: longest wait, negative = until something happens; timers shorten it.
cdef void epoll_accept_now(Loop* l, int i) noexcept nogil
    # takes the connections that wait at listener i, outside the loop's own iteration (server/busy)
