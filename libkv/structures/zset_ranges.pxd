# Ranges of a sorted set: from bounds to ranks, which count from 0; a range of them is [first, end).

from libc.stdint cimport uint64_t

from libkv.structures.cell cimport Cell

cdef struct ScoreRange:
    double low
    double high
    bint low_open               # the bound itself is not in the range
    bint high_open

cdef enum:                      # LexBound.kind
    LEX_LOWEST = -1             # before every member
    LEX_CLOSED = 0
    LEX_OPEN = 1                # the bound itself is not in the range
    LEX_HIGHEST = 2             # behind every member

cdef struct LexBound:
    const char* p
    size_t n
    int kind

cdef void zset_score_range(Cell* cell, const ScoreRange* range, uint64_t* first, uint64_t* end) noexcept nogil
    # the ranks of the members inside; first == end: none
cdef void zset_lex_range(Cell* cell, const LexBound* low, const LexBound* high, bint backwards,
                         uint64_t* first, uint64_t* end) noexcept nogil
    # the same by members' bytes.  When scores differ Redis leaves the result open; for ZSET_PACKED it is the run that Redis
    # finds, from the low end, or from the high end when backwards
