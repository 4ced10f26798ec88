"""Snapshots by fork(2) (contract: snapshot.pxd).

The fork is libc's, which makes malloc usable in the child (fork(3)); the writer needs it only for strings longer than its
work area.  Python's own fork handlers don't run, and need not: no Python runs in the child.
"""

from libc.errno cimport EINTR, ENOMEM, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memset, strncmp
from libc.stdlib cimport strtoll

from libkv.disk.files cimport files_install, files_join, files_write_all
from libkv.engine.clock cimport mono_ns
from libkv.persistence.commands_form cimport commands_save
from libkv.persistence.rdb cimport RdbSave, rdb_save
from libkv.persistence.rio cimport sink_close, sink_open

cdef extern from "<unistd.h>" nogil:
    int c_fork "fork"()
    int getpid()
    int getppid()
    void _exit(int)
    int c_close "close"(int)
    int dup2(int, int)
    ssize_t c_read "read"(int, void*, size_t)
    ssize_t c_write "write"(int, const void*, size_t)
    int pipe2(int*, int)
    int usleep(unsigned int)
    long syscall(long, ...)

cdef extern from "<sys/syscall.h>" nogil:
    """
    #ifndef SYS_close_range
    #define SYS_close_range 436
    #endif
    #ifndef SYS_pidfd_open
    #define SYS_pidfd_open 434
    #endif
    #ifndef SYS_pidfd_send_signal
    #define SYS_pidfd_send_signal 424
    #endif
    """
    enum:
        SYS_close_range
        SYS_pidfd_open
        SYS_pidfd_send_signal

cdef extern from "<fcntl.h>" nogil:
    int c_open "open"(const char*, int, ...)
    enum:
        O_RDONLY
        O_RDWR
        O_WRONLY
        O_CREAT
        O_TRUNC
        O_CLOEXEC
        O_NONBLOCK
        F_SETFL
    int fcntl(int, int, ...)

cdef extern from "<sys/wait.h>" nogil:
    int waitpid(int, int*, int)
    int WIFSIGNALED(int)
    int WTERMSIG(int)
    enum:
        WNOHANG

cdef extern from "<signal.h>" nogil:
    ctypedef void (*sighandler_t)(int) noexcept nogil
    sighandler_t signal(int, sighandler_t)
    sighandler_t SIG_DFL
    sighandler_t SIG_IGN
    int kill(int, int)
    ctypedef struct sigset_t:
        pass
    int sigemptyset(sigset_t*)
    int sigprocmask(int, const sigset_t*, sigset_t*)
    enum:
        SIG_SETMASK
        SIGKILL
        SIGINT
        SIGTERM
        SIGHUP
        SIGUSR1
        SIGCHLD
        SIGPIPE

cdef enum:
    REPORT_PROGRESS = 1
    REPORT_DONE = 2
    REPORT_FAILED = 3
    STEP = 4 << 20              # bytes after which an incremental fsync comes, as in Redis
    TELL_US = 1000000           # between two looks at what is copied
    CHILD_PIPE = 3

cdef struct Report:
    int64_t kind
    int64_t value               # REPORT_FAILED: errno
    uint64_t keys
    uint64_t copied


cdef inline int64_t now_us() noexcept nogil:
    return mono_ns() // 1000


# ---- the writer: the child, or the foreground

cdef int file_write(void* arg, const char* p, size_t n) noexcept nogil:
    """A sink_write_fn."""
    cdef SnapshotFile* f = <SnapshotFile*>arg
    cdef size_t done
    cdef int error = -files_write_all(f.files, f.fd, p, n, &done)
    f.loose += done
    if error == 0 and f.incremental and f.loose >= STEP:
        f.loose = 0
        error = -f.files.fsync(f.files.self, f.fd)
    return error


cdef uint64_t private_dirty() noexcept nogil:
    """Bytes of this process's memory that are its own by now: Private_Dirty of /proc/self/smaps_rollup."""
    cdef char text[4096]
    cdef int fd = c_open(b"/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)
    cdef ssize_t n
    cdef ssize_t i
    if fd < 0:
        return 0
    n = c_read(fd, text, sizeof(text) - 1)
    c_close(fd)
    if n <= 0:
        return 0
    text[n] = 0
    for i in range(n - 14):
        if text[i] == c"P" and strncmp(text + i, b"Private_Dirty:", 14) == 0:
            return <uint64_t>strtoll(text + i + 14, NULL, 10) * 1024
    return 0


cdef void tell(SnapshotFile* f, int64_t kind, int64_t value, uint64_t keys) noexcept nogil:
    cdef Report report
    report.kind = kind
    report.value = value
    report.keys = keys
    report.copied = private_dirty()
    # at most PIPE_BUF bytes: whole or not at all
    c_write(f.pipe, &report, sizeof(report))


cdef void child_progress(void* arg, uint64_t keys) noexcept nogil:
    cdef SnapshotFile* f = <SnapshotFile*>arg
    cdef int64_t now
    if f.key_delay > 0:
        usleep(<unsigned int>min(f.key_delay * 1024, <int64_t>1000000))
    if f.parent == 0:
        return
    now = now_us()
    if now - f.told_at < TELL_US:
        return
    f.told_at = now
    if getppid() != f.parent:           # the store's process is gone: nobody wants this file
        f.files.unlink(f.files.self, f.path)
        _exit(1)
    tell(f, REPORT_PROGRESS, 0, keys)


cdef int write_file(Kv* kv, SnapshotPlan* plan, SnapshotFile* f, Sink* sink, uint64_t* keys) noexcept nogil:
    """Opens f.path, writes all, forces it to disk; 0 or an errno."""
    cdef RdbSave options
    cdef int error
    cdef int failed
    f.fd = f.files.open(f.files.self, f.path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    if f.fd < 0:
        return -f.fd
    memset(&options, 0, sizeof(RdbSave))
    options.aof_base = plan.kind != SNAPSHOT_RDB
    options.stream_db = 0
    options.no_trailer_crc = not plan.checksum
    options.libraries = plan.libraries
    options.progress = child_progress
    options.progress_arg = f
    if plan.kind == SNAPSHOT_COMMANDS:
        error = commands_save(kv, sink, &options)
    else:
        error = rdb_save(kv, sink, &options)
    keys[0] = options.keys
    if error == 0:
        error = -f.files.fsync(f.files.self, f.fd)
    failed = -f.files.close(f.files.self, f.fd)
    return error if error else failed


cdef int fill(SnapshotFile* f, SnapshotPlan* plan, const char* path, int parent, int pipe) noexcept nogil:
    memset(f, 0, sizeof(SnapshotFile))
    f.files = plan.files
    f.fd = -1
    f.incremental = plan.incremental_fsync
    f.key_delay = plan.key_delay
    f.path = path
    f.parent = parent
    f.pipe = pipe
    f.told_at = now_us()
    return 0


cdef int name_of(SnapshotPlan* plan, int pid, char* path) noexcept nogil:
    cdef char name[256]
    snprintf(name, sizeof(name), plan.name, pid)
    return files_join(path, SNAPSHOT_PATH, plan.directory, name)


cdef int snapshot_write(Kv* kv, SnapshotPlan* plan, const char* path, uint64_t* keys) noexcept nogil:
    cdef char temp[SNAPSHOT_PATH]
    cdef SnapshotFile f
    cdef Sink sink
    cdef int error = -name_of(plan, getpid(), temp)
    if error:
        return error
    fill(&f, plan, temp, 0, -1)
    if sink_open(&sink, file_write, &f, plan.checksum, plan.compress) != 0:
        return ENOMEM
    error = write_file(kv, plan, &f, &sink, keys)
    sink_close(&sink)
    if error:
        plan.files.unlink(plan.files.self, temp)
        return error
    return -files_install(plan.files, temp, path, NULL)


# ---- the child

cdef void child_close_all(int pipe) noexcept nogil:
    """Descriptors but the pipe's, which becomes number 3: a peer of the application must not wait for this process."""
    cdef int null = c_open(b"/dev/null", O_RDWR)
    cdef int i
    if pipe != CHILD_PIPE:
        dup2(pipe, CHILD_PIPE)
    for i in range(3):
        dup2(null, i)
    if syscall(SYS_close_range, 4, <unsigned int>0xffffffff, 0) != 0:
        for i in range(4, 65536):
            c_close(i)


cdef void child_signals() noexcept nogil:
    """The application's handlers are Python's: they mean nothing here.  Ctrl-C is for the parent."""
    cdef sigset_t none
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_DFL)
    signal(SIGHUP, SIG_IGN)
    signal(SIGUSR1, SIG_DFL)
    signal(SIGCHLD, SIG_DFL)
    signal(SIGPIPE, SIG_IGN)
    sigemptyset(&none)
    sigprocmask(SIG_SETMASK, &none, NULL)


cdef void child_main(Kv* kv, Snapshot* s, SnapshotPlan* plan, int pipe) noexcept nogil:
    cdef uint64_t keys = 0
    cdef int error
    child_signals()
    child_close_all(pipe)
    error = -name_of(plan, getpid(), s.path)
    s.file.pipe = CHILD_PIPE
    s.file.path = s.path
    if error == 0:
        error = write_file(kv, plan, &s.file, &s.sink, &keys)
    if error or getppid() != s.file.parent:     # or nobody is left who would want it
        plan.files.unlink(plan.files.self, s.path)
    tell(&s.file, REPORT_FAILED if error else REPORT_DONE, error, keys)
    _exit(1 if error else 0)


cdef int snapshot_start(Kv* kv, Snapshot* s, SnapshotPlan* plan) noexcept nogil:
    cdef int ends[2]
    cdef int parent = getpid()
    cdef int64_t began
    cdef int pid, error, i
    snapshot_reap(s)
    if pipe2(ends, O_CLOEXEC) != 0:
        return errno
    fcntl(ends[0], F_SETFL, O_NONBLOCK)
    fill(&s.file, plan, NULL, parent, ends[1])
    if sink_open(&s.sink, file_write, &s.file, plan.checksum, plan.compress) != 0:
        c_close(ends[0])
        c_close(ends[1])
        return ENOMEM
    began = now_us()
    pid = c_fork()
    if pid == 0:
        child_main(kv, s, plan, ends[1])
    error = errno
    s.fork_us = now_us() - began
    c_close(ends[1])
    sink_close(&s.sink)
    if pid < 0:
        c_close(ends[0])
        return error
    s.kind = plan.kind
    s.pid = pid
    s.pidfd = <int>syscall(SYS_pidfd_open, pid, 0)
    s.pipe = ends[0]
    name_of(plan, pid, s.path)
    s.file.files = plan.files
    s.began = began
    s.keys = s.copied = s.copied_peak = 0
    s.copied_at = 0
    s.keys_total = 0
    for i in range(kv.n_dbs):
        s.keys_total += kv.dbs[i].keys.used
    s.error = s.signal = 0
    return 0


# ---- the parent

cdef void over(Snapshot* s) noexcept nogil:
    c_close(s.pipe)
    if s.pidfd >= 0:
        c_close(s.pidfd)
    s.pidfd = -1
    s.unreaped = s.pid
    s.pid = 0
    snapshot_reap(s)


cdef void snapshot_reap(Snapshot* s) noexcept nogil:
    """ECHILD: the application did it, or has its children reaped by the system."""
    cdef int status
    cdef int got
    if s.unreaped:
        got = waitpid(s.unreaped, &status, WNOHANG)
        if got != 0:
            if got > 0 and WIFSIGNALED(status):
                s.signal = WTERMSIG(status)
            s.unreaped = 0


cdef int snapshot_look(Snapshot* s) noexcept nogil:
    cdef Report report
    cdef ssize_t n
    cdef int status = 0
    if s.unreaped:
        snapshot_reap(s)
    if s.pid == 0:
        return SNAPSHOT_NONE
    while True:
        n = c_read(s.pipe, &report, sizeof(report))
        if n == sizeof(report):
            s.keys = report.keys
            s.copied = report.copied
            s.copied_peak = max(s.copied_peak, s.copied)
            s.copied_at = now_us()
            if report.kind == REPORT_DONE:
                over(s)
                return SNAPSHOT_DONE
            if report.kind == REPORT_FAILED:
                s.error = <int>report.value
                over(s)
                return SNAPSHOT_FAILED
        elif n == 0:                    # it ended without a word
            s.error = s.signal = 0
            if waitpid(s.pid, &status, 0) == s.pid and WIFSIGNALED(status):
                s.signal = WTERMSIG(status)
            s.file.files.unlink(s.file.files.self, s.path)
            s.pid = 0
            s.unreaped = 0
            c_close(s.pipe)
            if s.pidfd >= 0:
                c_close(s.pidfd)
            return SNAPSHOT_FAILED
        elif errno != EINTR:
            return SNAPSHOT_RUNNING


cdef void snapshot_end(Snapshot* s) noexcept nogil:
    cdef int status
    if s.pid == 0:
        return
    # by the pidfd: the number may belong to somebody else by now, when the application has reaped the child
    if s.pidfd < 0 or syscall(SYS_pidfd_send_signal, s.pidfd, <int>SIGKILL, NULL, 0) != 0:
        if s.pidfd < 0:
            kill(s.pid, SIGKILL)
    waitpid(s.pid, &status, 0)
    s.file.files.unlink(s.file.files.self, s.path)
    c_close(s.pipe)
    if s.pidfd >= 0:
        c_close(s.pidfd)
    s.pidfd = -1
    s.pid = s.unreaped = 0
