"""Reading a command's arguments (contract: args.pxd)."""

from libkv.engine.reply cimport reply_error, reply_not_float, reply_not_int, reply_syntax
from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET
from libkv.structures.number cimport number_parse_double, number_parse_i64


cdef bint arg_int(Arg* a, int64_t* out, Reply* r) noexcept nogil:
    if number_parse_i64(a.p, a.n, out):
        return True
    reply_not_int(r)
    return False


cdef bint arg_int_msg(Arg* a, int64_t* out, Reply* r, const char* message) noexcept nogil:
    if number_parse_i64(a.p, a.n, out):
        return True
    reply_error(r, message)
    return False


cdef bint arg_range(Arg* a, int64_t low, int64_t high, int64_t* out, Reply* r, const char* message) noexcept nogil:
    if not number_parse_i64(a.p, a.n, out):
        if message != NULL:
            reply_error(r, message)
        elif low == 0:
            reply_error(r, b"ERR value is out of range, must be positive")
        else:
            reply_not_int(r)
        return False
    if low <= out[0] <= high:
        return True
    if message != NULL:
        reply_error(r, message)
    elif low == 0:
        reply_error(r, b"ERR value is out of range, must be positive")
    else:
        reply_error(r, b"ERR value is out of range")
    return False


cdef bint arg_double(Arg* a, double* out, Reply* r, const char* message) noexcept nogil:
    if number_parse_double(a.p, a.n, out):
        return True
    if message != NULL:
        reply_error(r, message)
    else:
        reply_not_float(r)
    return False


cdef bint arg_cursor(Arg* a, uint64_t* out, Reply* r) noexcept nogil:
    """An unsigned 64-bit number, read as strtoul reads it (so up to a NUL), without spaces in front or anything behind."""
    cdef uint64_t v = 0
    cdef size_t i = 0
    cdef size_t n = 0
    cdef uint64_t digit
    cdef bint negative = False
    cdef bint full = False
    while n < a.n and a.p[n] != 0:
        n += 1
    if n and (a.p[0] == b"-" or a.p[0] == b"+"):
        negative = a.p[0] == b"-"
        i = 1
    if i == n:
        if n == 0:
            out[0] = 0
            return True
        reply_error(r, b"ERR invalid cursor")
        return False
    while i < n:
        if a.p[i] < 48 or a.p[i] > 57:
            reply_error(r, b"ERR invalid cursor")
            return False
        digit = <uint64_t>(a.p[i] - 48)
        if full or v > (<uint64_t>-1 - digit) // 10:
            full = True
        else:
            v = v * 10 + digit
        i += 1
    if full:
        reply_error(r, b"ERR invalid cursor")
        return False
    out[0] = <uint64_t>0 - v if negative else v
    return True


# ---- patterns

cdef inline unsigned char folded(char ch, bint nocase) noexcept nogil:
    if nocase and 65 <= ch <= 90:
        return <unsigned char>(ch + 32)
    return <unsigned char>ch


cdef const char* class_match(const char* p, const char* end, unsigned char ch, bint nocase, bint* hit) noexcept nogil:
    """Reads a [class] whose '[' is behind p; returns where it ends (at ']' or at the last byte of the pattern)."""
    cdef bint negated = p < end and p[0] == b"^"
    cdef bint found = False
    cdef unsigned char low
    cdef unsigned char high
    cdef unsigned char swap
    if negated:
        p += 1
    while True:
        if p >= end:
            p -= 1
            break
        if p[0] == b"\\" and end - p >= 2:
            p += 1
            if folded(p[0], nocase) == ch:
                found = True
        elif p[0] == b"]":
            break
        elif end - p >= 3 and p[1] == b"-":
            low = folded(p[0], nocase)
            high = folded(p[2], nocase)
            if low > high:
                swap = low
                low = high
                high = swap
            if low <= ch <= high:
                found = True
            p += 2
        elif folded(p[0], nocase) == ch:
            found = True
        p += 1
    hit[0] = found != negated
    return p


cdef bint glob_match(const char* pattern, size_t pattern_n, const char* text, size_t text_n, bint nocase) noexcept nogil:
    """Backtracks to the last star only: a later star takes over from an earlier one, so the work is at most
    pattern_n * text_n, also for patterns made to be slow.  As in Redis, only the empty pattern takes the empty text."""
    cdef const char* p = pattern
    cdef const char* p_end = pattern + pattern_n
    cdef const char* t = text
    cdef const char* t_end = text + text_n
    cdef const char* star = NULL        # behind the last star
    cdef const char* star_t = NULL      # what it has not eaten yet
    cdef const char* after
    cdef bint hit
    if text_n == 0:
        return pattern_n == 0
    while True:
        if p < p_end and p[0] == b"*":
            while p < p_end and p[0] == b"*":
                p += 1
            if p == p_end:
                return True
            star = p
            star_t = t
            continue
        if t == t_end:
            return p == p_end
        hit = False
        after = p
        if p < p_end:
            if p[0] == b"?":
                hit = True
            elif p[0] == b"[":
                after = class_match(p + 1, p_end, folded(t[0], nocase), nocase, &hit)
            else:
                if p[0] == b"\\" and p_end - p >= 2:
                    after = p + 1
                hit = folded(after[0], nocase) == folded(t[0], nocase)
        if hit:
            p = after + 1
            t += 1
            continue
        if star == NULL:
            return False
        star_t += 1
        t = star_t
        p = star


# ---- the SCAN family

cdef int type_named(Arg* a) noexcept nogil:
    if arg_is(a, b"string", 6):
        return TYPE_STRING
    if arg_is(a, b"list", 4):
        return TYPE_LIST
    if arg_is(a, b"set", 3):
        return TYPE_SET
    if arg_is(a, b"zset", 4):
        return TYPE_ZSET
    if arg_is(a, b"hash", 4):
        return TYPE_HASH
    if arg_is(a, b"stream", 6):
        return TYPE_STREAM
    return -1


cdef bint arg_scan(Ctx* c, Arg* argv, int argc, int first, bint keys, ScanOptions* o, Reply* r) noexcept nogil:
    cdef int i = first + 1
    o.count = 10
    o.pattern = NULL
    o.pattern_n = 0
    o.type = -1
    o.no_match = False
    if not arg_cursor(&argv[first], &o.cursor, r):
        return False
    while i < argc:
        if i + 1 < argc and arg_is(&argv[i], b"count", 5):
            if not arg_int(&argv[i + 1], &o.count, r):
                return False
            if o.count < 1:
                reply_syntax(r)
                return False
        elif i + 1 < argc and arg_is(&argv[i], b"match", 5):
            o.pattern = argv[i + 1].p
            o.pattern_n = argv[i + 1].n
            if o.pattern_n == 1 and o.pattern[0] == b"*":
                o.pattern = NULL
        elif keys and i + 1 < argc and arg_is(&argv[i], b"type", 4):
            o.type = type_named(&argv[i + 1])
            o.no_match = o.type < 0
        else:
            reply_syntax(r)
            return False
        i += 2
    return True
