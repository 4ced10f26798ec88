"""A user's rules as text (contract: acl_describe.pxd).

The normal form is redis-server 7.0.15's: `+@all` or `-@all`, then the categories that come nearest to the bits, then what
they could not say.  Redis lists those single commands in the order of a hash table; here it is the command table's.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset, strlen

from libkv.engine.acl_rules cimport (
    ACL_FUTURE, ACL_HEX, PATTERN_READ, PATTERN_WRITE, SELECTOR_ALL_CHANNELS, SELECTOR_ALL_KEYS, USER_NOPASS, USER_ON,
    USER_SANITIZE, USER_SKIP_SANITIZE, AclFirst, AclPassword, AclPattern, acl_allow_all, acl_allow_category,
    acl_allow_row, acl_bit, acl_first_text, acl_pattern_text, acl_row, acl_rows,
)
from libkv.engine.registry cimport CATEGORY_NAMES, command_category_name
from libkv.structures.buffer cimport buffer_add


cdef void put(Buffer* out, const char* text) noexcept nogil:
    buffer_add(out, text, strlen(text))


cdef void acl_describe_flags(AclUser* u, Buffer* out) noexcept nogil:
    put(out, b"on" if u.flags & USER_ON else b"off")
    if u.flags & USER_NOPASS:
        put(out, b" nopass")
    if u.flags & USER_SKIP_SANITIZE:
        put(out, b" skip-sanitize-payload")
    if u.flags & USER_SANITIZE:
        put(out, b" sanitize-payload")


cdef void put_patterns(AclPattern* p, const char* sigil, Buffer* out) noexcept nogil:
    cdef bint space = False
    while p != NULL:
        if space:
            put(out, b" ")
        space = True
        if p.flags == PATTERN_READ:
            put(out, b"%R~")
        elif p.flags == PATTERN_WRITE:
            put(out, b"%W~")
        else:
            put(out, sigil)
        buffer_add(out, acl_pattern_text(p), p.n)
        p = p.next


cdef void acl_describe_keys(AclSelector* s, Buffer* out) noexcept nogil:
    if s.flags & SELECTOR_ALL_KEYS:
        put(out, b"~*")
    else:
        put_patterns(s.keys, b"~", out)


cdef void acl_describe_channels(AclSelector* s, Buffer* out) noexcept nogil:
    if s.flags & SELECTOR_ALL_CHANNELS:
        put(out, b"&*")
    else:
        put_patterns(s.channels, b"&", out)


cdef int best_category(AclSelector* left, uint64_t applied, bint additive) noexcept nogil:
    """The category that comes nearest to the bits: most of it is wanted, and of it the least is not; -1: none."""
    cdef int best = -1
    cdef int least = 0x7fffffff
    cdef int most = 0
    cdef int category, i, on, off, unwanted, wanted
    for category in range(CATEGORY_NAMES):
        if applied >> category & 1:
            continue
        on = off = 0
        for i in range(acl_rows()):
            if acl_row(i).categories >> category & 1:
                if acl_bit(left, i):
                    on += 1
                else:
                    off += 1
        unwanted = off if additive else on
        wanted = on if additive else off
        if wanted > unwanted and (unwanted < least or (unwanted == least and wanted > most)):
            best = category
            least = unwanted
            most = wanted
    return best


cdef void put_single_commands(AclSelector* s, AclSelector* told, Buffer* out) noexcept nogil:
    """What categories could not say."""
    cdef AclFirst* f
    cdef int i
    cdef bint on
    for i in range(acl_rows()):
        on = acl_bit(s, i)
        if on != acl_bit(told, i):
            put(out, b" +" if on else b" -")
            buffer_add(out, acl_row(i).name, acl_row(i).name_n)
            acl_allow_row(told, i, on)
        f = s.firsts
        while f != NULL and not on:
            if <int>f.row == i:
                put(out, b" +")
                buffer_add(out, acl_row(i).name, acl_row(i).name_n)
                put(out, b"|")
                buffer_add(out, acl_first_text(f), f.n)
            f = f.next


cdef void acl_describe_commands(AclSelector* s, Buffer* out) noexcept nogil:
    """Everything or nothing first, then the categories that lead to the bits fastest, then single commands."""
    cdef AclSelector told       # what the words so far allow
    cdef AclSelector left       # the bits without the categories that were told
    cdef bint additive = not acl_bit(s, ACL_FUTURE)
    cdef uint64_t applied = 0
    cdef int best
    memset(&told, 0, sizeof(AclSelector))
    left = s[0]
    acl_allow_all(&told, not additive)
    put(out, b"-@all" if additive else b"+@all")
    while True:
        best = best_category(&left, applied, additive)
        if best < 0:
            break
        applied |= <uint64_t>1 << best
        put(out, b" +@" if additive else b" -@")
        put(out, command_category_name(best))
        acl_allow_category(&told, best, additive)
        acl_allow_category(&left, best, not additive)
    put_single_commands(s, &told, out)


cdef void put_selector(AclSelector* s, Buffer* out) noexcept nogil:
    if s.flags & SELECTOR_ALL_KEYS or s.keys != NULL:
        acl_describe_keys(s, out)
        put(out, b" ")
    if not s.flags & SELECTOR_ALL_CHANNELS:
        put(out, b"resetchannels ")
    if s.flags & SELECTOR_ALL_CHANNELS or s.channels != NULL:
        acl_describe_channels(s, out)
        put(out, b" ")
    acl_describe_commands(s, out)


cdef void acl_describe(AclUser* u, Buffer* out) noexcept nogil:
    cdef AclPassword* p = u.passwords
    cdef AclSelector* s = u.root.next
    acl_describe_flags(u, out)
    while p != NULL:
        put(out, b" #")
        buffer_add(out, p.hex, ACL_HEX)
        p = p.next
    put(out, b" ")
    put_selector(&u.root, out)
    while s != NULL:
        put(out, b" (")
        put_selector(s, out)
        put(out, b")")
        s = s.next
