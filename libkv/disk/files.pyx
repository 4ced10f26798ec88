"""Files behind one small interface (contract: files.pxd): the real one."""

from libc.errno cimport EEXIST, EINTR, EINVAL, EIO, ENAMETOOLONG, ENOMEM, errno
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, strcmp, strrchr

from libkv.structures.buffer cimport buffer_room

cdef extern from "<fcntl.h>" nogil:
    int c_open "open"(const char*, int, ...)
    enum:
        O_RDONLY
        O_WRONLY
        O_CREAT
        O_TRUNC
        O_CLOEXEC
        O_DIRECTORY

cdef extern from "<unistd.h>" nogil:
    ssize_t c_read "read"(int, void*, size_t)
    ssize_t c_write "write"(int, const void*, size_t)
    int c_close "close"(int)
    int c_unlink "unlink"(const char*)
    int ftruncate(int, int64_t)
    int c_fsync "fsync"(int)
    int fdatasync(int)

cdef extern from "<stdio.h>" nogil:
    int c_rename "rename"(const char*, const char*)

cdef extern from "<sys/stat.h>" nogil:
    struct stat_t "stat":
        int64_t st_size
        unsigned int st_mode
    int c_fchmod "fchmod"(int, unsigned int)
    int c_stat "stat"(const char*, stat_t*)
    int c_mkdir "mkdir"(const char*, unsigned int)

cdef extern from "<dirent.h>" nogil:
    ctypedef struct DIR:
        pass
    struct dirent:
        char d_name[256]
    DIR* opendir(const char*)
    dirent* readdir(DIR*)
    int closedir(DIR*)

cdef enum:
    FOLDER_ROOM = 4096
    LOAD_STEP = 65536


# ---- the real one

cdef int real_open(void* self, const char* path, int flags, int mode) noexcept nogil:
    cdef int fd
    while True:
        fd = c_open(path, flags | O_CLOEXEC, mode)
        if fd >= 0:
            return fd
        if errno != EINTR:
            return -errno


cdef int64_t real_read(void* self, int fd, char* p, size_t n) noexcept nogil:
    cdef ssize_t got
    while True:
        got = c_read(fd, p, n)
        if got >= 0:
            return got
        if errno != EINTR:
            return -errno


cdef int64_t real_write(void* self, int fd, const char* p, size_t n) noexcept nogil:
    cdef ssize_t put
    while True:
        put = c_write(fd, p, n)
        if put >= 0:
            return put
        if errno != EINTR:
            return -errno


cdef int real_fsync(void* self, int fd) noexcept nogil:
    """fdatasync: the size goes along when it changed, and the times need not.  An interrupted one has promised nothing,
    and says nothing of pages that failed either: it is called again."""
    while True:
        if fdatasync(fd) == 0:
            return 0
        if errno != EINTR:
            return -errno


cdef int real_truncate(void* self, int fd, int64_t size) noexcept nogil:
    return 0 if ftruncate(fd, size) == 0 else -errno


cdef int real_close(void* self, int fd) noexcept nogil:
    return 0 if c_close(fd) == 0 else -errno


cdef int real_rename(void* self, const char* old, const char* new) noexcept nogil:
    return 0 if c_rename(old, new) == 0 else -errno


cdef int real_unlink(void* self, const char* path) noexcept nogil:
    return 0 if c_unlink(path) == 0 else -errno


cdef int real_mkdir(void* self, const char* path) noexcept nogil:
    return 0 if c_mkdir(path, 0o755) == 0 or errno == EEXIST else -errno


cdef int real_sync_directory(void* self, const char* path) noexcept nogil:
    cdef int fd = real_open(self, path, O_RDONLY | O_DIRECTORY, 0)
    cdef int failed = 0
    if fd < 0:
        return fd
    if c_fsync(fd) != 0 and errno != EINVAL:        # EINVAL: a file system that can't do it to directories
        failed = -errno
    c_close(fd)
    return failed


cdef Files REAL
REAL.self = NULL
REAL.open = real_open
REAL.read = real_read
REAL.write = real_write
REAL.fsync = real_fsync
REAL.truncate = real_truncate
REAL.close = real_close
REAL.rename = real_rename
REAL.unlink = real_unlink
REAL.mkdir = real_mkdir
REAL.sync_directory = real_sync_directory


cdef Files* files_real() noexcept nogil:
    return &REAL


cdef Files* chosen = &REAL


cdef Files* files_default() noexcept nogil:
    return chosen


cdef void files_replace(Files* f) noexcept nogil:
    global chosen
    chosen = f if f != NULL else &REAL


# ---- on top of any

cdef int files_write_all(Files* f, int fd, const char* p, size_t n, size_t* written) noexcept nogil:
    """written: also on failure, as far as it came."""
    cdef int64_t put
    written[0] = 0
    while written[0] < n:
        put = f.write(f.self, fd, p + written[0], n - written[0])
        if put <= 0:
            return <int>put if put < 0 else -EIO
        written[0] += <size_t>put
    return 0


cdef int64_t files_read_all(Files* f, const char* path, char* p, size_t room) noexcept nogil:
    cdef int fd = f.open(f.self, path, O_RDONLY, 0)
    cdef size_t n = 0
    cdef int64_t got = 0
    if fd < 0:
        return fd
    while n < room:
        got = f.read(f.self, fd, p + n, room - n)
        if got <= 0:
            break
        n += <size_t>got
    f.close(f.self, fd)
    return got if got < 0 else <int64_t>n


cdef int files_load(Files* f, const char* path, Buffer* out) noexcept nogil:
    cdef int fd = f.open(f.self, path, O_RDONLY, 0)
    cdef char* room
    cdef int64_t got
    if fd < 0:
        return fd
    while True:
        room = buffer_room(out, LOAD_STEP)
        got = f.read(f.self, fd, room, LOAD_STEP) if room != NULL else -ENOMEM
        if got <= 0:
            break
        out.n += <size_t>got
    f.close(f.self, fd)
    return <int>got


cdef int files_install(Files* f, const char* temp, const char* path, bint* named) noexcept nogil:
    cdef char folder[FOLDER_ROOM]
    cdef const char* here = b"."
    cdef const char* end = strrchr(path, c"/")
    cdef size_t n = 1 if end == NULL or end == path else <size_t>(end - path)
    cdef int error = -ENAMETOOLONG if n >= FOLDER_ROOM else 0
    if named != NULL:
        named[0] = False
    if error == 0:
        memcpy(folder, path if end != NULL else here, n)
        folder[n] = 0
        error = f.rename(f.self, temp, path)
    if error:
        f.unlink(f.self, temp)
        return error
    if named != NULL:
        named[0] = True
    return f.sync_directory(f.self, folder)


cdef int files_exchange(Files* f, const char* path, const char* temp, const char* p, size_t n, bint* named) noexcept nogil:
    cdef stat_t old
    cdef bint there = c_stat(path, &old) == 0
    cdef size_t written
    cdef int error
    # nobody else reads a secret meanwhile
    cdef int fd = f.open(f.self, temp, O_WRONLY | O_CREAT | O_TRUNC, 0o600 if there else 0o644)
    if named != NULL:
        named[0] = False
    if fd < 0:
        return fd
    error = files_write_all(f, fd, p, n, &written)
    if error == 0 and there and c_fchmod(fd, old.st_mode & 0o7777) != 0:
        error = -errno
    if error == 0:
        error = f.fsync(f.self, fd)
    f.close(f.self, fd)
    if error:
        f.unlink(f.self, temp)
        return error
    return files_install(f, temp, path, named)


cdef int64_t files_size(const char* path) noexcept nogil:
    cdef stat_t s
    return s.st_size if c_stat(path, &s) == 0 else -errno


cdef int files_list(const char* path, file_visit visit, void* arg) noexcept nogil:
    cdef DIR* d = opendir(path)
    cdef dirent* e
    if d == NULL:
        return -errno
    while True:
        e = readdir(d)
        if e == NULL:
            break
        if strcmp(e.d_name, b".") != 0 and strcmp(e.d_name, b"..") != 0 and visit(arg, e.d_name):
            break
    closedir(d)
    return 0


cdef int files_join(char* to, size_t room, const char* directory, const char* name) noexcept nogil:
    if name[0] == c"/":
        return 0 if <size_t>snprintf(to, room, b"%s", name) < room else -ENAMETOOLONG
    return 0 if <size_t>snprintf(to, room, b"%s/%s", directory, name) < room else -ENAMETOOLONG
