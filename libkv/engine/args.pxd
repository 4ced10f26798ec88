# Reading a command's arguments.  Functions that can fail reply Redis's error and return False.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Arg, Ctx, Reply

cdef inline bint arg_is(Arg* a, const char* lower, size_t n) noexcept nogil:
    """Whether the argument is this word (given in lower case letters), in any case."""
    cdef size_t i
    cdef char ch
    if a.n != n:
        return False
    for i in range(n):
        ch = a.p[i]
        if 65 <= ch <= 90:
            ch += 32
        if ch != lower[i]:
            return False
    return True

cdef bint arg_int(Arg* a, int64_t* out, Reply* r) noexcept nogil         # or "value is not an integer or out of range"
cdef bint arg_int_msg(Arg* a, int64_t* out, Reply* r, const char* message) noexcept nogil
cdef bint arg_range(Arg* a, int64_t low, int64_t high, int64_t* out, Reply* r, const char* message) noexcept nogil
    # message NULL: "value is out of range, must be positive" (low = 0) or "value is out of range"
cdef bint arg_double(Arg* a, double* out, Reply* r, const char* message) noexcept nogil   # NULL: "value is not a valid float"
cdef bint arg_cursor(Arg* a, uint64_t* out, Reply* r) noexcept nogil                 # or "invalid cursor"

cdef bint glob_match(const char* pattern, size_t pattern_n, const char* text, size_t text_n, bint nocase) noexcept nogil
    # Redis's glob (*, ?, [a-z], [^..], \x); bounded work on hostile patterns

cdef struct ScanOptions:        # of SCAN, HSCAN, SSCAN, ZSCAN
    uint64_t cursor
    int64_t count
    const char* pattern         # NULL: all
    size_t pattern_n
    int type                    # TYPE_*, -1 any (SCAN only)
    bint no_match               # the pattern can't match anything / unknown type: reply an empty page

cdef bint arg_scan(Ctx* c, Arg* argv, int argc, int first, bint keys, ScanOptions* o, Reply* r) noexcept nogil
    # argv[first] is the cursor, options follow; `keys`: TYPE is allowed
