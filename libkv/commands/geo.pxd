# What commands on positions share.

from libc.stdint cimport uint64_t

from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.structures.cell cimport Cell

cdef bint geo_arg_position(Arg* a, double* longitude, double* latitude, Reply* r) noexcept nogil
    # two arguments; False: an error is replied
cdef bint geo_arg_unit(Arg* a, double* metres, Reply* r) noexcept nogil
cdef uint64_t geo_score_bits(double score) noexcept nogil
    # a score as a number of 64 bits, whatever it is: as the processors convert that redis-server runs on
cdef bint geo_member_position(Ctx* c, Cell* cell, Arg* member, double* longitude, double* latitude) noexcept nogil
    # False: no such member
cdef void geo_reply_position(Reply* r, double longitude, double latitude) noexcept nogil
cdef void geo_reply_distance(Reply* r, double v) noexcept nogil
