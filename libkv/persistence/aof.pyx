"""The journal's files (contract: aof.pxd).

Follows Redis 7.0's multi-part AOF: names, manifest, upgrade of an old single file, the log's lines.

Deviations: the increment is exchanged by the keeper, behind the child's start, and not before it (the command thread waits
for no disk); a rewrite after a failed fsync uses a temporary increment, as switching on does, so that the file that can't be
trusted is never followed by another; the directory is locked against a second process.
"""

from libc.errno cimport EINVAL, EIO, ENAMETOOLONG, ENOMEM, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memset, strcmp, strerror

from libkv.disk.files cimport files_exchange, files_join, files_read_all, files_size, files_write_all
from libkv.engine.latency cimport latency_add
from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.persistence.durable cimport (
    JOURNAL_OFF, JOURNAL_ON, JOURNAL_STARTING, PATH_ROOM, ROTATE_DONE, ROTATE_NO,
    durable_call_keeper, durable_log, durable_log_n, durable_now, durable_of, durable_refuse, durable_start_keeper,
    durable_wake, durable_wall, pthread_mutex_lock, pthread_mutex_unlock,
)
from libkv.persistence.journal cimport journal_start_rotation, journal_take
from libkv.persistence.manifest cimport (
    MANIFEST_NAME, PART_BASE, PART_HISTORY, PART_INCREMENT, Manifest, Part, manifest_add, manifest_base, manifest_clear,
    manifest_copy, manifest_drop_history, manifest_last, manifest_name, manifest_print, manifest_read, manifest_retire,
)
from libkv.persistence.snapshot cimport (
    SNAPSHOT_BASE, SNAPSHOT_COMMANDS, SnapshotPlan, snapshot_end, snapshot_start, snapshot_write,
)
from libkv.persistence.saves cimport plan_fill
from libkv.persistence.spikes cimport SPIKE_RENAME, SPIKE_STAT, spike_began, spike_end
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init, buffer_trim
from libkv.engine.lock cimport lock_give, lock_take

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_WRONLY
        O_RDWR
        O_CREAT
        O_APPEND
        O_TRUNC
        O_CLOEXEC
    int c_open "open"(const char*, int, ...)

cdef extern from "<sys/file.h>" nogil:
    int flock(int, int)
    enum:
        LOCK_EX
        LOCK_NB

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int)
    int c_access "access"(const char*, int)

cdef enum:
    MANIFEST_MAX = 1 << 20      # bytes
    RETRY_FIRST = 60000000      # us until a failed automatic rewrite is tried again: doubled each time, to an hour
    RETRY_MOST = 3600000000

cdef const char* ASIDE = b"temp-%s.incr"


# ---- the manifest's file

cdef int in_journal_dir(Durable* d, char* out, const char* name) noexcept nogil:
    return files_join(out, PATH_ROOM, d.journal_dir, name)


cdef int fail(Durable* d, int error, const char* what, const char* path) noexcept nogil:
    snprintf(d.trouble, sizeof(d.trouble), b"%s %s: %s", what, path, strerror(error))
    return error


cdef int persist(Durable* d, Manifest* m, bint* named) noexcept nogil:
    """Writes a manifest in the place of the present one, all of it on the disk; 0 or an errno.  named (may be NULL): it has
    the name; after an error it is not known which of the two a power cut would leave."""
    cdef char temp[PATH_ROOM]
    cdef char name[MANIFEST_NAME + 32]
    cdef char path[PATH_ROOM]
    cdef Buffer text
    cdef int error
    snprintf(name, sizeof(name), b"temp-%s.manifest", d.journal_name)
    if in_journal_dir(d, temp, name):
        return ENAMETOOLONG
    snprintf(name, sizeof(name), b"%s.manifest", d.journal_name)
    if in_journal_dir(d, path, name):
        return ENAMETOOLONG
    buffer_init(&text)
    manifest_print(m, &text)
    if text.failed:
        buffer_free(&text)
        return ENOMEM
    error = -files_exchange(d.files, path, temp, text.p, text.n, named)
    buffer_free(&text)
    return error


cdef int read_manifest(Durable* d, const char* path) noexcept nogil:
    cdef char* text = <char*>malloc(MANIFEST_MAX)
    cdef const char* why
    cdef int64_t n
    cdef int line
    if text == NULL:
        return ENOMEM
    n = files_read_all(d.files, path, text, MANIFEST_MAX)
    if n < 0:
        free(text)
        return fail(d, <int>-n, b"can't read", path)
    line = manifest_read(&d.manifest, text, <size_t>n, &why)
    free(text)
    if line:
        snprintf(d.trouble, sizeof(d.trouble), b"the journal's manifest %s is wrong in line %d: %.200s", path, line, why)
        manifest_clear(&d.manifest)
        return EINVAL
    return 0


cdef int upgrade(Durable* d, const char* old) noexcept nogil:
    """A single file of Redis before 7.0 becomes the base."""
    cdef char path[PATH_ROOM]
    cdef int error
    if d.manifest.n == 0 and manifest_add(&d.manifest, d.journal_name, 1, PART_BASE) == NULL:
        return ENOMEM
    if in_journal_dir(d, path, d.journal_name):
        return ENAMETOOLONG
    error = persist(d, &d.manifest, NULL)
    if error == 0:
        error = -d.files.rename(d.files.self, old, path)
    if error == 0:
        error = -d.files.sync_directory(d.files.self, d.journal_dir)
    if error == 0:
        error = -d.files.sync_directory(d.files.self, d.dir)
    if error:
        return fail(d, error, b"can't move to its new place", old)
    durable_log(d, LOG_NOTICE, b"Successfully migrated an old-style AOF configuration (%s) into the AOF directory (%s).",
                d.journal_name, d.journal_dir)
    return 0


cdef int aof_find(Durable* d) noexcept nogil:
    cdef char path[PATH_ROOM]
    cdef char old[PATH_ROOM]
    cdef char name[MANIFEST_NAME + 32]
    cdef int error
    snprintf(name, sizeof(name), b"%s.manifest", d.journal_name)
    if in_journal_dir(d, path, name) or files_join(old, sizeof(old), d.dir, d.journal_name):
        return fail(d, ENAMETOOLONG, b"can't use", d.journal_dir)
    manifest_clear(&d.manifest)
    if c_access(path, 0) == 0:
        error = read_manifest(d, path)
        if error:
            return error
        # a start that stopped in the middle of an upgrade: the manifest names a file that is not there yet
        if d.manifest.n == 1 and strcmp(d.manifest.parts[0].name, d.journal_name) == 0 and c_access(old, 0) == 0:
            in_journal_dir(d, path, d.journal_name)
            if c_access(path, 0) != 0:
                return upgrade(d, old)
        return 0
    if c_access(old, 0) == 0:
        error = aof_lock(d)
        return error if error else upgrade(d, old)
    return 0


# ---- start

cdef int aof_lock(Durable* d) noexcept nogil:
    cdef char path[PATH_ROOM]
    cdef char name[MANIFEST_NAME + 32]
    cdef int error
    if d.lock_fd >= 0:
        return 0
    error = -d.files.mkdir(d.files.self, d.journal_dir)
    if error == 0:
        error = -d.files.sync_directory(d.files.self, d.dir)
    if error:
        return fail(d, error, b"can't make the directory", d.journal_dir)
    snprintf(name, sizeof(name), b"%s.lock", d.journal_name)
    if in_journal_dir(d, path, name):
        return fail(d, ENAMETOOLONG, b"can't use", d.journal_dir)
    d.lock_fd = c_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    if d.lock_fd < 0:
        return fail(d, errno, b"can't open", path)
    if flock(d.lock_fd, LOCK_EX | LOCK_NB) != 0:
        error = errno
        c_close(d.lock_fd)
        d.lock_fd = -1
        snprintf(d.trouble, sizeof(d.trouble), b"another process writes the journal in %s: end it, or choose another "
                 b"directory", d.journal_dir)
        return error
    return 0


cdef int make_base(Kv* kv, Manifest* m) noexcept nogil:
    """The present state as the first base; 0 or an errno."""
    cdef Durable* d = durable_of(kv)
    cdef SnapshotPlan plan
    cdef char name[MANIFEST_NAME]
    cdef char path[PATH_ROOM]
    cdef uint64_t keys
    cdef int error
    if manifest_name(name, d.journal_name, m.base_seq + 1, PART_BASE, d.rdb_base) or in_journal_dir(d, path, name):
        return ENAMETOOLONG
    durable_log(d, LOG_NOTICE, b"Creating AOF base file %s on server start%s", name, b"")
    plan_fill(kv, &plan, SNAPSHOT_BASE if d.rdb_base else SNAPSHOT_COMMANDS)
    error = snapshot_write(kv, &plan, path, &keys)
    if error == 0 and manifest_add(m, name, m.base_seq + 1, PART_BASE) == NULL:
        error = ENOMEM
    return error


cdef int open_increment(Durable* d, const char* path, bint fresh) noexcept nogil:
    return d.files.open(d.files.self, path, O_WRONLY | O_APPEND | O_CREAT | (O_TRUNC if fresh else 0), 0o644)


cdef int aof_open(Kv* kv) noexcept nogil:
    """Store's lock held, or before anybody else knows it."""
    cdef Durable* d = durable_of(kv)
    cdef char name[MANIFEST_NAME]
    cdef char path[PATH_ROOM]
    cdef Part* last
    cdef bint fresh
    cdef int error = aof_lock(d)
    if error:
        return error
    remove_leftovers(d)
    fresh = manifest_last(&d.manifest) == NULL
    if fresh:
        if manifest_base(&d.manifest) == NULL:
            error = make_base(kv, &d.manifest)
        if error == 0:
            manifest_name(name, d.journal_name, d.manifest.increment_seq + 1, PART_INCREMENT, False)
            durable_log(d, LOG_NOTICE, b"Creating AOF incr file %s on server start%s", name, b"")
            if manifest_add(&d.manifest, name, d.manifest.increment_seq + 1, PART_INCREMENT) == NULL:
                error = ENOMEM
        if error:
            return fail(d, error, b"can't write the journal in", d.journal_dir)
    last = manifest_last(&d.manifest)
    in_journal_dir(d, path, last.name)
    d.fd = open_increment(d, path, fresh)
    if d.fd < 0:
        error = -d.fd
        return fail(d, error, b"can't open", path)
    if fresh:
        error = -d.files.sync_directory(d.files.self, d.journal_dir)
        if error == 0:
            error = persist(d, &d.manifest, NULL)
        if error:
            return fail(d, error, b"can't write the manifest in", d.journal_dir)
    remove_history(d)
    measure(d)
    kv.effects.n = 0
    kv.effects_on = True
    kv.effects_db = -1
    pthread_mutex_lock(&d.m)
    d.state = JOURNAL_ON
    d.last_stamp = 0
    d.rotate = ROTATE_NO
    pthread_mutex_unlock(&d.m)
    return durable_start_keeper(d)


cdef void measure(Durable* d) noexcept nogil:
    """The sizes of what the manifest names."""
    cdef char path[PATH_ROOM]
    cdef int64_t size, began
    cdef int i
    d.base_size = d.whole_size = d.size = 0
    for i in range(d.manifest.n):
        in_journal_dir(d, path, d.manifest.parts[i].name)
        began = spike_began(d)
        size = files_size(path)
        spike_end(d, SPIKE_STAT, began)
        if size > 0 and d.manifest.parts[i].type != PART_HISTORY:
            d.whole_size += <uint64_t>size
            d.size = <uint64_t>size if d.manifest.parts[i].type == PART_INCREMENT else 0
            if d.manifest.parts[i].type == PART_BASE:
                d.base_size = <uint64_t>size
        elif d.manifest.parts[i].type == PART_INCREMENT:
            d.size = 0


cdef void remove_leftovers(Durable* d) noexcept nogil:
    """What a switching on that was cut short has left."""
    cdef char name[MANIFEST_NAME + 32]
    cdef char path[PATH_ROOM]
    snprintf(name, sizeof(name), ASIDE, d.journal_name)
    if in_journal_dir(d, path, name) == 0 and c_access(path, 0) == 0:
        d.files.unlink(d.files.self, path)
    snprintf(name, sizeof(name), b"temp-%s.manifest", d.journal_name)
    if in_journal_dir(d, path, name) == 0 and c_access(path, 0) == 0:
        d.files.unlink(d.files.self, path)


cdef void remove_history(Durable* d) noexcept nogil:
    """Files that the manifest on the disk calls history; then they are named no more."""
    cdef char path[PATH_ROOM]
    cdef Manifest less
    cdef int i
    cdef int removed = 0
    if d.keep_history:
        return
    for i in range(d.manifest.n):
        if d.manifest.parts[i].type == PART_HISTORY:
            durable_log(d, LOG_NOTICE, b"Removing the history file %s in the background%s", d.manifest.parts[i].name, b"")
            in_journal_dir(d, path, d.manifest.parts[i].name)
            d.files.unlink(d.files.self, path)
            removed += 1
    if removed == 0:
        return
    memset(&less, 0, sizeof(Manifest))
    if manifest_copy(&less, &d.manifest) == 0:
        manifest_drop_history(&less)
        if persist(d, &less, NULL) == 0:
            manifest_clear(&d.manifest)
            d.manifest = less
        else:
            manifest_clear(&less)


cdef void aof_close(Durable* d) noexcept nogil:
    if d.fd >= 0:
        d.files.close(d.files.self, d.fd)
    d.fd = -1
    if d.lock_fd >= 0:
        c_close(d.lock_fd)
    d.lock_fd = -1
    manifest_clear(&d.manifest)
    d.aside = False


# ---- the next increment

cdef int aof_exchange(Durable* d) noexcept nogil:
    cdef char name[MANIFEST_NAME + 32]
    cdef char path[PATH_ROOM]
    cdef Manifest next
    cdef bint aside = d.state == JOURNAL_STARTING or d.broken != 0
    cdef bint named = False
    cdef int old = d.fd
    cdef int fd
    cdef int error = 0
    if d.lock_fd < 0:
        error = aof_lock(d)
        if error:
            return error
    if aside:
        snprintf(name, sizeof(name), ASIDE, d.journal_name)
    else:
        manifest_name(name, d.journal_name, d.manifest.increment_seq + 1, PART_INCREMENT, False)
    if in_journal_dir(d, path, name):
        return ENAMETOOLONG
    durable_log(d, LOG_NOTICE, b"Creating AOF incr file %s on background rewrite%s", name, b"")
    fd = open_increment(d, path, True)
    if fd < 0:
        return -fd
    if not aside:
        memset(&next, 0, sizeof(Manifest))
        if manifest_copy(&next, &d.manifest) or manifest_add(&next, name, next.increment_seq + 1, PART_INCREMENT) == NULL:
            error = ENOMEM
        if error == 0:
            error = -d.files.sync_directory(d.files.self, d.journal_dir)
        if error == 0:
            error = persist(d, &next, &named)
        if error and not named:
            manifest_clear(&next)
            d.files.close(d.files.self, fd)
            d.files.unlink(d.files.self, path)
            return error
        manifest_clear(&d.manifest)
        d.manifest = next
    d.fd = fd
    d.size = 0
    d.aside = aside
    if old >= 0:
        d.files.close(d.files.self, old)
    if error:                           # only the name may be lost
        pthread_mutex_lock(&d.m)
        d.broken = error
        pthread_mutex_unlock(&d.m)
    return 0


# ---- rewriting

cdef int aof_rewrite(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef SnapshotPlan plan
    cdef int error
    d.rewrite_scheduled = False
    error = durable_start_keeper(d)
    if error == 0:
        journal_take(kv)
        plan_fill(kv, &plan, SNAPSHOT_BASE if d.rdb_base else SNAPSHOT_COMMANDS)
        error = snapshot_start(kv, &d.snapshot, &plan)
    if error:
        d.rewrite_ok = False
        durable_log(d, LOG_WARNING, b"Can't rewrite append only file in background: fork: %s%s", strerror(error), b"")
        return error
    d.head.forks += 1
    d.head.fork_us = d.snapshot.fork_us
    latency_add(kv, b"fork", d.head.fork_us // 1000)
    d.rewriting = True
    d.rewrites += 1
    d.rewrite_began = durable_wall()
    durable_log_n(d, LOG_NOTICE, b"Background append only file rewriting started by pid %lld", d.snapshot.pid, 0)
    if d.state != JOURNAL_OFF:
        journal_start_rotation(kv)
    else:
        pthread_mutex_lock(&d.m)
        d.rotate = ROTATE_NO
        durable_call_keeper(d)
        pthread_mutex_unlock(&d.m)
    return 0


cdef void aof_stop_rewrite(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if not d.rewriting:
        return
    durable_log_n(d, LOG_NOTICE, b"Killing running AOF rewrite child: %lld", d.snapshot.pid, 0)
    snapshot_end(&d.snapshot)
    d.rewriting = False
    d.rewrite_began = 0
    pthread_mutex_lock(&d.m)
    if d.rotate == ROTATE_DONE:
        d.rotate = ROTATE_NO
    pthread_mutex_unlock(&d.m)


cdef int timed_rename(Durable* d, const char* old, const char* new) noexcept nogil:
    cdef int64_t began = spike_began(d)
    cdef int error = -d.files.rename(d.files.self, old, new)
    spike_end(d, SPIKE_RENAME, began)
    return error


cdef int install(Durable* d) noexcept nogil:
    """io held.  The child's file becomes the base; 0 or an errno."""
    cdef char name[MANIFEST_NAME + 32]
    cdef char path[PATH_ROOM]
    cdef char temp[PATH_ROOM]
    cdef Manifest next
    cdef Part* last
    cdef bint rdb = d.snapshot.kind == SNAPSHOT_BASE
    cdef bint named = False
    cdef int error = 0
    if d.lock_fd < 0:
        error = aof_lock(d)
    if error == 0 and d.manifest.n == 0:
        error = aof_find(d)             # BGREWRITEAOF while the journal is off: what is there becomes history
    if error:
        return error
    memset(&next, 0, sizeof(Manifest))
    if manifest_copy(&next, &d.manifest):
        return ENOMEM
    last = manifest_last(&next)
    manifest_retire(&next, last.seq if last != NULL and not d.aside and d.state != JOURNAL_OFF else 0x7fffffffffffffff)
    if manifest_name(name, d.journal_name, next.base_seq + 1, PART_BASE, rdb) or in_journal_dir(d, path, name):
        error = ENAMETOOLONG
    if error == 0:
        error = timed_rename(d, d.snapshot.path, path)
    if error == 0:
        durable_log(d, LOG_NOTICE, b"Successfully renamed the temporary AOF base file %s into %s", d.snapshot.path, name)
        if manifest_add(&next, name, next.base_seq + 1, PART_BASE) == NULL:
            error = ENOMEM
    if error == 0 and d.aside:
        snprintf(name, sizeof(name), ASIDE, d.journal_name)
        in_journal_dir(d, temp, name)
        manifest_name(name, d.journal_name, next.increment_seq + 1, PART_INCREMENT, False)
        in_journal_dir(d, path, name)
        error = timed_rename(d, temp, path)
        if error == 0:
            durable_log(d, LOG_NOTICE, b"Successfully renamed the temporary AOF incr file %s into %s", temp, name)
            if manifest_add(&next, name, next.increment_seq + 1, PART_INCREMENT) == NULL:
                error = ENOMEM
    if error == 0:
        error = -d.files.sync_directory(d.files.self, d.journal_dir)
    if error == 0:
        error = persist(d, &next, &named)
    if error and not named:
        if manifest_name(name, d.journal_name, next.base_seq, PART_BASE, rdb) == 0:
            in_journal_dir(d, path, name)
            if next.base_seq > d.manifest.base_seq:
                d.files.unlink(d.files.self, path)      # nothing names it
        manifest_clear(&next)
        return error
    manifest_clear(&d.manifest)
    d.manifest = next
    d.aside = False
    return error


cdef void aof_end_rewrite(Durable* d, bint good) noexcept nogil:
    cdef Kv* kv = d.kv
    cdef int error = 0
    pthread_mutex_lock(&d.io)
    if not d.rewriting:                 # switching off, or SHUTDOWN, has given it up meanwhile
        d.files.unlink(d.files.self, d.snapshot.path)
        pthread_mutex_unlock(&d.io)
        return
    if good:
        error = install(d)
        if error:
            durable_log(d, LOG_WARNING, b"Error trying to install the rewritten AOF: %s%s", strerror(error), b"")
    good = good and error == 0
    if not good:
        d.files.unlink(d.files.self, d.snapshot.path)
    if good:
        remove_history(d)
        measure(d)
        d.base_size = d.whole_size
    pthread_mutex_lock(&d.m)
    if good:
        d.broken = d.error = 0
        d.fatal = False
        if d.durable < d.rotate_at:
            d.durable = d.rotate_at     # the base has it
        if d.state == JOURNAL_STARTING:
            d.state = JOURNAL_ON
        d.rotate = ROTATE_NO
    elif d.rotate == ROTATE_DONE:
        d.rotate = ROTATE_NO
    durable_wake(d)
    pthread_mutex_unlock(&d.m)
    if d.state == JOURNAL_OFF:
        aof_close(d)                    # BGREWRITEAOF without a journal
    pthread_mutex_unlock(&d.io)
    lock_take(kv)
    d.rewriting = False
    d.rewrite_ok = good
    d.rewrite_seconds = durable_wall() - d.rewrite_began
    d.rewrite_began = 0
    d.rewrite_cow = d.snapshot.copied
    if good:
        d.rewrite_failures = 0
        d.rewrite_retry_at = 0
        durable_log(d, LOG_NOTICE, b"Background AOF rewrite finished successfully%s%s", b"", b"")
    else:
        d.rewrite_failures += 1
        d.rewrite_retry_at = durable_now() + min(<int64_t>RETRY_FIRST << min(d.rewrite_failures, 6), <int64_t>RETRY_MOST)
        if d.state == JOURNAL_STARTING:
            d.rewrite_scheduled = True  # switched on: it needs its base
    durable_refuse(d)
    lock_give(kv)


# ---- switching

cdef int aof_switch_on(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef int error
    if d.state != JOURNAL_OFF:
        return 0
    error = aof_lock(d)
    if error == 0:
        error = aof_find(d)
    if error:
        durable_log(d, LOG_WARNING, b"%s%s", d.trouble, b"")
        return error
    pthread_mutex_lock(&d.m)
    d.state = JOURNAL_STARTING
    pthread_mutex_unlock(&d.m)
    kv.effects.n = 0
    kv.effects_on = True
    if d.saving or d.rewriting:
        if d.rewriting:
            aof_stop_rewrite(kv)        # its base would be without what comes until the journal starts
        else:
            d.rewrite_scheduled = True
            durable_log(d, LOG_WARNING, b"AOF was enabled but there is already another background operation. An AOF "
                        b"background was scheduled to start when possible.%s%s", b"", b"")
            journal_start_rotation(kv)
            return durable_start_keeper(d)
    error = aof_rewrite(kv)
    if error:
        pthread_mutex_lock(&d.m)
        d.state = JOURNAL_OFF
        pthread_mutex_unlock(&d.m)
        kv.effects_on = False
    return error


cdef void aof_switch_off(Kv* kv) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    if d.state == JOURNAL_OFF:
        return
    journal_take(kv)
    aof_stop_rewrite(kv)
    pthread_mutex_lock(&d.io)
    switch_off_files(d)
    pthread_mutex_lock(&d.m)
    d.state = JOURNAL_OFF
    d.rotate = ROTATE_NO
    d.written = d.durable = d.appended
    buffer_trim(&d.pending, 0)
    buffer_trim(&d.writing, 0)
    d.writing_at = 0
    d.error = d.broken = 0
    d.fatal = False
    durable_wake(d)
    pthread_mutex_unlock(&d.m)
    aof_close(d)
    pthread_mutex_unlock(&d.io)
    kv.effects_on = False
    d.rewrite_scheduled = False
    durable_refuse(d)


cdef void switch_off_files(Durable* d) noexcept nogil:
    """io held: the rest goes to the file, and to the disk."""
    cdef size_t done
    if d.fd < 0 or d.broken:
        return
    if d.writing.n > d.writing_at:
        files_write_all(d.files, d.fd, d.writing.p + d.writing_at, d.writing.n - d.writing_at, &done)
    if d.pending.n:
        files_write_all(d.files, d.fd, d.pending.p, d.pending.n, &done)
    if d.files.fsync(d.files.self, d.fd) < 0:
        durable_log(d, LOG_WARNING, b"Fail to fsync the AOF file: %s%s", strerror(EIO), b"")
