"""RESP requests out of a stream of bytes (contract: parser.pxd)."""

from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memset

from libkv.engine.words cimport WORDS_END, WORDS_UNBALANCED, words_next
from libkv.structures.alloc cimport LIKELY, UNLIKELY
from libkv.structures.buffer cimport buffer_free, buffer_room
from libkv.structures.number cimport number_parse_i64

cdef enum:
    UNTRUSTED_ARGS = 10         # before AUTH: arguments of a command, and bytes of each
    UNTRUSTED_BULK = 16384
    NO_NUMBER = -4611686018427387904    # what read_length makes of a line that is none: below every limit


cdef void parser_init(Parser* ps) noexcept nogil:
    memset(ps, 0, sizeof(Parser))
    ps.bulk = -1
    ps.max_bulk = 512 << 20
    ps.trusted = True


cdef void parser_free(Parser* ps) noexcept nogil:
    free(ps.args)
    buffer_free(&ps.line)
    parser_init(ps)


cdef inline void reset(Parser* ps) noexcept nogil:
    ps.want = 0
    ps.bulk = -1
    ps.have = 0


cdef void parser_restart(Parser* ps) noexcept nogil:
    reset(ps)
    ps.pos = 0
    ps.error = NULL


cdef int fail(Parser* ps, const char* why) noexcept nogil:
    ps.error = why
    return PARSE_ERROR


cdef bint own_room(Parser* ps, int n) noexcept nogil:
    """Room for n arguments in the parser's own array."""
    cdef int cap = ps.cap if ps.cap else 16
    cdef Arg* more
    if n <= ps.cap:
        return True
    while cap < n:
        cap = cap * 2 if cap < (1 << 29) else n
    more = <Arg*>realloc(ps.args, <size_t>cap * sizeof(Arg))
    if more == NULL:
        return False
    ps.args = more
    ps.cap = cap
    return True


cdef int read_length(Parser* ps, const char* base, size_t n, const char* too_long, int64_t* v) noexcept nogil:
    """The number from ps.pos + 1 to the line's end; PARSE_COMMAND: v is read and pos behind the line."""
    cdef const char* p = base + ps.pos + 1
    cdef const char* end = base + n
    cdef const char* q = p
    cdef int64_t small = 0
    while q < end and 48 <= q[0] <= 57 and q - p < 9:
        small = small * 10 + (q[0] - 48)
        q += 1
    if LIKELY(end - q >= 2 and q[0] == 13 and q > p and (p[0] != 48 or q - p == 1)):
        v[0] = small
        ps.pos = q + 2 - base
        return PARSE_COMMAND
    q = <const char*>memchr(p, 13, end - p)
    if q == NULL or end - q < 2:
        if end - p > INLINE_MAX_LINE:
            return fail(ps, too_long)
        return PARSE_MORE
    v[0] = -1
    if not number_parse_i64(p, q - p, v):
        v[0] = NO_NUMBER
    ps.pos = q + 2 - base
    return PARSE_COMMAND


cdef int parser_next(Parser* ps, const char* base, size_t n, Arg* room, int room_n, Arg** argv, int* argc) noexcept nogil:
    cdef int64_t v = 0
    cdef int state
    if ps.want == 0:
        ps.pos = 0
        if n == 0:
            return PARSE_MORE
        if UNLIKELY(base[0] != c"*"):
            return inline_next(ps, base, n, argv, argc)
        state = read_length(ps, base, n, b"too big mbulk count string", &v)
        if state != PARSE_COMMAND:
            return state
        if v > 0x7fffffff or v == NO_NUMBER:
            return fail(ps, b"invalid multibulk length")
        if v > UNTRUSTED_ARGS and not ps.trusted:
            return fail(ps, b"unauthenticated multibulk length")
        if v <= 0:
            return PARSE_NOTHING
        if v > room_n and room_n > 0:
            ps.pos = 0
            return PARSE_FULL
        ps.want = v
    return array_next(ps, base, n, room, room_n, argv, argc)


cdef int array_next(Parser* ps, const char* base, size_t n, Arg* room, int room_n, Arg** argv, int* argc) noexcept nogil:
    """Arguments of the array in work, from ps.pos on."""
    cdef Arg* args = room if room_n > 0 and ps.have == 0 else ps.args
    cdef bint own = args != room or room_n == 0
    cdef int state
    cdef int i
    while ps.have < ps.want:
        if ps.bulk < 0:
            if ps.pos >= n:
                break
            if UNLIKELY(base[ps.pos] != c"$"):
                # Redis looks for the line's end first, and finds none behind a NUL
                if base[ps.pos] == 0 or memchr(base + ps.pos, 13, n - ps.pos) == NULL:
                    if n - ps.pos > INLINE_MAX_LINE:
                        return fail(ps, b"too big bulk count string")
                    break
                snprintf(ps.text, sizeof(ps.text), b"expected '$', got '%c'",
                         <int>(base[ps.pos] if base[ps.pos] != 13 and base[ps.pos] != 10 else 32))
                return fail(ps, ps.text)
            state = read_length(ps, base, n, b"too big bulk count string", &ps.bulk)
            if UNLIKELY(state != PARSE_COMMAND):
                ps.bulk = -1
                if state == PARSE_ERROR:
                    return state
                break
            if UNLIKELY(ps.bulk < 0 or ps.bulk > ps.max_bulk):
                return fail(ps, b"invalid bulk length")
            if UNLIKELY(ps.bulk > UNTRUSTED_BULK and not ps.trusted):
                return fail(ps, b"unauthenticated bulk length")
        if n - ps.pos < <size_t>ps.bulk + 2:
            break
        if UNLIKELY(own):
            if not own_room(ps, ps.have + 1):
                return fail(ps, b"no memory for the arguments")
            args = ps.args
        args[ps.have].p = <const char*>ps.pos
        args[ps.have].n = <size_t>ps.bulk
        args[ps.have].hashed = False
        ps.have += 1
        ps.pos += <size_t>ps.bulk + 2
        ps.bulk = -1
    if UNLIKELY(ps.have < ps.want):
        if not own and ps.have:         # goes on later: what has come moves to the parser's own array
            if not own_room(ps, ps.have):
                return fail(ps, b"no memory for the arguments")
            for i in range(ps.have):
                ps.args[i] = room[i]
        return PARSE_MORE
    argc[0] = ps.have
    argv[0] = args
    for i in range(ps.have):
        args[i].p = <const char*>(<size_t>base + <size_t>args[i].p)    # of one apart the sum wraps, as it should
    reset(ps)
    return PARSE_COMMAND


cdef bint parser_take_apart(Parser* ps) noexcept nogil:
    if not own_room(ps, ps.have + 1):
        return False
    ps.args[ps.have].p = NULL
    ps.args[ps.have].n = <size_t>ps.bulk
    ps.args[ps.have].hashed = False
    ps.have += 1
    ps.bulk = -1
    return True


cdef size_t parser_expects(Parser* ps) noexcept nogil:
    return <size_t>ps.bulk + 2 if ps.bulk >= 0 else 0


# ---- inline commands

cdef int inline_next(Parser* ps, const char* base, size_t n, Arg** argv, int* argc) noexcept nogil:
    cdef const char* newline = <const char*>memchr(base, 10, n)
    cdef const char* p = base
    cdef const char* end
    cdef int found
    cdef int count = 0
    cdef int i
    cdef size_t start
    if newline == NULL or memchr(base, 0, newline - base) != NULL:      # Redis finds no line end behind a NUL
        if n > INLINE_MAX_LINE:
            return fail(ps, b"too big inline request")
        return PARSE_MORE
    ps.pos = newline + 1 - base
    end = newline - 1 if newline > base and newline[-1] == 13 else newline
    ps.line.n = 0
    if buffer_room(&ps.line, 1) == NULL:
        return fail(ps, b"no memory for the arguments")
    while True:
        start = ps.line.n
        found = words_next(&p, end, &ps.line)
        if found == WORDS_END:
            break
        if found == WORDS_UNBALANCED:
            return fail(ps, b"unbalanced quotes in request")
        if not own_room(ps, count + 1) or ps.line.failed:
            return fail(ps, b"no memory for the arguments")
        ps.args[count].p = <const char*>start
        ps.args[count].n = ps.line.n - start
        ps.args[count].hashed = False
        count += 1
    if count == 0:
        return PARSE_NOTHING
    for i in range(count):
        ps.args[i].p = ps.line.p + <size_t>ps.args[i].p
    argv[0] = ps.args
    argc[0] = count
    reset(ps)
    return PARSE_COMMAND
