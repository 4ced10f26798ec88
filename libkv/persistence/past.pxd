# A past moment: how far a journal is applied, and whether it reaches back so far at all.
#
#   base (made at its aux field ctime) | commands | #TS:t | commands of second t and later | #TS:t2 | ...
#
# Commands in front of the first annotation are older than it, and nothing else is known of them: aof-timestamp-enabled was
# switched on behind them.

from libc.stdint cimport int64_t, uint64_t

from libkv.persistence.durable cimport Durable

cdef struct Past:               # one load's, over all parts of a journal
    int64_t until               # seconds of Unix time; 0: no past moment, everything is applied
    uint64_t undated            # commands applied since the journal's beginning without an annotation in front
    bint dated                  # an annotation has been passed
    bint based                  # a snapshot has been: what the commands start from
    bint stopped                # at an annotation behind `until`: nothing more is applied

# These fill in d.trouble and return an errno, or return 0: the moment can be shown.
cdef int past_made(Past* p, Durable* d, int64_t made) noexcept nogil    # a base was made then; -1: it does not say when
cdef int past_end(Past* p, Durable* d, int64_t stamp) noexcept nogil
    # the commands end here, at a later annotation (its time) or at the journal's end (0)
cdef int past_without(Past* p, Durable* d) noexcept nogil               # there is no journal
