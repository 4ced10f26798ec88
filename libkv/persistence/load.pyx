"""Loading (contract: load.pxd).

Follows redis-server 7.0.15: order of the parts, what is cut off and what is refused, the log's lines.

Deviations: with appendonly and no journal, a dump.rdb that is there is loaded (redis-server starts empty and, sooner or
later, writes over it); NUL bytes behind a torn command count as torn too.
"""

from libc.errno cimport EINVAL, ENAMETOOLONG, ENOENT, ENOMEM, ERANGE
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, strtoll
from libc.string cimport memchr, memcmp, memmove, memset, strerror

from libkv.disk.files cimport files_join, files_size
from libkv.engine.access cimport access_refresh
from libkv.engine.args cimport arg_is
from libkv.engine.call cimport call_execute
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport config_id, config_value
from libkv.engine.doom cimport doom_step
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.parser cimport PARSE_COMMAND, PARSE_MORE, Parser, parser_expects, parser_free, parser_init, parser_next
from libkv.engine.registry cimport Command, command_of
from libkv.engine.settings cimport LOG_NOTICE, LOG_WARNING
from libkv.engine.types cimport S_DENY_BLOCKING, S_EMBEDDED, Arg, Ctx, Reply, Session
from libkv.persistence.aof cimport aof_find
from libkv.persistence.durable cimport (
    JOURNAL_OFF, PATH_ROOM, Durable, durable_log, durable_log_n, durable_now, durable_of, durable_wall,
)
from libkv.persistence.load_log cimport load_log_dropped, load_log_failure, load_log_part
from libkv.persistence.manifest cimport PART_BASE, PART_HISTORY, Manifest
from libkv.persistence.past cimport Past, past_end, past_made, past_without
from libkv.persistence.rdb cimport RdbLoad, rdb_error_message, rdb_load
from libkv.persistence.rdb_format cimport RDB_OK, RdbError
from libkv.persistence.rio cimport Source, source_close, source_open
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init, buffer_room

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_RDONLY
        O_WRONLY

cdef extern from "<unistd.h>" nogil:
    int usleep(unsigned int)

cdef enum:
    CHUNK = 1 << 18             # bytes of a read
    BREATH = 1 << 20            # bytes replayed between two moments for others
    DOOM_SLICE = 4096
    LONG_BREATH_GAP = 50000     # us
    MARK = 5                    # bytes of "REDIS"
    NAMED = 5                   # commands answered with an error that the log names

cdef int APPENDONLY = config_id(b"appendonly")
cdef int LOAD_TRUNCATED = config_id(b"aof-load-truncated")

cdef struct Reader:             # a part's bytes: buf[at:] are not applied yet
    Durable* d
    const char* path
    const char* name
    int fd
    Buffer buf
    size_t at
    uint64_t passed             # offset in the file of buf.p[0]
    bint end                    # the file's end is in the buffer
    int error                   # errno of a read
    bint share                  # the store's lock is given away now and then
    uint64_t told               # offset at the last moment for others
    int64_t breathed            # monotonic us
    Past* past
    RdbLoad* snapshot           # that is being read; NULL: none
    uint64_t commands
    uint64_t failures           # error replies


cdef inline uint64_t offset_of(Reader* r) noexcept nogil:
    return r.passed + r.at


# ---- reading

cdef bint more(Reader* r, size_t expects) noexcept nogil:
    """Reads on; False: the end, or an error."""
    cdef char* room
    cdef int64_t got
    if r.end or r.error:
        return False
    if r.at:
        memmove(r.buf.p, r.buf.p + r.at, r.buf.n - r.at)
        r.buf.n -= r.at
        r.passed += r.at
        r.at = 0
    room = buffer_room(&r.buf, max(<size_t>CHUNK, expects))
    if room == NULL:
        r.error = ENOMEM
        return False
    got = r.d.files.read(r.d.files.self, r.fd, room, r.buf.cap - r.buf.n)
    if got < 0:
        r.error = <int>-got
    elif got == 0:
        r.end = True
    else:
        r.buf.n += <size_t>got
    return got > 0


cdef ssize_t source_read(void* arg, char* p, size_t n) noexcept nogil:
    """A source_read_fn: what is in the buffer first, then the file."""
    cdef Reader* r = <Reader*>arg
    cdef size_t k = min(n, r.buf.n - r.at)
    cdef int64_t got
    if k:
        memmove(p, r.buf.p + r.at, k)
        r.at += k
        return <ssize_t>k
    got = r.d.files.read(r.d.files.self, r.fd, p, n)
    return <ssize_t>got


cdef void breathe(Reader* r, uint64_t offset) noexcept nogil:
    """Others' moment: INFO and the like are answered while a store loads."""
    r.d.loading_done += offset - r.told
    r.told = offset
    if r.snapshot != NULL:
        r.d.load_used_mem = max(r.snapshot.aux.used_mem, 0)
    if r.share:
        lock_give(r.d.kv)
        # a mutex is not fair: who waits for it has to wake up first, and may need a while on a busy machine
        if durable_now() - r.breathed > LONG_BREATH_GAP:
            usleep(2000)
            r.breathed = durable_now()
        lock_take(r.d.kv)


# ---- a snapshot

cdef bint rdb_progress(void* arg, uint64_t keys, uint64_t offset) noexcept nogil:
    cdef Reader* r = <Reader*>arg
    if offset - r.told >= BREATH:
        breathe(r, offset)
    return past_made(r.past, r.d, r.snapshot.aux.ctime) == 0


cdef void rdb_dropped(void* arg, int db, const char* key, size_t n, const char* what) noexcept nogil:
    cdef char where[32]
    where[0] = 0
    if key != NULL and db:
        snprintf(where, sizeof(where), b" in database %d", db)
    load_log_dropped((<Reader*>arg).d, what, key, n, where)


cdef int read_snapshot(Kv* kv, Reader* r, bint base, bint replace, uint64_t total) noexcept nogil:
    """From the reader's place on; what follows it in the file is in the buffer then.  0 or an errno."""
    cdef Source source
    cdef int named
    cdef RdbLoad options
    cdef RdbError error
    cdef int code
    if source_open(&source, source_read, r, total, True) != 0:
        return ENOMEM
    memset(&options, 0, sizeof(RdbLoad))
    options.keep_expired = base
    options.replace = replace
    options.library = r.d.library
    options.library_arg = <void*>r if replace else r.d.library_arg     # any but NULL: of libraries too the file's stay
    options.skip_unsupported = r.d.skip_unsupported
    options.dropped = rdb_dropped
    options.progress = rdb_progress
    options.progress_arg = r
    r.snapshot = &options
    code = rdb_load(kv, &source, &options, &error)
    r.snapshot = NULL
    r.d.load_used_mem = max(options.aux.used_mem, 0)
    r.d.load_keys = options.keys
    r.d.load_expired = options.expired
    if past_made(r.past, r.d, options.aux.ctime):
        code = ERANGE
    elif code == RDB_OK:
        r.passed += r.at                # what the source has read too far belongs to the reader again
        r.passed = source.passed - <uint64_t>(source.end - source.at)
        r.at = 0
        r.buf.n = 0
        buffer_add(&r.buf, source.at, source.end - source.at)
        durable_log_n(r.d, LOG_NOTICE, b"Done loading RDB, keys loaded: %lld, keys expired: %lld.", <int64_t>options.keys,
                      <int64_t>options.expired)
    else:
        named = snprintf(r.d.trouble, sizeof(r.d.trouble) - 512, b"%.4096s: ", r.path)
        rdb_error_message(&error, r.d.trouble + named, sizeof(r.d.trouble) - named)
        code = error.error if error.error else EINVAL
    source_close(&source)
    return code


# ---- commands

cdef bint command_fits(Command* cmd, int argc) noexcept nogil:
    return cmd != NULL and cmd.fn != NULL and ((cmd.arity > 0 and argc == cmd.arity) or (cmd.arity < 0 and argc >= -cmd.arity))


cdef inline bint ends_are_there(Arg* argv, int argc) noexcept nogil:
    """Each argument's line end: the parser, made for clients, passes over it; here a hole in the file shows."""
    cdef int i
    for i in range(argc):
        if argv[i].p[argv[i].n] != 13 or argv[i].p[argv[i].n + 1] != 10:
            return False
    return True


cdef int unit_end(Reader* r, Parser* scan, size_t at) noexcept nogil:
    """A transaction that begins behind `at`: looks for its EXEC.  PARSE_COMMAND: it is in the buffer, whole."""
    cdef Arg* argv
    cdef int argc
    cdef int state
    cdef size_t distance = at - r.at
    cdef size_t expects
    while True:
        if r.at + distance < r.buf.n and r.buf.p[r.at + distance] != c"*":
            return -1
        state = parser_next(scan, r.buf.p + r.at + distance, r.buf.n - r.at - distance, NULL, 0, &argv, &argc)
        if state == PARSE_MORE:
            expects = parser_expects(scan)
            if not more(r, expects):
                return PARSE_MORE
            continue
        if state != PARSE_COMMAND or not ends_are_there(argv, argc):
            return -1
        distance += scan.pos
        scan.pos = 0
        if arg_is(&argv[0], b"exec", 4):
            return PARSE_COMMAND


cdef int annotation(Reader* r) noexcept nogil:
    """A line that begins with "#": 1 passed, 0 the end is torn, -1 it is none, 2 stop here."""
    cdef const char* p
    cdef const char* stop
    cdef int64_t when
    while True:
        p = r.buf.p + r.at
        stop = <const char*>memchr(p, 10, r.buf.n - r.at)
        if stop != NULL:
            break
        if r.buf.n - r.at > 1024:
            return -1
        if not more(r, 64):
            return 0
    if r.past.until and stop - p > 4 and memcmp(p, b"#TS:", 4) == 0:
        when = strtoll(p + 4, NULL, 10)
        if when > r.past.until:
            r.past.stopped = True
            r.error = past_end(r.past, r.d, when)
            return 2
        r.past.dated = True
    r.at += stop + 1 - p
    return 1


cdef enum:
    REPLAY_END = 0
    REPLAY_TORN = 1
    REPLAY_BAD = 2
    REPLAY_UNKNOWN = 3
    REPLAY_IO = 4
    REPLAY_PAST = 5             # not applied far enough back


cdef int replay(Kv* kv, Reader* r, Session* s, Parser* ps, Parser* scan, Buffer* out) noexcept nogil:
    """Applies what the reader has, to the end of the file; r.at stands behind the last whole unit."""
    cdef Reply reply
    cdef Ctx c
    cdef Arg* argv
    cdef int argc, state
    cdef Command* cmd
    cdef char what[96]
    cdef bint unit = False
    memset(&reply, 0, sizeof(Reply))
    memset(&c, 0, sizeof(Ctx))
    reply.out = out
    reply.proto = 2
    c.kv = kv
    c.heap = kv.heap
    c.session = s
    c.db = &kv.dbs[s.db]
    c.now = kv.now
    c.replay = True
    while True:
        if r.at == r.buf.n and not more(r, 0):
            return REPLAY_IO if r.error else REPLAY_END
        if r.buf.p[r.at] == c"#":
            state = annotation(r)
            if state == 1:
                continue
            if state == 2:
                return REPLAY_PAST if r.error else REPLAY_END
            return REPLAY_TORN if state == 0 else REPLAY_BAD
        if r.buf.p[r.at] != c"*":
            return REPLAY_BAD
        state = parser_next(ps, r.buf.p + r.at, r.buf.n - r.at, NULL, 0, &argv, &argc)
        if state == PARSE_MORE:
            if more(r, parser_expects(ps)):
                continue
            return REPLAY_IO if r.error else REPLAY_TORN
        if state != PARSE_COMMAND or not ends_are_there(argv, argc):
            return REPLAY_BAD
        if not unit and arg_is(&argv[0], b"multi", 5):
            state = unit_end(r, scan, r.at + ps.pos)
            if state != PARSE_COMMAND:
                if state == PARSE_MORE and not r.error:
                    durable_log(r.d, LOG_WARNING, b"Revert incomplete MULTI/EXEC transaction from AOF file%s%s", b"", b"")
                return REPLAY_IO if r.error else REPLAY_TORN if state == PARSE_MORE else REPLAY_BAD
            unit = True                 # whole: it is applied command by command
        elif arg_is(&argv[0], b"exec", 4):
            unit = False
        else:
            cmd = command_of(argv, argc)
            if not command_fits(cmd, argc) and r.d.skip_unsupported:
                snprintf(what, sizeof(what), b"the command '%.*s'", <int>min(argv[0].n, 64), argv[0].p)
                load_log_dropped(r.d, what, NULL, 0, b"")
                r.at += ps.pos
                ps.pos = 0
                continue
            if not command_fits(cmd, argc):
                snprintf(r.d.trouble, sizeof(r.d.trouble), b"Unknown command '%.*s' reading the append only file %s, byte "
                         b"%llu", <int>min(argv[0].n, 64), argv[0].p, r.name, <unsigned long long>offset_of(r))
                return REPLAY_UNKNOWN
            call_execute(&c, cmd, argv, argc, &reply)
            if reply.errors and cmd.name_n == 6 and memcmp(cmd.name, b"select", 6) == 0:
                return REPLAY_BAD       # what follows would go to another database
            if reply.errors:
                r.failures += 1
                if r.failures <= NAMED:
                    load_log_failure(r.d, r.name, offset_of(r), argv, out)
                reply.errors = 0
            out.n = 0
            r.commands += 1
            r.past.undated += 1
        r.at += ps.pos
        ps.pos = 0
        if not unit and offset_of(r) - r.told >= BREATH:
            doom_step(kv, DOOM_SLICE)
            breathe(r, offset_of(r))


cdef bint only_torn(Reader* r, Parser* ps) noexcept nogil:
    """A bad place: whether it is an unfinished command, and NUL bytes up to the file's end."""
    cdef Arg* argv
    cdef int argc
    cdef size_t n
    while more(r, 0):
        if r.buf.n - r.at > (1 << 26):
            return False
    n = r.buf.n - r.at
    while n and r.buf.p[r.at + n - 1] == 0:
        n -= 1
    if n == r.buf.n - r.at or r.error:
        return False
    parser_free(ps)
    parser_init(ps)
    ps.trusted = True
    ps.max_bulk = 0x7fffffffffffffff
    if n == 0:
        return True
    return r.buf.p[r.at] == c"*" and parser_next(ps, r.buf.p + r.at, n, NULL, 0, &argv, &argc) == PARSE_MORE


cdef int cut_off(Kv* kv, Reader* r, bint last) noexcept nogil:
    """A torn end at r.at; 0: cut off, or nothing may be changed here."""
    cdef int fd, error
    if not last or config_value(kv, LOAD_TRUNCATED).p[0] != c"y":
        snprintf(r.d.trouble, sizeof(r.d.trouble), b"Unexpected end of file reading the append only file %s, byte %llu. "
                 b"Make a backup, then use check_aof.py --fix on the manifest%s", r.name, <unsigned long long>offset_of(r),
                 b"" if not last else b", or set aof-load-truncated to yes")
        return EINVAL
    durable_log(r.d, LOG_WARNING, b"!!! Warning: short read while loading the AOF file %s!!!%s", r.name, b"")
    if r.past.until:
        return 0
    durable_log_n(r.d, LOG_WARNING, b"Truncating the AOF at offset %lld", <int64_t>offset_of(r), 0)
    fd = r.d.files.open(r.d.files.self, r.path, O_WRONLY, 0)
    error = -fd if fd < 0 else -r.d.files.truncate(r.d.files.self, fd, <int64_t>offset_of(r))
    if fd >= 0:
        if error == 0:
            error = -r.d.files.fsync(r.d.files.self, fd)
        r.d.files.close(r.d.files.self, fd)
    if error:
        snprintf(r.d.trouble, sizeof(r.d.trouble), b"Error truncating the AOF file %s: %s", r.name, strerror(error))
        return error
    durable_log(r.d, LOG_WARNING, b"AOF loaded anyway because aof-load-truncated is enabled%s%s", b"", b"")
    return 0


cdef int replay_part(Kv* kv, Reader* r, bint last) noexcept nogil:
    cdef Session* s
    cdef Parser ps
    cdef Parser scan
    cdef Buffer out
    cdef int state
    s = <Session*>calloc(1, sizeof(Session))            # nobody's: it is in no list, and holds nothing
    if s == NULL:
        return ENOMEM
    s.kv = kv
    s.proto = 2
    s.fd = -1
    s.authenticated = True
    s.flags = S_EMBEDDED | S_DENY_BLOCKING
    parser_init(&ps)
    parser_init(&scan)
    ps.trusted = scan.trusted = True
    ps.max_bulk = scan.max_bulk = 0x7fffffffffffffff
    buffer_init(&out)
    state = replay(kv, r, s, &ps, &scan, &out)
    if state == REPLAY_BAD and only_torn(r, &ps):
        state = REPLAY_TORN
    parser_free(&ps)
    parser_free(&scan)
    buffer_free(&out)
    buffer_free(&s.out)
    free(s)
    if state == REPLAY_TORN:
        return cut_off(kv, r, last)
    if state == REPLAY_PAST:
        return r.error
    if state == REPLAY_IO:
        snprintf(r.d.trouble, sizeof(r.d.trouble), b"Unrecoverable error reading the append only file %s: %s", r.name,
                 strerror(r.error))
        return r.error
    if state == REPLAY_BAD:
        snprintf(r.d.trouble, sizeof(r.d.trouble), b"Bad file format reading the append only file %s, byte %llu: make a "
                 b"backup, then use check_aof.py --fix on the manifest", r.name, <unsigned long long>offset_of(r))
    return EINVAL if state != REPLAY_END else 0


# ---- files

cdef int load_file(Kv* kv, const char* path, const char* name, bint journal, bint last, bint share, bint replace,
                   Past* past) noexcept nogil:
    """A snapshot, or a part of a journal (which may begin with a snapshot)."""
    cdef Reader r
    cdef int64_t total = files_size(path)
    cdef int error = 0
    cdef bint snapshot
    memset(&r, 0, sizeof(Reader))
    r.d = durable_of(kv)
    r.path = path
    r.name = name
    r.share = share
    r.past = past
    buffer_init(&r.buf)
    r.fd = r.d.files.open(r.d.files.self, path, O_RDONLY, 0)
    if r.fd < 0:
        snprintf(r.d.trouble, sizeof(r.d.trouble), b"can't open %s: %s", path, strerror(-r.fd))
        return -r.fd
    while r.buf.n < MARK and more(&r, 0):
        pass
    snapshot = not journal or (r.buf.n >= MARK and memcmp(r.buf.p, b"REDIS", MARK) == 0)
    if r.error:
        error = r.error
        snprintf(r.d.trouble, sizeof(r.d.trouble), b"can't read %s: %s", path, strerror(error))
    elif snapshot:
        if journal:
            durable_log(r.d, LOG_NOTICE, b"Reading RDB base file on AOF loading...%s%s", b"", b"")
        error = read_snapshot(kv, &r, journal, replace, <uint64_t>total if total >= 0 else <uint64_t>-1)
    if error == 0 and journal:
        error = replay_part(kv, &r, last)
    r.d.files.close(r.d.files.self, r.fd)
    buffer_free(&r.buf)
    breathe(&r, <uint64_t>total if total > 0 and <uint64_t>total >= r.told else r.told)
    return error


cdef uint64_t size_of_parts(Durable* d, Manifest* m) noexcept nogil:
    cdef char path[PATH_ROOM]
    cdef uint64_t total = 0
    cdef int64_t size
    cdef int i
    for i in range(m.n):
        if m.parts[i].type != PART_HISTORY and files_join(path, PATH_ROOM, d.journal_dir, m.parts[i].name) == 0:
            size = files_size(path)
            total += <uint64_t>size if size > 0 else 0
    return total


cdef int load_parts(Kv* kv, bint share, Past* past) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef Manifest* m = &d.manifest
    cdef char path[PATH_ROOM]
    cdef int64_t began
    cdef int error = 0
    cdef int last = -1
    cdef int i
    d.loading_total = size_of_parts(d, m)
    for i in range(m.n):
        if m.parts[i].type != PART_HISTORY:
            last = i
    for i in range(m.n):
        if m.parts[i].type == PART_HISTORY:
            continue
        if files_join(path, PATH_ROOM, d.journal_dir, m.parts[i].name):
            return ENAMETOOLONG
        began = mono_ns()
        error = load_file(kv, path, m.parts[i].name, True, i == last, share, False, past)
        if error or past.stopped:
            break
        load_log_part(d, m.parts[i].type == PART_BASE, m.parts[i].name, began)
    return error if error or past.stopped else past_end(past, d, 0)


cdef int load_past(Kv* kv, bint share, Past* past) noexcept nogil:
    """A past moment, without changing a file: an old single file is not moved to its new place."""
    cdef Durable* d = durable_of(kv)
    cdef char path[PATH_ROOM]
    cdef int error
    if config_value(kv, APPENDONLY).p[0] != c"y":
        return past_without(past, d)
    if files_join(path, PATH_ROOM, d.dir, d.journal_name):
        return ENAMETOOLONG
    if files_size(d.journal_dir) < 0 and files_size(path) >= 0:
        d.loading_total = <uint64_t>files_size(path)
        error = load_file(kv, path, d.journal_name, True, True, share, False, past)
        return error if error or past.stopped else past_end(past, d, 0)
    error = aof_find(d)
    if error:
        return error
    return load_parts(kv, share, past) if d.manifest.n else past_without(past, d)


cdef int load_any(Kv* kv, int what, bint share, bint merge, Past* past) noexcept nogil:
    cdef Durable* d = durable_of(kv)
    cdef char path[PATH_ROOM]
    cdef int error = 0
    if past.until:
        return load_past(kv, share, past)
    if what == LOAD_JOURNAL or (what == LOAD_CONFIGURED and config_value(kv, APPENDONLY).p[0] == c"y"):
        if d.state == JOURNAL_OFF:
            error = aof_find(d)
        if error or d.manifest.n:
            return error if error else load_parts(kv, share, past)
        if what == LOAD_JOURNAL:
            return 0
    if files_join(path, PATH_ROOM, d.dir, d.snapshot_name):
        return ENAMETOOLONG
    if files_size(path) == -ENOENT:
        return 0 if what == LOAD_CONFIGURED else ENOENT
    d.loading_total = <uint64_t>max(files_size(path), 0)
    return load_file(kv, path, d.snapshot_name, False, True, share, merge, past)


cdef int load_both(Kv* kv, int what, int64_t until, bint share, bint merge) noexcept nogil:
    """Lock held."""
    cdef Durable* d = durable_of(kv)
    cdef bint effects = kv.effects_on
    cdef int64_t began = mono_ns()
    cdef char seconds[32]
    cdef Past past
    cdef int error
    memset(&past, 0, sizeof(Past))
    past.until = until
    access_refresh(kv)
    kv.effects_on = False
    kv.loading = True
    d.loading_began = durable_wall()
    d.loading_total = d.loading_done = 0
    d.load_used_mem = 0
    d.load_dropped = 0
    d.trouble[0] = 0
    error = load_any(kv, what, share, merge, &past)
    kv.loading = False
    kv.effects_on = effects
    d.dirty_saved = kv.dirty
    if d.load_dropped:
        durable_log_n(d, LOG_WARNING, b"Passed over, as this store can't hold it: %lld keys, libraries and commands. The next "
                      b"snapshot or rewrite will be without them.", <int64_t>d.load_dropped, 0)
    if error and d.trouble[0] == 0:
        snprintf(d.trouble, sizeof(d.trouble), b"%s", strerror(error))
    if error:
        durable_log(d, LOG_WARNING, b"%s%s", d.trouble, b"")
    elif d.loading_total and what == LOAD_CONFIGURED:
        snprintf(seconds, sizeof(seconds), b"%.3f", <double>(mono_ns() - began) / 1e9)
        durable_log(d, LOG_NOTICE, b"DB loaded from %s: %s seconds", b"append only file" if d.manifest.n else b"disk", seconds)
    return error


cdef int load_store(Kv* kv, int what, int64_t until) noexcept nogil:
    cdef int error
    lock_take(kv)
    error = load_both(kv, what, until, True, False)
    lock_give(kv)
    return error


cdef int load_locked(Kv* kv, int what, int64_t until, bint merge) noexcept nogil:
    return load_both(kv, what, until, False, merge)
