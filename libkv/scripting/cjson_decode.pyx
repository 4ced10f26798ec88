"""cjson.decode (contract: cjson_decode.pxd).

Source: the manual of lua-cjson 2.1.0, RFC 8259, and redis-server 7.0.15's results and errors.  A text ends at its first
NUL outside a string.  Numbers are read as strtod reads them; by default so are NaN, Infinity and hexadecimal ones.
"""

from libc.stdlib cimport strtod
from libc.string cimport strncmp

from libkv.scripting.lua cimport lua
from libkv.scripting.vm cimport vm_of
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)

cdef enum:
    TOKEN_OBJECT = 0
    TOKEN_OBJECT_END = 1
    TOKEN_ARRAY = 2
    TOKEN_ARRAY_END = 3
    TOKEN_STRING = 4
    TOKEN_NUMBER = 5
    TOKEN_BOOLEAN = 6
    TOKEN_NULL = 7
    TOKEN_COLON = 8
    TOKEN_COMMA = 9
    TOKEN_END = 10
    TOKEN_ERROR = 11

cdef const char* TOKENS[12]
TOKENS[0] = b"T_OBJ_BEGIN"
TOKENS[1] = b"T_OBJ_END"
TOKENS[2] = b"T_ARR_BEGIN"
TOKENS[3] = b"T_ARR_END"
TOKENS[4] = b"T_STRING"
TOKENS[5] = b"T_NUMBER"
TOKENS[6] = b"T_BOOLEAN"
TOKENS[7] = b"T_NULL"
TOKENS[8] = b"T_COLON"
TOKENS[9] = b"T_COMMA"
TOKENS[10] = b"T_END"
TOKENS[11] = b"T_ERROR"

cdef struct Text:
    const char* begin
    const char* p
    CjsonSettings* o
    Buffer* word                # a string with its escapes resolved
    int depth
    # the token
    int type
    size_t at
    const char* error           # TOKEN_ERROR
    double number
    bint truth


cdef void token_error(Text* t, const char* what) noexcept nogil:
    t.type = TOKEN_ERROR
    t.at = t.p - t.begin
    t.error = what


cdef int fail(LuaState* L, Text* t, const char* expected) noexcept nogil:
    return lua.L_error(L, b"Expected %s but found %s at character %d", expected,
                       t.error if t.type == TOKEN_ERROR else TOKENS[t.type], <int>t.at + 1)


# ---- tokens

cdef int hex_digits(const char* p) noexcept nogil:
    """Four digits' value, -1: they are not there."""
    cdef int v = 0
    cdef int i
    cdef int c
    for i in range(4):
        c = <unsigned char>p[i]
        if 48 <= c <= 57:
            c -= 48
        elif 65 <= (c & ~32) <= 70:
            c = (c & ~32) - 55
        else:
            return -1
        v = v << 4 | c
    return v


cdef void put_utf8(Buffer* out, int code) noexcept nogil:
    cdef char[4] b
    if code < 0x80:
        b[0] = <char>code
        buffer_add(out, b, 1)
    elif code < 0x800:
        b[0] = <char>(0xc0 | code >> 6)
        b[1] = <char>(0x80 | (code & 63))
        buffer_add(out, b, 2)
    elif code < 0x10000:
        b[0] = <char>(0xe0 | code >> 12)
        b[1] = <char>(0x80 | (code >> 6 & 63))
        b[2] = <char>(0x80 | (code & 63))
        buffer_add(out, b, 3)
    else:
        b[0] = <char>(0xf0 | code >> 18)
        b[1] = <char>(0x80 | (code >> 12 & 63))
        b[2] = <char>(0x80 | (code >> 6 & 63))
        b[3] = <char>(0x80 | (code & 63))
        buffer_add(out, b, 4)


cdef bint take_unicode(Text* t) noexcept nogil:
    """\\uXXXX, or a pair of surrogates."""
    cdef int code = hex_digits(t.p + 2)
    cdef int low
    if code < 0:
        return False
    if code & 0xf800 == 0xd800:
        if code & 0x400 or t.p[6] != 92 or t.p[7] != c"u":
            return False
        low = hex_digits(t.p + 8)
        if low < 0 or low & 0xfc00 != 0xdc00:
            return False
        code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff))
        t.p += 6
    t.p += 6
    put_utf8(t.word, code)
    return True


cdef char escaped(char c) noexcept nogil:
    if c == 34 or c == 92 or c == 47:
        return c
    if c == c"b":
        return 8
    if c == c"t":
        return 9
    if c == c"n":
        return 10
    if c == c"f":
        return 12
    if c == c"r":
        return 13
    return 0


cdef void take_string(Text* t) noexcept nogil:
    cdef const char* begun
    cdef char c
    t.word.n = 0
    t.p += 1
    begun = t.p
    while t.p[0] != 34:
        if t.p[0] == 0:
            token_error(t, b"unexpected end of string")
            return
        if t.p[0] != 92:
            t.p += 1
            continue
        buffer_add(t.word, begun, t.p - begun)
        if t.p[1] == c"u":
            if not take_unicode(t):
                token_error(t, b"invalid unicode escape code")
                return
        else:
            c = escaped(t.p[1])
            if c == 0:
                token_error(t, b"invalid escape code")
                return
            buffer_add(t.word, &c, 1)
            t.p += 2
        begun = t.p
    buffer_add(t.word, begun, t.p - begun)
    t.p += 1
    t.type = TOKEN_STRING


cdef void take_number(Text* t) noexcept nogil:
    cdef char* end
    t.number = strtod(t.p, &end)
    if end == t.p:
        token_error(t, b"invalid number")
        return
    t.type = TOKEN_NUMBER
    t.p = end


cdef bint invalid_number(Text* t) noexcept nogil:
    """Numbers that JSON does not know: +1, 01, 0x1, inf, nan."""
    cdef const char* p = t.p
    if p[0] == c"+":
        return True
    if p[0] == c"-":
        p += 1
    if p[0] == c"0":
        return (p[1] | 32) == c"x" or 48 <= p[1] <= 57
    if p[0] <= c"9":
        return False
    return strncasecmp(p, b"inf", 3) == 0 or strncasecmp(p, b"nan", 3) == 0


cdef int punctuation(char c) noexcept nogil:
    if c == c"{":
        return TOKEN_OBJECT
    if c == c"}":
        return TOKEN_OBJECT_END
    if c == c"[":
        return TOKEN_ARRAY
    if c == c"]":
        return TOKEN_ARRAY_END
    if c == c",":
        return TOKEN_COMMA
    if c == c":":
        return TOKEN_COLON
    return -1


cdef void next_token(Text* t) noexcept nogil:
    cdef char c
    while t.p[0] == 32 or t.p[0] == 9 or t.p[0] == 10 or t.p[0] == 13:
        t.p += 1
    t.at = t.p - t.begin
    c = t.p[0]
    if c == 0:
        t.type = TOKEN_END
        return
    t.type = punctuation(c)
    if t.type >= 0:
        t.p += 1
    elif c == 34:
        take_string(t)
    elif c == c"-" or 48 <= c <= 57:
        if not t.o.decode_invalid and invalid_number(t):
            token_error(t, b"invalid number")
        else:
            take_number(t)
    elif strncmp(t.p, b"true", 4) == 0:
        t.type = TOKEN_BOOLEAN
        t.truth = True
        t.p += 4
    elif strncmp(t.p, b"false", 5) == 0:
        t.type = TOKEN_BOOLEAN
        t.truth = False
        t.p += 5
    elif strncmp(t.p, b"null", 4) == 0:
        t.type = TOKEN_NULL
        t.p += 4
    elif t.o.decode_invalid and (c == c"+" or (c | 32) == c"i" or (c | 32) == c"n") and invalid_number(t):
        take_number(t)
    else:
        token_error(t, b"invalid token")


# ---- values

cdef void descend(LuaState* L, Text* t, int slots) noexcept nogil:
    t.depth += 1
    if t.depth > t.o.decode_depth or not lua.checkstack(L, slots):
        lua.L_error(L, b"Found too many nested data structures (%d) at character %d", t.depth, <int>(t.p - t.begin))


cdef void take_object(LuaState* L, Text* t) noexcept nogil:
    descend(L, t, 4)
    lua.createtable(L, 0, 0)
    next_token(t)
    if t.type == TOKEN_OBJECT_END:
        t.depth -= 1
        return
    while True:
        if t.type != TOKEN_STRING:
            fail(L, t, b"object key string")
        push_word(L, t)
        next_token(t)
        if t.type != TOKEN_COLON:
            fail(L, t, b"colon")
        next_token(t)
        take_value(L, t)
        lua.rawset(L, -3)
        next_token(t)
        if t.type == TOKEN_OBJECT_END:
            break
        if t.type != TOKEN_COMMA:
            fail(L, t, b"comma or object end")
        next_token(t)
    t.depth -= 1


cdef void take_array(LuaState* L, Text* t) noexcept nogil:
    cdef int n = 0
    descend(L, t, 3)
    lua.createtable(L, 0, 0)
    next_token(t)
    if t.type == TOKEN_ARRAY_END:
        t.depth -= 1
        return
    while True:
        take_value(L, t)
        n += 1
        lua.rawseti(L, -2, n)
        next_token(t)
        if t.type == TOKEN_ARRAY_END:
            break
        if t.type != TOKEN_COMMA:
            fail(L, t, b"comma or array end")
        next_token(t)
    t.depth -= 1


cdef void push_word(LuaState* L, Text* t) noexcept nogil:
    if t.word.failed:
        buffer_free(t.word)
        lua.L_error(L, b"not enough memory")
    lua.pushlstring(L, t.word.p, t.word.n)


cdef void take_value(LuaState* L, Text* t) noexcept nogil:
    if t.type == TOKEN_STRING:
        push_word(L, t)
    elif t.type == TOKEN_NUMBER:
        lua.pushnumber(L, t.number)
    elif t.type == TOKEN_BOOLEAN:
        lua.pushboolean(L, t.truth)
    elif t.type == TOKEN_OBJECT:
        take_object(L, t)
    elif t.type == TOKEN_ARRAY:
        take_array(L, t)
    elif t.type == TOKEN_NULL:
        lua.pushlightuserdata(L, NULL)
    else:
        fail(L, t, b"value")


cdef void decode_text(LuaState* L, const char* p, size_t n, CjsonSettings* o) noexcept nogil:
    cdef Text t
    if n >= 2 and (p[0] == 0 or p[1] == 0):
        lua.L_error(L, b"JSON parser does not support UTF-16 or UTF-32")
    t.begin = t.p = p
    t.o = o
    t.word = &vm_of(L).text
    t.depth = 0
    next_token(&t)
    take_value(L, &t)
    next_token(&t)
    if t.type != TOKEN_END:
        fail(L, &t, b"the end")
