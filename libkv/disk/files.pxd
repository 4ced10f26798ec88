# Files behind one small interface, so that a test can stand between the store and the disk.
#
# A store opens, writes, forces to disk, renames and removes files only through a Files: the real one is files_real(),
# libkv/testing/native/disk has one that notes every call down and makes calls fail; libkv/testing/power works out what a
# power cut may leave.  Every function returns a negative errno on failure.  None but files_load may allocate memory: they
# run in the child of a fork too.

from libc.stdint cimport int64_t

from libkv.structures.buffer cimport Buffer

ctypedef int (*file_visit)(void* arg, const char* name) noexcept nogil      # not 0: stop

cdef struct Files:
    void* self                                                              # first argument of all of these
    int (*open)(void* self, const char* path, int flags, int mode) noexcept nogil       # a descriptor
    int64_t (*read)(void* self, int fd, char* p, size_t n) noexcept nogil               # bytes; 0 = the end
    int64_t (*write)(void* self, int fd, const char* p, size_t n) noexcept nogil        # bytes, perhaps fewer than n
    int (*fsync)(void* self, int fd) noexcept nogil                         # bytes and size are on the disk
    int (*truncate)(void* self, int fd, int64_t size) noexcept nogil
    int (*close)(void* self, int fd) noexcept nogil
    int (*rename)(void* self, const char* old, const char* new) noexcept nogil
    int (*unlink)(void* self, const char* path) noexcept nogil
    int (*mkdir)(void* self, const char* path) noexcept nogil               # 0 also when it is there
    int (*sync_directory)(void* self, const char* path) noexcept nogil      # names made, changed, removed are on the disk

cdef Files* files_real() noexcept nogil
cdef Files* files_default() noexcept nogil              # of a new store: the real one, unless a test has put another here
cdef void files_replace(Files* f) noexcept nogil        # NULL: the real one again; with the GIL

# on top of any Files
cdef int files_write_all(Files* f, int fd, const char* p, size_t n, size_t* written) noexcept nogil     # 0 or -errno
cdef int64_t files_read_all(Files* f, const char* path, char* p, size_t room) noexcept nogil    # bytes, or -errno
cdef int files_load(Files* f, const char* path, Buffer* out) noexcept nogil     # appends a whole file; 0 or -errno

# A file that takes another's place: it is written beside, forced to disk, and given the name; then its directory is forced.
# Cut at any moment the old file is there, or the new one, whole.
cdef int files_exchange(Files* f, const char* path, const char* temp, const char* p, size_t n, bint* named) noexcept nogil
    # `path` holds these n bytes, written at `temp` in the same directory.  It keeps the permissions it had (a new file: 0644
    # less the umask).  0 or -errno.  named (may be NULL): whether it has the name: after an error it is not known then which
    # of the two a power cut would leave; else the old one is there, and `temp` is gone
cdef int files_install(Files* f, const char* temp, const char* path, bint* named) noexcept nogil
    # the second half: `temp` is on the disk already; likewise

# of the system, the same for all
cdef int64_t files_size(const char* path) noexcept nogil                    # bytes, or -errno
cdef int files_list(const char* path, file_visit visit, void* arg) noexcept nogil       # names but . and ..
cdef int files_join(char* to, size_t room, const char* directory, const char* name) noexcept nogil
    # "directory/name"; 0, or -ENAMETOOLONG
