"""The journal's manifest (contract: manifest.pxd).

Follows Redis 7.0's multi-part AOF (https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/).
Names are quoted as Redis quotes them when they hold anything but plain characters.
"""

import os

from libc.stdio cimport snprintf
from libc.stdlib cimport free, realloc, strtoll
from libc.string cimport memchr, memmove, memset, strcmp, strlen

from libkv.structures.buffer cimport buffer_add

cdef enum:
    LINE_MAX = 1024             # bytes of a line, as in Redis
    WORDS = 6                   # file NAME seq N type T


cdef void manifest_clear(Manifest* m) noexcept nogil:
    free(m.parts)
    memset(m, 0, sizeof(Manifest))


cdef int manifest_copy(Manifest* to, Manifest* m) noexcept nogil:
    cdef int i
    manifest_clear(to)
    for i in range(m.n):
        if manifest_add(to, m.parts[i].name, m.parts[i].seq, m.parts[i].type) == NULL:
            manifest_clear(to)
            return -1
    to.base_seq = m.base_seq
    to.increment_seq = m.increment_seq
    return 0


cdef Part* manifest_add(Manifest* m, const char* name, int64_t seq, int type) noexcept nogil:
    cdef Part* more
    cdef int cap
    if m.n == m.cap:
        cap = m.cap * 2 if m.cap else 8
        more = <Part*>realloc(m.parts, cap * sizeof(Part))
        if more == NULL:
            return NULL
        m.parts = more
        m.cap = cap
    more = &m.parts[m.n]
    if type == PART_BASE:               # it comes first
        memmove(m.parts + 1, m.parts, m.n * sizeof(Part))
        more = m.parts
    memset(more, 0, sizeof(Part))
    snprintf(more.name, MANIFEST_NAME, b"%s", name)
    more.seq = seq
    more.type = type
    m.n += 1
    if type == PART_BASE and seq > m.base_seq:
        m.base_seq = seq
    if type == PART_INCREMENT and seq > m.increment_seq:
        m.increment_seq = seq
    return more


cdef Part* manifest_base(Manifest* m) noexcept nogil:
    cdef int i
    for i in range(m.n):
        if m.parts[i].type == PART_BASE:
            return &m.parts[i]
    return NULL


cdef Part* manifest_last(Manifest* m) noexcept nogil:
    cdef int i
    for i in range(m.n - 1, -1, -1):
        if m.parts[i].type == PART_INCREMENT:
            return &m.parts[i]
    return NULL


cdef void manifest_retire(Manifest* m, int64_t before) noexcept nogil:
    cdef int i
    for i in range(m.n):
        if m.parts[i].type == PART_BASE or (m.parts[i].type == PART_INCREMENT and m.parts[i].seq < before):
            m.parts[i].type = PART_HISTORY


cdef void manifest_drop_history(Manifest* m) noexcept nogil:
    cdef int i
    cdef int kept = 0
    for i in range(m.n):
        if m.parts[i].type != PART_HISTORY:
            m.parts[kept] = m.parts[i]
            kept += 1
    m.n = kept


cdef int manifest_name(char* out, const char* prefix, int64_t seq, int type, bint rdb) noexcept nogil:
    cdef const char* form = b"%s.%lld.incr.aof"
    if type == PART_BASE:
        form = b"%s.%lld.base.rdb" if rdb else b"%s.%lld.base.aof"
    return 0 if snprintf(out, MANIFEST_NAME, form, prefix, <long long>seq) < MANIFEST_NAME else -1


# ---- text

cdef bint is_plain(const char* name) noexcept nogil:
    cdef size_t i
    for i in range(strlen(name)):
        if not (32 < <unsigned char>name[i] < 127) or name[i] == 34 or name[i] == 39 or name[i] == 92:
            return False
    return name[0] != 0


cdef void print_quoted(Buffer* out, const char* name) noexcept nogil:
    cdef char text[8]
    cdef size_t i
    cdef unsigned char c
    buffer_add(out, b"\"", 1)
    for i in range(strlen(name)):
        c = <unsigned char>name[i]
        if c == 34 or c == 92:
            buffer_add(out, b"\\", 1)
            buffer_add(out, name + i, 1)
        elif c < 32 or c > 126:
            buffer_add(out, text, snprintf(text, sizeof(text), b"\\x%02x", <unsigned int>c))
        else:
            buffer_add(out, name + i, 1)
    buffer_add(out, b"\"", 1)


cdef void manifest_print(Manifest* m, Buffer* out) noexcept nogil:
    """Base, then history, then increments."""
    cdef char text[64]
    cdef int order[3]
    cdef int i
    cdef int k
    order[0] = PART_BASE
    order[1] = PART_HISTORY
    order[2] = PART_INCREMENT
    for k in range(3):
        for i in range(m.n):
            if m.parts[i].type != order[k]:
                continue
            buffer_add(out, b"file ", 5)
            if is_plain(m.parts[i].name):
                buffer_add(out, m.parts[i].name, strlen(m.parts[i].name))
            else:
                print_quoted(out, m.parts[i].name)
            buffer_add(out, text, snprintf(text, sizeof(text), b" seq %lld type %c\n", <long long>m.parts[i].seq,
                                           m.parts[i].type))


cdef int hex_digit(char c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    c = c | 32
    return c - 87 if 97 <= c <= 102 else -1


cdef const char* read_quoted(const char* p, const char* end, char* word) noexcept nogil:
    """A word in double quotes, from behind the first; returns what follows the last, or NULL."""
    cdef size_t n = 0
    while p < end and p[0] != 34:
        if n >= MANIFEST_NAME - 1:
            return NULL
        if p[0] == 92 and end - p >= 4 and p[1] == c"x" and hex_digit(p[2]) >= 0 and hex_digit(p[3]) >= 0:
            word[n] = <char>(hex_digit(p[2]) * 16 + hex_digit(p[3]))
            p += 4
        elif p[0] == 92 and end - p >= 2:
            word[n] = p[1]
            p += 2
        else:
            word[n] = p[0]
            p += 1
        n += 1
    word[n] = 0
    return p + 1 if p < end else NULL


cdef int split(const char* p, const char* end, char words[WORDS][MANIFEST_NAME]) noexcept nogil:
    """The words of a line; -1: too many, too long, or a quote left open."""
    cdef int k = 0
    cdef size_t n
    while True:
        while p < end and (p[0] == 32 or p[0] == 9 or p[0] == 13):
            p += 1
        if p >= end:
            return k
        if k == WORDS:
            return -1
        if p[0] == 34:
            p = read_quoted(p + 1, end, words[k])
            if p == NULL:
                return -1
        else:
            n = 0
            while p < end and p[0] != 32 and p[0] != 9 and p[0] != 13:
                if n >= MANIFEST_NAME - 1:
                    return -1
                words[k][n] = p[0]
                n += 1
                p += 1
            words[k][n] = 0
        k += 1


cdef const char* read_line(Manifest* m, const char* p, const char* end) noexcept nogil:
    """One line; NULL, or why it is wrong."""
    cdef char words[WORDS][MANIFEST_NAME]
    cdef int n = split(p, end, words)
    cdef int64_t seq
    cdef char* rest
    cdef int type
    cdef Part* last
    if n != WORDS or strcmp(words[0], b"file") != 0 or strcmp(words[2], b"seq") != 0 or strcmp(words[4], b"type") != 0:
        return b"a line must be: file NAME seq NUMBER type b|h|i"
    if words[1][0] == 0 or memchr(words[1], c"/", strlen(words[1])) != NULL:
        return b"a file's name must be a name, not a path"
    seq = strtoll(words[3], &rest, 10)
    if rest == words[3] or rest[0] != 0 or seq < 1:
        return b"a sequence number must be 1 or more"
    type = words[5][0]
    if words[5][1] != 0 or (type != PART_BASE and type != PART_HISTORY and type != PART_INCREMENT):
        return b"a type must be b, h or i"
    if type == PART_BASE and manifest_base(m) != NULL:
        return b"there are two base files"
    last = manifest_last(m)
    if type == PART_INCREMENT and last != NULL and seq <= last.seq:
        return b"the increments' numbers don't grow"
    if manifest_add(m, words[1], seq, type) == NULL:
        return b"there is no memory for it"
    return NULL


cdef int manifest_read(Manifest* m, const char* p, size_t n, const char** why) noexcept nogil:
    cdef const char* end = p + n
    cdef const char* stop
    cdef int line = 0
    manifest_clear(m)
    why[0] = b"the manifest is empty"
    while p < end:
        line += 1
        stop = <const char*>memchr(p, 10, end - p)
        if stop == NULL:
            why[0] = b"the line has no end"
            return line
        if stop - p >= LINE_MAX:
            why[0] = b"the line is too long"
            return line
        if p[0] != c"#":
            why[0] = read_line(m, p, stop)
            if why[0] != NULL:
                return line
        p = stop + 1
    if m.n == 0:
        why[0] = b"the manifest is empty"
        return line + 1
    return 0


def read_manifest(bytes text):
    """The files that a manifest names, in its order: a list of (name, "b" | "h" | "i").  ValueError: what is wrong, where."""
    cdef Manifest m
    cdef const char* why
    cdef int line
    memset(&m, 0, sizeof(Manifest))
    line = manifest_read(&m, text, len(text), &why)
    try:
        if line < 0:
            raise MemoryError
        if line:
            raise ValueError(f"line {line}: {why.decode()}")
        return [(os.fsdecode(m.parts[i].name), chr(m.parts[i].type)) for i in range(m.n)]
    finally:
        manifest_clear(&m)
