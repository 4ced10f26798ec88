# A user of the store and the rules that say what it may do.
#
#   User     | name | flags | passwords | root selector | further selectors, "(...)"
#   Selector | flags | a bit a command, and one for commands to come | key patterns | channel patterns | first arguments
#
# A selector allows a command when it allows the command itself, each of its keys and each of its channels; a user may run
# what any one of its selectors allows.  All memory is the store's heap.  The form of rules is Redis's
# (https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/).

from libc.stdint cimport uint32_t, uint64_t

from libkv.engine.registry cimport Command
from libkv.structures.alloc cimport Heap

cdef enum:
    ACL_WORDS = 8
    ACL_FUTURE = 64 * ACL_WORDS - 1     # the bit that only +@all sets: commands that do not exist yet
    ACL_HEX = 64                # digits of a password's SHA-256

    # AclUser.flags
    USER_ON = 1 << 0
    USER_NOPASS = 1 << 1
    USER_SANITIZE = 1 << 2
    USER_SKIP_SANITIZE = 1 << 3

    # AclSelector.flags
    SELECTOR_ALL_KEYS = 1 << 0
    SELECTOR_ALL_CHANNELS = 1 << 1
    SELECTOR_ALL_COMMANDS = 1 << 2

    # AclPattern.flags of keys
    PATTERN_READ = 1 << 0
    PATTERN_WRITE = 1 << 1

    # AclRow.channels: which arguments are channels
    CHANNELS_NONE = 0
    CHANNELS_FIRST = 1          # PUBLISH
    CHANNELS_ALL = 2            # SUBSCRIBE
    CHANNELS_PATTERNS = 3       # PSUBSCRIBE

    # what acl_user_rule answers
    RULE_OK = 0
    RULE_SYNTAX = 1
    RULE_UNKNOWN = 2            # command or category
    RULE_KEYS_ALL = 3
    RULE_CHANNELS_ALL = 4
    RULE_HASH = 5
    RULE_NO_PASSWORD = 6
    RULE_FIRST_ARG = 7
    RULE_OOM = 8

cdef struct AclRow:             # a command as rules know it: every row of the facts, whether it has a function or not
    const char* name            # "get", "config|get"
    size_t name_n
    uint64_t categories
    int parent                  # its container's row; -1
    int subs                    # rows that follow and are its subcommands
    int channels                # CHANNELS_*

cdef struct AclPattern:         # the bytes follow
    AclPattern* next
    uint32_t flags
    uint32_t n

cdef struct AclFirst:           # "+select|0": the bytes follow
    AclFirst* next
    uint32_t row
    uint32_t n

cdef struct AclPassword:
    AclPassword* next
    char hex[64]

cdef struct AclSelector:
    AclSelector* next
    uint32_t flags
    uint64_t commands[8]
    AclPattern* keys            # in the order they came
    AclPattern* channels
    AclFirst* firsts

cdef struct AclUser:
    AclUser* next               # by name
    char* name
    size_t name_n
    uint32_t flags
    bint unlimited              # its root selector allows everything: nothing is looked at
    AclPassword* passwords
    AclSelector root            # root.next: the selectors in parentheses

cdef inline bint acl_bit(const AclSelector* s, int i) noexcept nogil:
    return s.commands[i >> 6] >> (i & 63) & 1

cdef inline char* acl_pattern_text(AclPattern* p) noexcept nogil:
    return <char*>p + sizeof(AclPattern)

cdef inline char* acl_first_text(AclFirst* f) noexcept nogil:
    return <char*>f + sizeof(AclFirst)

cdef int acl_rows_fill() except -1                      # at import of the command modules, once
cdef int acl_rows() noexcept nogil
cdef AclRow* acl_row(int i) noexcept nogil
cdef int acl_row_find(const char* p, size_t n) noexcept nogil           # any case; -1
cdef int acl_row_of(Command* cmd) noexcept nogil

cdef AclUser* acl_user_new(Heap* h, const char* name, size_t n, bint all_channels) noexcept nogil    # off, nothing allowed
cdef AclUser* acl_user_copy(Heap* h, AclUser* u) noexcept nogil
cdef void acl_user_free(Heap* h, AclUser* u) noexcept nogil
cdef void acl_user_swap(AclUser* a, AclUser* b) noexcept nogil          # all but name and place in the list
cdef int acl_user_rule(Heap* h, AclUser* u, const char* op, size_t n, bint all_channels) noexcept nogil
    # one rule of ACL SETUSER; RULE_*.  all_channels: acl-pubsub-default, for `reset` and new selectors.  After an error u
    # may hold a part of the rule: whoever wants all or nothing works on a copy.
cdef const char* acl_rule_error(int code) noexcept nogil                # Redis's words
cdef bint acl_has_spaces(const char* p, size_t n) noexcept nogil        # a space or a NUL

# bits of commands: a row with its subcommands, a category's, all
cdef void acl_allow_row(AclSelector* s, int row, bint on) noexcept nogil
cdef void acl_allow_category(AclSelector* s, int category, bint on) noexcept nogil
cdef void acl_allow_all(AclSelector* s, bint on) noexcept nogil
