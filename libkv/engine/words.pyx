"""Words of a line (contract: words.pxd).

Source: redis.io, "Redis serialization protocol specification", section Inline commands, and redis-server 7.0.15's
behaviour: "a b" has the escapes \\n \\r \\t \\b \\a and \\xHH, 'a b' only \\'; a closing quote must end the word.
"""

from libkv.structures.buffer cimport buffer_add


cdef int hex_digit(char ch) noexcept nogil:
    if 48 <= ch <= 57:
        return ch - 48
    ch |= 32
    if 97 <= ch <= 102:
        return ch - 87
    return -1


cdef bint is_space(char ch) noexcept nogil:
    return ch == 32 or 9 <= ch <= 13


cdef const char* escaped(const char* p, const char* end, char* out) noexcept nogil:
    """One byte of a "..." word, escapes read; returns what follows it."""
    if p[0] != c"\\" or end - p < 2:
        out[0] = p[0]
        return p + 1
    if p[1] == c"x" and end - p >= 4 and hex_digit(p[2]) >= 0 and hex_digit(p[3]) >= 0:
        out[0] = <char>(hex_digit(p[2]) * 16 + hex_digit(p[3]))
        return p + 4
    if p[1] == c"n":
        out[0] = 10
    elif p[1] == c"r":
        out[0] = 13
    elif p[1] == c"t":
        out[0] = 9
    elif p[1] == c"b":
        out[0] = 8
    elif p[1] == c"a":
        out[0] = 7
    else:
        out[0] = p[1]
    return p + 2


cdef const char* word(Buffer* out, const char* p, const char* end, bint* bad) noexcept nogil:
    """One word into `out`; returns what follows it."""
    cdef char byte
    cdef char quote = 0
    while p < end:
        if quote:
            if p[0] == quote:
                if p + 1 < end and not is_space(p[1]):
                    bad[0] = True       # a closing quote must end the word
                return p + 1
            if quote == 39 and p[0] == c"\\" and p + 1 < end and p[1] == 39:
                byte = 39
                p += 2
            elif quote == 34:
                p = escaped(p, end, &byte)
            else:
                byte = p[0]
                p += 1
            buffer_add(out, &byte, 1)
            continue
        if is_space(p[0]) or p[0] == 0:
            return p
        if p[0] == 34 or p[0] == 39:
            quote = p[0]
        else:
            buffer_add(out, p, 1)
        p += 1
    if quote:
        bad[0] = True
    return p


cdef int words_next(const char** p, const char* end, Buffer* out) noexcept nogil:
    cdef bint bad = False
    while p[0] < end and is_space(p[0][0]):
        p[0] += 1
    if p[0] >= end or p[0][0] == 0:
        return WORDS_END
    p[0] = word(out, p[0], end, &bad)
    return WORDS_UNBALANCED if bad else WORDS_WORD
