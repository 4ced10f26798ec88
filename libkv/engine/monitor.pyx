"""MONITOR (contract: monitor.pxd; https://redis.io/docs/latest/commands/monitor/).

    +1339518083.107412 [0 127.0.0.1:60866] "keys" "*"

Secrets stand as "(redacted)": the arguments of AUTH, HELLO ... AUTH, MIGRATE ... AUTH and AUTH2.  As in Redis 7.0 a line
comes after its command's reply, and in a transaction after the reply of each command in it.
"""

from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport realloc
from libc.string cimport strlen

from libkv.engine.args cimport arg_is
from libkv.engine.clock cimport clock_wall_us
from libkv.engine.push cimport Push, push_bytes
from libkv.engine.registry cimport CMD_ADMIN, CMD_SKIP_MONITOR
from libkv.engine.types cimport S_MONITOR, S_REPLY_OFF, S_REPLY_SKIP, S_SCRIPT, S_UNIX
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init, buffer_room


cdef int monitor_add(Session* s) noexcept nogil:
    cdef Push* p = <Push*>s.kv.pubsub
    cdef Session** more
    cdef int cap
    if p.n_monitors == p.monitors_cap:
        cap = p.monitors_cap * 2 if p.monitors_cap else 4
        more = <Session**>realloc(p.monitors, cap * sizeof(Session*))
        if more == NULL:
            return -1
        p.monitors = more
        p.monitors_cap = cap
    p.monitors[p.n_monitors] = s
    p.n_monitors += 1
    s.kv.n_monitors += 1
    s.flags |= S_MONITOR
    return 0


cdef void monitor_remove(Session* s) noexcept nogil:
    cdef Push* p = <Push*>s.kv.pubsub
    cdef int i = 0
    if not s.flags & S_MONITOR:
        return
    s.flags &= ~S_MONITOR
    s.kv.n_monitors -= 1
    while p.monitors[i] != s:
        i += 1
    p.n_monitors -= 1
    while i < p.n_monitors:             # the order stays
        p.monitors[i] = p.monitors[i + 1]
        i += 1


cdef void put_word(Buffer* line, const char* p, size_t n) noexcept nogil:
    """In quotes, as redis-cli prints a string: \\n, \\r, \\t, \\a, \\b, \\", \\\\ and \\xhh."""
    cdef char* o = buffer_room(line, n * 4 + 3)
    cdef const char* hexes = b"0123456789abcdef"
    cdef const char* letter
    cdef size_t i
    cdef size_t k = 2
    cdef unsigned char ch
    if o == NULL:
        return
    o[0] = 32
    o[1] = 34
    for i in range(n):
        ch = <unsigned char>p[i]
        letter = NULL
        if ch == 34 or ch == 92:
            o[k] = 92
            o[k + 1] = <char>ch
            k += 2
            continue
        if ch == 10:
            letter = b"n"
        elif ch == 13:
            letter = b"r"
        elif ch == 9:
            letter = b"t"
        elif ch == 7:
            letter = b"a"
        elif ch == 8:
            letter = b"b"
        if letter != NULL:
            o[k] = 92
            o[k + 1] = letter[0]
            k += 2
        elif 32 <= ch < 127:
            o[k] = <char>ch
            k += 1
        else:
            o[k] = 92
            o[k + 1] = 120
            o[k + 2] = hexes[ch >> 4]
            o[k + 3] = hexes[ch & 15]
            k += 4
    o[k] = 34
    line.n += k + 1


cdef int secret_words(Command* cmd, Arg* argv, int argc, int* first) noexcept nogil:
    """How many arguments from *first on are secrets."""
    cdef int i
    first[0] = 1
    if cmd.full_n == 4 and arg_is(&argv[0], b"auth", 4):
        # with too many arguments AUTH looks at none of them
        return argc - 1 if argc <= 3 else 0
    if cmd.full_n == 5 and arg_is(&argv[0], b"hello", 5):
        for i in range(2, argc - 2):
            if arg_is(&argv[i], b"auth", 4):
                first[0] = i + 1
                return 2
    if cmd.full_n == 7 and arg_is(&argv[0], b"migrate", 7):
        for i in range(6, argc - 1):
            if arg_is(&argv[i], b"auth", 4):
                first[0] = i + 1
                return 1
            if arg_is(&argv[i], b"auth2", 5) and i + 2 < argc:
                first[0] = i + 1
                return 2
    return 0


cdef void put_line(Ctx* c, Command* cmd, Arg* argv, int argc, Buffer* line) noexcept nogil:
    cdef Session* s = c.session
    cdef char head[160]
    cdef int64_t now = clock_wall_us(c.kv)
    cdef int first
    cdef int secrets = secret_words(cmd, argv, argc, &first)
    cdef size_t n = strlen(s.addr)
    cdef const char* kind = b""
    cdef int i
    if s.flags & S_SCRIPT:
        snprintf(head, sizeof(head), b"+%lld.%06lld [%d lua]", <long long>(now // 1000000), <long long>(now % 1000000),
                 c.db.id)
    else:
        if s.flags & S_UNIX:
            kind = b"unix:"
            n = n - 2 if n > 2 else n   # "path:0": MONITOR shows the path alone
        snprintf(head, sizeof(head), b"+%lld.%06lld [%d %s%.*s]", <long long>(now // 1000000), <long long>(now % 1000000),
                 s.db, kind, <int>n, s.addr)
    buffer_add(line, head, strlen(head))
    for i in range(argc):
        if first <= i < first + secrets:
            buffer_add(line, b" \"(redacted)\"", 13)
        else:
            put_word(line, argv[i].p, argv[i].n)
    buffer_add(line, b"\r\n", 2)


cdef void monitor_feed(Ctx* c, Command* cmd, Arg* argv, int argc) noexcept nogil:
    if not cmd.flags & (CMD_ADMIN | CMD_SKIP_MONITOR):
        feed(c, cmd, argv, argc)


cdef void monitor_feed_script(Ctx* c, Command* cmd, Arg* argv, int argc) noexcept nogil:
    feed(c, cmd, argv, argc)


cdef void feed(Ctx* c, Command* cmd, Arg* argv, int argc) noexcept nogil:
    cdef Push* p = <Push*>c.kv.pubsub
    cdef Session* s
    cdef Buffer line
    cdef int i
    buffer_init(&line)
    put_line(c, cmd, argv, argc, &line)
    if not line.failed:
        for i in range(p.n_monitors):
            s = p.monitors[i]
            if not s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
                push_bytes(s, line.p, line.n)
    buffer_free(&line)
