# Where the keys are in a command's arguments: key specifications, and the commands whose own syntax decides.
#
# A specification has two steps (Redis documentation, "Command key specifications"): where the first key is (at an index,
# or after a word), and which arguments follow it as keys (a range, or as many as a number says).

from libc.stdint cimport uint32_t

from libkv.engine.types cimport Arg

cdef enum:
    # KeySpec.begin
    BEGIN_UNKNOWN = 0
    BEGIN_INDEX = 1             # at argument `at`
    BEGIN_KEYWORD = 2           # after `word`, looked for from `at` on; negative: from the end, backwards
    # KeySpec.find
    FIND_UNKNOWN = 0
    FIND_RANGE = 1              # to first + last, or for last < 0 to the end + last of the (first `limit`-th part of the) rest
    FIND_KEYNUM = 2             # number at first + number, the keys from first + first_key on
    # commands whose keys, or what is done to them, depend on further words (keyspecs_of_syntax)
    SYNTAX_NONE = 0
    SYNTAX_NUMBERED = 1         # a number and then keys; a destination before them or not (ZUNIONSTORE, EVAL, LMPOP, ...)
    SYNTAX_SET = 2
    SYNTAX_BITFIELD = 3
    SYNTAX_SORT = 4
    SYNTAX_SORT_RO = 5
    SYNTAX_MIGRATE = 6
    SYNTAX_GEORADIUS = 7
    SYNTAX_XREAD = 8

cdef struct KeySpec:
    uint32_t flags              # CMD_KEY_* of registry
    int begin
    int at
    const char* word            # in lower case
    size_t word_n
    const char* label           # the word as it is told
    int find
    int last                    # RANGE: see above; KEYNUM: where the number is, from the first
    int step                    # RANGE: every step-th; KEYNUM: where the first key is, from the first
    int limit                   # RANGE: 0 or 1 = all, n = the first n-th part; KEYNUM: every limit-th
    const char* notes           # NULL: none

cdef struct KeySpecs:
    KeySpec* spec
    int n
    int syntax
    int number_at               # SYNTAX_NUMBERED: the argument with the number
    int store_at                # SYNTAX_NUMBERED: the destination's, 0 = none

cdef KeySpecs* keyspecs_new(row) except NULL            # of a row of libkv.commands.facts; never freed
cdef char* keyspecs_text(str text) except NULL          # a copy in C, never freed
cdef int keyspecs_find(const KeySpecs* ks, Arg* argv, int argc, int* positions, uint32_t* flags, int room) noexcept nogil
    # as registry's command_keys
cdef void keyspecs_legacy(const KeySpecs* ks, int* first, int* last, int* step) noexcept nogil
    # the triple of COMMAND INFO's older fields: what can be told as one range; 0, 0, 0 without keys at fixed places
