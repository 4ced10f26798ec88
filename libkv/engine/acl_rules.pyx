"""A user of the store and the rules that say what it may do (contract: acl_rules.pxd).

What each rule does, and what it is answered when it is wrong, follows redis-server 7.0.15.  Deviation: inside
parentheses, words are separated by spaces only; quotes are bytes like any others.
"""

from libc.stdlib cimport malloc
from libc.string cimport memchr, memcmp, memcpy, memset, strlen

from libkv.engine.keyspecs cimport keyspecs_text
from libkv.engine.registry cimport command_category
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.sha256 cimport sha256_text

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)

# ---- the rows of commands: constant after the import

cdef AclRow* row_table = NULL
cdef int row_count = 0

CHANNELS = {
    "publish": CHANNELS_FIRST, "spublish": CHANNELS_FIRST, "subscribe": CHANNELS_ALL, "ssubscribe": CHANNELS_ALL,
    "psubscribe": CHANNELS_PATTERNS,
}


cdef int acl_rows_fill() except -1:
    global row_table, row_count
    if row_table != NULL:
        return 0
    from libkv.commands.facts import rows   # not above: that package's modules import the engine
    cdef list all_rows = [row for _, row in rows()]
    cdef int i
    if len(all_rows) >= ACL_FUTURE:
        raise RuntimeError("more commands than a selector has bits")
    row_table = <AclRow*>malloc(sizeof(AclRow) * len(all_rows))
    if row_table == NULL:
        raise MemoryError
    cdef dict at = {row.name: i for i, row in enumerate(all_rows)}
    for i, row in enumerate(all_rows):
        row_table[i].name = keyspecs_text(row.name)
        row_table[i].name_n = len(row.name)
        row_table[i].subs = 0
        row_table[i].channels = CHANNELS.get(row.name, CHANNELS_NONE)
        row_table[i].categories = 0
        for word in row.acl.replace("@", "").split():
            row_table[i].categories |= <uint64_t>1 << command_category(<bytes>word.encode(), len(word))
        container, _, sub = row.name.partition("|")
        row_table[i].parent = at[container] if sub else -1
        if sub:
            row_table[row_table[i].parent].subs += 1
    row_count = len(all_rows)
    return 0


cdef int acl_rows() noexcept nogil:
    return row_count


cdef AclRow* acl_row(int i) noexcept nogil:
    return &row_table[i]


cdef int acl_row_find(const char* p, size_t n) noexcept nogil:
    cdef int i
    for i in range(row_count):
        if row_table[i].name_n == n and strncasecmp(row_table[i].name, p, n) == 0:
            return i
    return -1


cdef int acl_row_of(Command* cmd) noexcept nogil:
    return acl_row_find(cmd.full, cmd.full_n)


# ---- selectors

cdef inline void set_bit(AclSelector* s, int i, bint on) noexcept nogil:
    if on:
        s.commands[i >> 6] |= <uint64_t>1 << (i & 63)
    else:
        s.commands[i >> 6] &= ~(<uint64_t>1 << (i & 63))
        s.flags &= ~<uint32_t>SELECTOR_ALL_COMMANDS


cdef void selector_init(AclSelector* s, bint all_channels) noexcept nogil:
    memset(s, 0, sizeof(AclSelector))
    if all_channels:
        s.flags = SELECTOR_ALL_CHANNELS


cdef void free_patterns(Heap* h, AclPattern** list) noexcept nogil:
    cdef AclPattern* p
    while list[0] != NULL:
        p = list[0]
        list[0] = p.next
        heap_free(h, p, sizeof(AclPattern) + p.n)


cdef void free_firsts(Heap* h, AclSelector* s, int row) noexcept nogil:
    """The first arguments of one command; row -1: all."""
    cdef AclFirst** at = &s.firsts
    cdef AclFirst* f
    while at[0] != NULL:
        f = at[0]
        if row < 0 or <int>f.row == row:
            at[0] = f.next
            heap_free(h, f, sizeof(AclFirst) + f.n)
        else:
            at = &f.next


cdef void selector_clear(Heap* h, AclSelector* s) noexcept nogil:
    free_patterns(h, &s.keys)
    free_patterns(h, &s.channels)
    free_firsts(h, s, -1)


cdef AclPattern* find_pattern(AclPattern* p, const char* text, size_t n) noexcept nogil:
    while p != NULL and (p.n != n or memcmp(acl_pattern_text(p), text, n) != 0):
        p = p.next
    return p


cdef int add_pattern(Heap* h, AclPattern** list, const char* text, size_t n, uint32_t flags) noexcept nogil:
    cdef AclPattern* p = find_pattern(list[0], text, n)
    if p != NULL:
        p.flags |= flags
        return RULE_OK
    if n > <size_t>0xffffffff:
        return RULE_OOM
    p = <AclPattern*>heap_alloc(h, sizeof(AclPattern) + n)
    if p == NULL:
        return RULE_OOM
    p.next = NULL
    p.flags = flags
    p.n = <uint32_t>n
    memcpy(acl_pattern_text(p), text, n)
    while list[0] != NULL:
        list = &list[0].next
    list[0] = p
    return RULE_OK


cdef int add_first(Heap* h, AclSelector* s, int row, const char* text, size_t n) noexcept nogil:
    cdef AclFirst** at = &s.firsts
    cdef AclFirst* f
    while at[0] != NULL:
        f = at[0]
        if <int>f.row == row and f.n == n and strncasecmp(acl_first_text(f), text, n) == 0:
            return RULE_OK
        at = &f.next
    f = <AclFirst*>heap_alloc(h, sizeof(AclFirst) + n)
    if f == NULL:
        return RULE_OOM
    f.next = NULL
    f.row = row
    f.n = <uint32_t>n
    memcpy(acl_first_text(f), text, n)
    at[0] = f
    return RULE_OK


cdef void acl_allow_row(AclSelector* s, int row, bint on) noexcept nogil:
    """A command and its subcommands; first arguments are the caller's."""
    cdef int i
    for i in range(row, row + row_table[row].subs + 1):
        set_bit(s, i, on)


cdef void acl_allow_category(AclSelector* s, int category, bint on) noexcept nogil:
    cdef int i
    for i in range(row_count):
        if row_table[i].categories >> category & 1:
            acl_allow_row(s, i, on)


cdef void acl_allow_all(AclSelector* s, bint on) noexcept nogil:
    memset(s.commands, 255 if on else 0, sizeof(s.commands))
    if on:
        s.flags |= SELECTOR_ALL_COMMANDS
    else:
        s.flags &= ~<uint32_t>SELECTOR_ALL_COMMANDS


# ---- rules of a selector

cdef inline bint is_word(const char* op, size_t n, const char* word) noexcept nogil:
    return strlen(word) == n and strncasecmp(op, word, n) == 0


cdef bint acl_has_spaces(const char* p, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        if p[i] == 32 or 9 <= p[i] <= 13 or p[i] == 0:
            return True
    return False


cdef int key_rule(Heap* h, AclSelector* s, const char* op, size_t n) noexcept nogil:
    """~pattern, %R~pattern, %W~pattern, %RW~pattern."""
    cdef uint32_t flags = PATTERN_READ | PATTERN_WRITE
    cdef size_t at = 1
    cdef int code
    if s.flags & SELECTOR_ALL_KEYS:
        return RULE_KEYS_ALL
    if op[0] == c"%":
        flags = 0
        while at < n and op[at] != c"~":
            if (op[at] == c"R" or op[at] == c"r") and not flags & PATTERN_READ:
                flags |= PATTERN_READ
            elif (op[at] == c"W" or op[at] == c"w") and not flags & PATTERN_WRITE:
                flags |= PATTERN_WRITE
            else:
                return RULE_SYNTAX
            at += 1
        if flags == 0:
            return RULE_SYNTAX
        at += at < n
    if acl_has_spaces(op + at, n - at):
        return RULE_SYNTAX
    code = add_pattern(h, &s.keys, op + at, n - at, flags)
    return code


cdef int channel_rule(Heap* h, AclSelector* s, const char* op, size_t n) noexcept nogil:
    if s.flags & SELECTOR_ALL_CHANNELS:
        return RULE_CHANNELS_ALL
    if acl_has_spaces(op + 1, n - 1):
        return RULE_SYNTAX
    return add_pattern(h, &s.channels, op + 1, n - 1, 0)


cdef int command_rule(Heap* h, AclSelector* s, const char* op, size_t n) noexcept nogil:
    """+command, -command, +command|subcommand, -command|subcommand, +command|first-argument."""
    cdef bint on = op[0] == c"+"
    cdef const char* name = op + 1
    cdef const char* bar = <const char*>memchr(name, c"|", n - 1)
    cdef int row = acl_row_find(name, n - 1)
    cdef const char* first
    if row >= 0:
        acl_allow_row(s, row, on)
        free_firsts(h, s, row)
        return RULE_OK
    if bar == NULL or not on:
        return RULE_UNKNOWN
    first = bar + 1
    row = acl_row_find(name, bar - name)
    if row < 0:
        return RULE_UNKNOWN
    if first == op + n:
        return RULE_SYNTAX
    if row_table[row].subs:
        # the part up to a second bar may be a subcommand, whose first arguments can't be told apart
        bar = <const char*>memchr(first, c"|", op + n - first)
        return RULE_FIRST_ARG if bar != NULL and acl_row_find(name, bar - name) >= 0 else RULE_UNKNOWN
    if memchr(first, c"|", op + n - first) != NULL:
        return RULE_UNKNOWN
    return add_first(h, s, row, first, op + n - first)


cdef int category_rule(Heap* h, AclSelector* s, const char* op, size_t n) noexcept nogil:
    cdef bint on = op[0] == c"+"
    cdef int category = command_category(op + 2, n - 2)
    cdef int i
    if category < 0:
        return RULE_UNKNOWN
    acl_allow_category(s, category, on)
    for i in range(row_count):
        if row_table[i].categories >> category & 1:
            free_firsts(h, s, i)
    return RULE_OK


cdef int selector_rule(Heap* h, AclSelector* s, const char* op, size_t n) noexcept nogil:
    if is_word(op, n, b"allkeys") or is_word(op, n, b"~*"):
        s.flags |= SELECTOR_ALL_KEYS
        free_patterns(h, &s.keys)
    elif is_word(op, n, b"resetkeys"):
        s.flags &= ~<uint32_t>SELECTOR_ALL_KEYS
        free_patterns(h, &s.keys)
    elif is_word(op, n, b"allchannels") or is_word(op, n, b"&*"):
        s.flags |= SELECTOR_ALL_CHANNELS
        free_patterns(h, &s.channels)
    elif is_word(op, n, b"resetchannels"):
        s.flags &= ~<uint32_t>SELECTOR_ALL_CHANNELS
        free_patterns(h, &s.channels)
    elif is_word(op, n, b"allcommands") or is_word(op, n, b"+@all"):
        acl_allow_all(s, True)
        free_firsts(h, s, -1)
    elif is_word(op, n, b"nocommands") or is_word(op, n, b"-@all"):
        acl_allow_all(s, False)
        free_firsts(h, s, -1)
    elif op[0] == c"~" or op[0] == c"%":
        return key_rule(h, s, op, n)
    elif op[0] == c"&":
        return channel_rule(h, s, op, n)
    elif (op[0] == c"+" or op[0] == c"-") and n > 1 and op[1] == c"@":
        return category_rule(h, s, op, n)
    elif op[0] == c"+" or op[0] == c"-":
        return command_rule(h, s, op, n)
    else:
        return RULE_SYNTAX
    return RULE_OK


# ---- users

cdef AclUser* acl_user_new(Heap* h, const char* name, size_t n, bint all_channels) noexcept nogil:
    cdef AclUser* u = <AclUser*>heap_alloc(h, sizeof(AclUser))
    if u == NULL:
        return NULL
    memset(u, 0, sizeof(AclUser))
    u.name = <char*>heap_alloc(h, n + 1)
    if u.name == NULL:
        heap_free(h, u, sizeof(AclUser))
        return NULL
    memcpy(u.name, name, n)
    u.name[n] = 0
    u.name_n = n
    selector_init(&u.root, all_channels)
    return u


cdef void free_passwords(Heap* h, AclUser* u) noexcept nogil:
    cdef AclPassword* p
    while u.passwords != NULL:
        p = u.passwords
        u.passwords = p.next
        heap_free(h, p, sizeof(AclPassword))


cdef void free_selectors(Heap* h, AclUser* u) noexcept nogil:
    """Those in parentheses."""
    cdef AclSelector* s
    while u.root.next != NULL:
        s = u.root.next
        u.root.next = s.next
        selector_clear(h, s)
        heap_free(h, s, sizeof(AclSelector))


cdef void acl_user_free(Heap* h, AclUser* u) noexcept nogil:
    free_passwords(h, u)
    free_selectors(h, u)
    selector_clear(h, &u.root)
    heap_free(h, u.name, u.name_n + 1)
    heap_free(h, u, sizeof(AclUser))


cdef int copy_selector(Heap* h, AclSelector* to, AclSelector* from_) noexcept nogil:
    """All but `next`; RULE_OK or RULE_OOM with what was copied in place."""
    cdef AclPattern* p = from_.keys
    cdef AclFirst* f = from_.firsts
    to.flags = from_.flags
    memcpy(to.commands, from_.commands, sizeof(to.commands))
    while p != NULL:
        if add_pattern(h, &to.keys, acl_pattern_text(p), p.n, p.flags) != RULE_OK:
            return RULE_OOM
        p = p.next
    p = from_.channels
    while p != NULL:
        if add_pattern(h, &to.channels, acl_pattern_text(p), p.n, p.flags) != RULE_OK:
            return RULE_OOM
        p = p.next
    while f != NULL:
        if add_first(h, to, f.row, acl_first_text(f), f.n) != RULE_OK:
            return RULE_OOM
        f = f.next
    return RULE_OK


cdef AclSelector* add_selector(Heap* h, AclUser* u, bint all_channels) noexcept nogil:
    cdef AclSelector* last = &u.root
    cdef AclSelector* s = <AclSelector*>heap_alloc(h, sizeof(AclSelector))
    if s == NULL:
        return NULL
    selector_init(s, all_channels)
    while last.next != NULL:
        last = last.next
    last.next = s
    return s


cdef int add_password(Heap* h, AclUser* u, const char* hex) noexcept nogil:
    cdef AclPassword** at = &u.passwords
    cdef AclPassword* p
    while at[0] != NULL:
        if memcmp(at[0].hex, hex, ACL_HEX) == 0:
            return RULE_OK
        at = &at[0].next
    p = <AclPassword*>heap_alloc(h, sizeof(AclPassword))
    if p == NULL:
        return RULE_OOM
    p.next = NULL
    memcpy(p.hex, hex, ACL_HEX)
    at[0] = p
    return RULE_OK


cdef AclUser* acl_user_copy(Heap* h, AclUser* u) noexcept nogil:
    cdef AclUser* twin = acl_user_new(h, u.name, u.name_n, False)
    cdef AclPassword* p = u.passwords
    cdef AclSelector* s = u.root.next
    cdef AclSelector* t
    cdef int code
    if twin == NULL:
        return NULL
    twin.flags = u.flags
    twin.unlimited = u.unlimited
    code = copy_selector(h, &twin.root, &u.root)
    while code == RULE_OK and p != NULL:
        code = add_password(h, twin, p.hex)
        p = p.next
    while code == RULE_OK and s != NULL:
        t = add_selector(h, twin, False)
        code = copy_selector(h, t, s) if t != NULL else <int>RULE_OOM
        s = s.next
    if code != RULE_OK:
        acl_user_free(h, twin)
        return NULL
    return twin


cdef void acl_user_swap(AclUser* a, AclUser* b) noexcept nogil:
    cdef AclUser keep = a[0]
    cdef AclUser other = b[0]
    a[0] = other
    b[0] = keep
    a.next = keep.next
    a.name = keep.name
    a.name_n = keep.name_n
    b.next = other.next
    b.name = other.name
    b.name_n = other.name_n


# ---- rules of a user

cdef int password_rule(Heap* h, AclUser* u, const char* op, size_t n) noexcept nogil:
    """>password, #hash, <password, !hash."""
    cdef char hex[64]
    cdef AclPassword** at = &u.passwords
    cdef AclPassword* p
    cdef size_t i
    cdef int code
    if op[0] == c">" or op[0] == c"<":
        sha256_text(op + 1, n - 1, hex)
    else:
        if n != ACL_HEX + 1:
            return RULE_HASH
        for i in range(1, n):
            if not (48 <= op[i] <= 57 or 97 <= op[i] <= 102):
                return RULE_HASH
        memcpy(hex, op + 1, ACL_HEX)
    if op[0] == c">" or op[0] == c"#":
        code = add_password(h, u, hex)
        if code == RULE_OK:
            u.flags &= ~<uint32_t>USER_NOPASS
        return code
    while at[0] != NULL and memcmp(at[0].hex, hex, ACL_HEX) != 0:
        at = &at[0].next
    if at[0] == NULL:
        return RULE_NO_PASSWORD
    p = at[0]
    at[0] = p.next
    heap_free(h, p, sizeof(AclPassword))
    return RULE_OK


cdef int parentheses_rule(Heap* h, AclUser* u, const char* op, size_t n, bint all_channels) noexcept nogil:
    """(rule rule ...): one more selector."""
    cdef AclSelector* s
    cdef size_t at = 1
    cdef size_t end = n - 1
    cdef size_t word
    cdef int code
    if n < 2 or op[n - 1] != c")":
        return RULE_SYNTAX
    s = add_selector(h, u, all_channels)
    if s == NULL:
        return RULE_OOM
    while at < end:
        while at < end and op[at] == 32:
            at += 1
        word = at
        while at < end and op[at] != 32:
            at += 1
        if at > word:
            code = selector_rule(h, s, op + word, at - word)
            if code != RULE_OK:
                return code
    return RULE_OK


cdef void reset_user(Heap* h, AclUser* u, bint all_channels) noexcept nogil:
    free_passwords(h, u)
    free_selectors(h, u)
    selector_clear(h, &u.root)
    selector_init(&u.root, all_channels)
    u.flags = USER_SANITIZE


cdef int user_rule(Heap* h, AclUser* u, const char* op, size_t n, bint all_channels) noexcept nogil:
    if n == 0:
        return RULE_OK
    if is_word(op, n, b"on"):
        u.flags |= USER_ON
    elif is_word(op, n, b"off"):
        u.flags &= ~<uint32_t>USER_ON
    elif is_word(op, n, b"nopass"):
        u.flags |= USER_NOPASS
        free_passwords(h, u)
    elif is_word(op, n, b"resetpass"):
        u.flags &= ~<uint32_t>USER_NOPASS
        free_passwords(h, u)
    elif is_word(op, n, b"sanitize-payload"):
        u.flags = (u.flags | USER_SANITIZE) & ~<uint32_t>USER_SKIP_SANITIZE
    elif is_word(op, n, b"skip-sanitize-payload"):
        u.flags = (u.flags | USER_SKIP_SANITIZE) & ~<uint32_t>USER_SANITIZE
    elif is_word(op, n, b"clearselectors"):
        free_selectors(h, u)
    elif is_word(op, n, b"reset"):
        reset_user(h, u, all_channels)
    elif op[0] == c">" or op[0] == c"<" or op[0] == c"#" or op[0] == c"!":
        return password_rule(h, u, op, n)
    elif op[0] == c"(":
        return parentheses_rule(h, u, op, n, all_channels)
    else:
        return selector_rule(h, &u.root, op, n)
    return RULE_OK


cdef int acl_user_rule(Heap* h, AclUser* u, const char* op, size_t n, bint all_channels) noexcept nogil:
    cdef int code = user_rule(h, u, op, n, all_channels)
    cdef uint32_t everything = SELECTOR_ALL_KEYS | SELECTOR_ALL_CHANNELS | SELECTOR_ALL_COMMANDS
    u.unlimited = u.root.flags & everything == everything
    return code


cdef const char* acl_rule_error(int code) noexcept nogil:
    if code == RULE_UNKNOWN:
        return b"Unknown command or category name in ACL"
    if code == RULE_KEYS_ALL:
        return (b"Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
                b"Try 'resetkeys' to start with an empty list of patterns")
    if code == RULE_CHANNELS_ALL:
        return (b"Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any "
                b"effect. Try 'resetchannels' to start with an empty list of channels")
    if code == RULE_HASH:
        return b"The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    if code == RULE_NO_PASSWORD:
        return b"The password you are trying to remove from the user does not exist"
    if code == RULE_FIRST_ARG:
        return b"Allowing first-arg of a subcommand is not supported"
    if code == RULE_OOM:
        return b"out of memory"
    return b"Syntax error"
