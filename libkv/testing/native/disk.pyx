"""Files that note every call down, and make chosen calls fail: for tests of what a power cut leaves.

The calls go to the real files; the notes are in memory that forked children share, so a snapshot child's calls stand among
the parent's, in order.  libkv.testing.power works out from them what a disk may hold after a cut at any moment.

A note, 64 bytes and what follows it:

    | bytes (8) | kind (4) | process (4) | file (8) | number (8) | time, us (8) | first n (4) | second n (4) | data n (8) | pad |

A write is noted before it is done (a cut may find it half done).  A fsync is noted when it begins (it covers the writes
before that) and again, FSYNCED, when it has succeeded (only then does it count).
"""

from libc.errno cimport ENOENT
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strlen, strncpy, strstr

from libkv.disk.files cimport Files, files_real, files_replace
from libkv.engine.clock cimport mono_ns

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void*, size_t, int, int, int, int64_t)
    int munmap(void*, size_t)
    enum:
        PROT_READ
        PROT_WRITE
        MAP_SHARED
        MAP_ANONYMOUS
        MAP_NORESERVE
    void* MAP_FAILED

cdef extern from "<sys/stat.h>" nogil:
    struct stat_t "stat":
        uint64_t st_ino
    int c_fstat "fstat"(int, stat_t*)
    int c_stat "stat"(const char*, stat_t*)

cdef extern from "<unistd.h>" nogil:
    int getpid()
    int usleep(unsigned int)

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_CREAT
        O_TRUNC

cdef extern from *:
    """
    static inline uint64_t kv_note_take(uint64_t* p, uint64_t n) { return __atomic_fetch_add(p, n, __ATOMIC_SEQ_CST); }
    static inline int64_t kv_note_down(int64_t* p) { return __atomic_fetch_sub(p, 1, __ATOMIC_SEQ_CST); }
    """
    uint64_t kv_note_take(uint64_t*, uint64_t) nogil
    int64_t kv_note_down(int64_t*) nogil

cdef enum:
    RULES = 16
    IS_OPEN = 1
    IS_WRITE = 2
    IS_FSYNC = 3
    IS_FSYNCED = 4
    IS_TRUNCATE = 5
    IS_CLOSE = 6
    IS_RENAME = 7
    IS_UNLINK = 8
    IS_MKDIR = 9
    IS_SYNC_DIRECTORY = 10
    IS_SYNCED_DIRECTORY = 11
    IS_MARK = 12
    IS_READ = 13
    # number of an OPEN: bits
    MADE = 1                    # the file was not there
    EMPTIED = 2                 # O_TRUNC

OPEN, WRITE, FSYNC, FSYNCED, TRUNCATE, CLOSE, RENAME, UNLINK, MKDIR, SYNC_DIRECTORY, SYNCED_DIRECTORY, MARK, READ = range(1, 14)

cdef struct Rule:
    int kind                    # 0 = none
    int error
    int64_t after               # calls that are let through first
    int64_t times
    int64_t short               # a write takes so many bytes, and succeeds; -1: it fails
    int64_t slow                # us that the call takes longer; without an error it succeeds then
    char path[128]              # a part of the path; empty: any.  Of calls on descriptors: of the path they were opened with

cdef struct Note:
    uint64_t bytes
    uint32_t kind
    int32_t process
    uint64_t file               # inode
    int64_t number
    int64_t time
    uint32_t first_n
    uint32_t second_n
    uint64_t data_n
    uint64_t done               # the note is complete

cdef struct Book:
    uint64_t cursor             # of the next note, from the book's first byte
    uint64_t room
    Rule rules[RULES]
    char paths[1024][256]       # by descriptor: what it was opened as (children keep theirs apart: their numbers are new)


cdef Note* note(Book* b, int kind, uint64_t file, int64_t number, const char* first, const char* second, const char* data,
                size_t n) noexcept nogil:
    cdef size_t first_n = strlen(first) if first != NULL else 0
    cdef size_t second_n = strlen(second) if second != NULL else 0
    cdef uint64_t bytes = (sizeof(Note) + first_n + second_n + n + 7) & ~<uint64_t>7
    cdef uint64_t at = kv_note_take(&b.cursor, bytes)
    cdef Note* o = <Note*>(<char*>b + at)
    cdef char* p = <char*>o + sizeof(Note)
    if at + bytes > b.room:
        return NULL
    o.bytes = bytes
    o.kind = kind
    o.process = getpid()
    o.file = file
    o.number = number
    o.time = mono_ns() // 1000
    o.first_n = <uint32_t>first_n
    o.second_n = <uint32_t>second_n
    o.data_n = n
    if first_n:
        memcpy(p, first, first_n)
    if second_n:
        memcpy(p + first_n, second, second_n)
    if n:
        memcpy(p + first_n + second_n, data, n)
    o.done = 1
    return o


cdef Rule* rule_for(Book* b, int kind, const char* path) noexcept nogil:
    """A rule that says this call goes wrong, or NULL."""
    cdef int i
    for i in range(RULES):
        if b.rules[i].kind != kind or (b.rules[i].path[0] and (path == NULL or strstr(path, b.rules[i].path) == NULL)):
            continue
        if kv_note_down(&b.rules[i].after) > 0:
            continue
        if kv_note_down(&b.rules[i].times) > 0:
            return &b.rules[i]
    return NULL


cdef inline const char* path_of(Book* b, int fd) noexcept nogil:
    return b.paths[fd] if 0 <= fd < 1024 else NULL


cdef uint64_t inode(int fd) noexcept nogil:
    cdef stat_t s
    return s.st_ino if c_fstat(fd, &s) == 0 else 0


# ---- the calls

cdef bint wait(Rule* rule) noexcept nogil:
    """A slow disk: whether the call succeeds in the end."""
    if rule.slow > 0:
        usleep(<unsigned int>rule.slow)
    return rule.error == 0 and rule.short < 0


cdef int noted_open(void* self, const char* path, int flags, int mode) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef stat_t s
    cdef Rule* rule = rule_for(b, IS_OPEN, path)
    cdef int64_t how = 0
    cdef int fd
    if rule != NULL:
        return -rule.error
    if flags & O_CREAT and c_stat(path, &s) != 0:
        how = MADE
    if flags & O_TRUNC:
        how |= EMPTIED
    fd = f.open(f.self, path, flags, mode)
    if fd < 0:
        return fd
    if fd < 1024:
        strncpy(b.paths[fd], path, 255)
    note(b, IS_OPEN, inode(fd), how, path, NULL, NULL, 0)
    return fd


cdef int64_t noted_read(void* self, int fd, char* p, size_t n) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_READ, path_of(b, fd))
    if rule != NULL and not wait(rule):
        return -rule.error
    return f.read(f.self, fd, p, n)


cdef int64_t noted_write(void* self, int fd, const char* p, size_t n) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_WRITE, path_of(b, fd))
    if rule != NULL and wait(rule):
        rule = NULL
    if rule != NULL and rule.short < 0:
        return -rule.error
    if rule != NULL and <size_t>rule.short < n:
        n = <size_t>rule.short
    if n == 0:
        return 0
    note(b, IS_WRITE, inode(fd), 0, NULL, NULL, p, n)
    return f.write(f.self, fd, p, n)


cdef int noted_fsync(void* self, int fd) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_FSYNC, path_of(b, fd))
    cdef uint64_t file = inode(fd)
    cdef Note* begun
    cdef int error
    if rule != NULL and rule.error:
        return -rule.error
    begun = note(b, IS_FSYNC, file, 0, NULL, NULL, NULL, 0)
    if rule != NULL:
        wait(rule)
    error = f.fsync(f.self, fd)
    if error == 0:
        note(b, IS_FSYNCED, file, <char*>begun - <char*>b, NULL, NULL, NULL, 0)
    return error


cdef int noted_truncate(void* self, int fd, int64_t size) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_TRUNCATE, path_of(b, fd))
    if rule != NULL:
        return -rule.error
    note(b, IS_TRUNCATE, inode(fd), size, NULL, NULL, NULL, 0)
    return f.truncate(f.self, fd, size)


cdef int noted_close(void* self, int fd) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_CLOSE, path_of(b, fd))
    cdef int error = f.close(f.self, fd)
    if 0 <= fd < 1024:
        b.paths[fd][0] = 0
    return -rule.error if rule != NULL else error


cdef int noted_rename(void* self, const char* old, const char* new) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_RENAME, new)
    if rule != NULL and not wait(rule):
        return -rule.error
    note(b, IS_RENAME, 0, 0, old, new, NULL, 0)
    return f.rename(f.self, old, new)


cdef int noted_unlink(void* self, const char* path) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef stat_t s
    cdef Rule* rule = rule_for(b, IS_UNLINK, path)
    if rule != NULL:
        return -rule.error
    if c_stat(path, &s) != 0:
        return -ENOENT
    note(b, IS_UNLINK, 0, 0, path, NULL, NULL, 0)
    return f.unlink(f.self, path)


cdef int noted_mkdir(void* self, const char* path) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef stat_t s
    cdef Rule* rule = rule_for(b, IS_MKDIR, path)
    if rule != NULL:
        return -rule.error
    if c_stat(path, &s) != 0:
        note(b, IS_MKDIR, 0, 0, path, NULL, NULL, 0)
    return f.mkdir(f.self, path)


cdef int noted_sync_directory(void* self, const char* path) noexcept nogil:
    cdef Book* b = <Book*>self
    cdef Files* f = files_real()
    cdef Rule* rule = rule_for(b, IS_SYNC_DIRECTORY, path)
    cdef Note* begun
    cdef int error
    if rule != NULL:
        return -rule.error
    begun = note(b, IS_SYNC_DIRECTORY, 0, 0, path, NULL, NULL, 0)
    error = f.sync_directory(f.self, path)
    if error == 0:
        note(b, IS_SYNCED_DIRECTORY, 0, <char*>begun - <char*>b, path, NULL, NULL, 0)
    return error


# ---- the Python side

cdef class NotedFiles:
    """While it is entered (`with`), stores that are made use these files.  It must outlive them.

    room: bytes for notes; what doesn't fit is not noted, and `notes` says so.
    """

    cdef Book* book
    cdef Files files
    cdef size_t size

    def __cinit__(self, size_t room=1 << 28):
        self.size = room
        self.book = <Book*>mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if <void*>self.book == MAP_FAILED:
            self.book = NULL
            raise MemoryError
        self.book.cursor = (sizeof(Book) + 7) & ~<uint64_t>7
        self.book.room = room
        self.files.self = self.book
        self.files.open = noted_open
        self.files.read = noted_read
        self.files.write = noted_write
        self.files.fsync = noted_fsync
        self.files.truncate = noted_truncate
        self.files.close = noted_close
        self.files.rename = noted_rename
        self.files.unlink = noted_unlink
        self.files.mkdir = noted_mkdir
        self.files.sync_directory = noted_sync_directory

    def __init__(self, room=1 << 28):
        pass

    def __dealloc__(self):
        if self.book != NULL:
            munmap(self.book, self.size)

    def __enter__(self):
        files_replace(&self.files)
        return self

    def __exit__(self, *exc):
        files_replace(NULL)

    def mark(self, int64_t number):
        """A note of the test's own: what has been acknowledged by now."""
        note(self.book, IS_MARK, 0, number, NULL, NULL, NULL, 0)

    def fail(
        self, int what, int error, *, int64_t after=0, int64_t times=1, str path="", int64_t short=-1, int64_t slow=0
    ):
        """Calls of this kind go wrong: the first `after` of them don't, then `times` do, with this errno.

        path: a part of the file's path.  short: a write takes that many bytes instead of failing.  slow: a read, a write, a
        fsync or a rename takes that many microseconds longer; with error 0 it succeeds then."""
        cdef Rule* rule
        cdef bytes part = path.encode()
        cdef int i
        for i in range(RULES):
            rule = &self.book.rules[i]
            if rule.kind == 0:
                rule.after = after
                rule.times = times
                rule.error = error
                rule.short = short
                rule.slow = slow
                memset(rule.path, 0, sizeof(rule.path))
                memcpy(rule.path, <const char*>part, min(<size_t>len(part), sizeof(rule.path) - 1))
                rule.kind = what
                return
        raise ValueError(f"at most {RULES} rules at a time")

    def fail_none(self):
        """Everything succeeds again."""
        cdef int i
        for i in range(RULES):
            self.book.rules[i].kind = 0

    @property
    def calls(self):
        """Bytes of notes so far: grows with every call."""
        return self.book.cursor

    def notes(self):
        """All notes in order: (kind, place, path, process, file, number, path 2, time in us as text, data)."""
        cdef uint64_t at = (sizeof(Book) + 7) & ~<uint64_t>7
        cdef Note* o
        cdef const char* p
        cdef list found = []
        if self.book.cursor > self.size:
            raise MemoryError("the notes don't fit: ask for more room")
        while at < self.book.cursor:
            o = <Note*>(<char*>self.book + at)
            if not o.done:
                raise RuntimeError("a note is still being written")
            p = <const char*>o + sizeof(Note)
            found.append((
                o.kind, at, p[:o.first_n].decode(), o.process, o.file, o.number,
                p[o.first_n:o.first_n + o.second_n].decode(), str(o.time),
                p[o.first_n + o.second_n:o.first_n + o.second_n + o.data_n],
            ))
            at += o.bytes
        return found
