# The guardian: a small process that outlives the worker by a moment.  It waits for the worker's end on a pidfd, then
# deletes the addresses of the routers that were master and announces priority 0 for them.
#
# It is a fork of the worker that never returns to Python: only system calls, no allocation, no lock.  It is in a session
# of its own, so that a signal for the worker's process group does not hit it, and nobody's child, so that the
# application never has to reap it.


cdef void guardian_life(CHost* h, int worker, int control) noexcept nogil:
    """Never returns."""
    cdef pollfd[2] wait
    cdef sigset_t all_signals
    cdef uint8_t byte
    cdef int n, slot
    sigfillset(&all_signals)
    pthread_sigmask(SIG_BLOCK, &all_signals, NULL)
    setsid()
    prctl(PR_SET_NAME, b"vrrp-guardian", 0, 0, 0)
    keep_only(h, worker, control)
    h.request = netlink_open(0, &h.request_port)
    h.notices = NULL
    if h.request < 0:
        _exit(1)
    wait[0].fd, wait[0].events = control, <short>POLLIN
    wait[1].fd, wait[1].events = worker, <short>POLLIN
    while True:
        wait[0].revents = wait[1].revents = 0
        n = poll(wait, 2, -1)
        if n < 0:
            if errno == EINTR:
                continue
            _exit(1)
        if wait[0].revents and read(control, &byte, 1) == 1:
            _exit(0)                        # replaced, or no longer needed
        if wait[1].revents or wait[0].revents:
            break
    for slot in range(h.place_count):
        if h.places[slot].used and h.shared[slot].master:
            change_addresses(h, slot, ACT_DELETE)
    batch_send(h)
    for slot in range(h.place_count):
        if h.places[slot].used and h.shared[slot].master:
            send_advert_now(h, slot, 0)
    _exit(0)


cdef void keep_only(CHost* h, int worker, int control) noexcept nogil:
    """Closes every descriptor but the sending sockets, the pidfd and the pipe."""
    cdef int[1024] kept
    cdef int n = 3, i, k, low, swap
    kept[0], kept[1], kept[2] = worker, control, h.packet
    for i in range(h.interface_count):
        for k in range(SOCKET_COUNT):
            if h.interfaces[i].sockets[k] >= 0 and n < 1024:
                kept[n] = h.interfaces[i].sockets[k]
                n += 1
    for i in range(1, n):                   # insertion sort
        swap = kept[i]
        k = i
        while k > 0 and kept[k - 1] > swap:
            kept[k] = kept[k - 1]
            k -= 1
        kept[k] = swap
    low = 0
    for i in range(n):
        if kept[i] > low:
            syscall(SYS_close_range, <unsigned int>low, <unsigned int>(kept[i] - 1), 0)
        low = kept[i] + 1
    syscall(SYS_close_range, <unsigned int>low, <unsigned int>0xFFFFFFFF, 0)


cdef void guardian_dismiss(CHost* h) noexcept nogil:
    cdef uint8_t byte = 1
    if h.guardian_pipe >= 0:
        if h.owner == getpid():             # not in a fork of the application
            write(h.guardian_pipe, &byte, 1)
        close(h.guardian_pipe)
        h.guardian_pipe = -1
        h.guardian_pid = 0


cdef void guardian_spawn(CHost* h) noexcept nogil:
    """A guardian for the sockets and routers as they are now; the one before it goes."""
    cdef int[2] control
    cdef int[2] answer
    cdef int worker, child, status = 0, pid = 0
    h.guardian_stale = 0
    if not h.guardian_wanted:
        return
    worker = <int>syscall(SYS_pidfd_open, getpid(), 0)
    if worker < 0:
        return
    if pipe2(control, O_CLOEXEC) < 0:
        close(worker)
        return
    if pipe2(answer, O_CLOEXEC) < 0:
        close(worker)
        close(control[0])
        close(control[1])
        return
    child = fork()
    if child == 0:
        child = fork()
        if child == 0:
            close(control[1])
            guardian_life(h, worker, control[0])
        write(answer[1], &child, sizeof(int))
        _exit(0)
    close(worker)
    close(control[0])
    close(answer[1])
    if child > 0:
        read(answer[0], &pid, sizeof(int))
        waitpid(child, &status, 0)
    close(answer[0])
    if child < 0 or pid <= 0:
        close(control[1])
        return
    guardian_dismiss(h)
    h.guardian_pipe, h.guardian_pid = control[1], pid
