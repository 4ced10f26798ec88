# HyperLogLog: an estimate of how many distinct elements were seen, kept in a string as Redis keeps it, byte for byte.
#
# Source: Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog" (2007), with the 64-bit hash of Heule, Nunkesser, Hall (2013)
# and the estimator of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017,
# arXiv:1702.01284, algorithm 6).  Format: https://redis.io/docs/latest/commands/pfcount/ and what redis-server writes.
#
#   header, 16 bytes
#   +------+----------+--------------+-----------------------------------------+
#   | HYLL | encoding | 3 unused (0) | estimate, 8 bytes, low byte first       |
#   +------+----------+--------------+-----------------------------------------+
#     0-3      4            5-7        8-15; the top bit of byte 15 set: stale
#
#   HLL_DENSE    16384 registers of 6 bits, the low bits first: 12288 bytes
#
#                byte 0     byte 1     byte 2
#                11000000   22221111   33333322      (digits: the register a bit belongs to)
#
#   HLL_SPARSE   runs of equal registers, in order, 16384 registers in all
#
#                00nnnnnn            ZERO    n + 1 registers are 0       (1 to 64)
#                01nnnnnn nnnnnnnn   XZERO   n + 1 registers are 0       (1 to 16384), high bits first
#                1vvvvvnn            VAL     n + 1 registers are v + 1   (1 to 4 registers, values 1 to 32)
#
# A string may come from outside: nothing here trusts it, but hll_header_valid() must have been asked first; it looks at
# the header and, of a dense one, at the length.  The runs are checked as they are walked, and -1 means that they are
# broken.  Nothing here allocates: a sketch is changed in a place of HLL_ROOM bytes.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    HLL_DENSE = 0               # Redis's numbers
    HLL_SPARSE = 1
    HLL_BITS = 14               # of the hash that choose the register
    HLL_REGISTERS = 16384       # 1 << HLL_BITS
    HLL_RANKS = 50              # bits of the hash that are left: the largest register is 51
    HLL_HEADER = 16
    HLL_DENSE_BYTES = 12304     # HLL_HEADER + 6 * HLL_REGISTERS / 8
    HLL_SPARSE_MOST = 32784     # no valid sparse one is longer: HLL_HEADER + 2 * HLL_REGISTERS
    HLL_ROOM = 32800            # HLL_SPARSE_MOST and what one change may add
    HLL_VALUE_MOST = 32         # largest register that a VAL holds
    # kinds of runs
    HLL_ZERO = 0
    HLL_XZERO = 1
    HLL_VAL = 2

cdef struct Sketch:
    uint8_t* p                  # HLL_ROOM bytes, or HLL_DENSE_BYTES when it is dense
    size_t n

cdef struct HllRun:             # one opcode of a sparse one
    uint8_t kind
    uint8_t value               # of its registers
    uint8_t bytes
    uint32_t count              # of registers

cdef inline uint8_t hll_encoding(const uint8_t* p) noexcept nogil:
    return p[4]

cdef bint hll_header_valid(const uint8_t* p, size_t n) noexcept nogil
cdef void hll_new(Sketch* s) noexcept nogil                             # a sparse one that has seen nothing, estimate 0
cdef int hll_place(const char* p, size_t n, uint32_t* index) noexcept nogil     # its register, and the value for it
cdef int hll_add(Sketch* s, const char* p, size_t n, size_t sparse_most) noexcept nogil
    # an element: 1: a register grew, 0: none did, -1: broken (unchanged); a sparse one that would grow past sparse_most
    # bytes becomes dense
cdef int hll_raise(Sketch* s, uint32_t index, uint8_t value, size_t sparse_most) noexcept nogil
    # the same for one register
cdef int hll_to_dense(Sketch* s) noexcept nogil                         # 0, or -1: broken (unchanged)
cdef int hll_merge(uint8_t* registers, const uint8_t* p, size_t n) noexcept nogil
    # each of HLL_REGISTERS bytes becomes the larger one of itself and the sketch's register; 0, or -1: broken
cdef int hll_estimate(const uint8_t* p, size_t n, uint64_t* estimate) noexcept nogil   # computed; 0, or -1: broken
cdef uint64_t hll_estimate_registers(const uint8_t* registers) noexcept nogil
cdef int hll_check(const uint8_t* p, size_t n) noexcept nogil           # 0, or the number of the broken invariant

cdef inline bint hll_cached(const uint8_t* p, uint64_t* estimate) noexcept nogil:
    """The estimate in the header; False: it is stale."""
    cdef int i
    estimate[0] = 0
    for i in range(8):
        estimate[0] |= <uint64_t>p[8 + i] << (8 * i)
    return not p[15] & 128

cdef inline void hll_cache(uint8_t* p, uint64_t estimate) noexcept nogil:
    cdef int i
    for i in range(8):
        p[8 + i] = <uint8_t>((estimate >> (8 * i)) & 255)

cdef inline void hll_stale(uint8_t* p) noexcept nogil:
    p[15] |= 128

cdef inline uint8_t hll_register(const uint8_t* p, uint32_t index) noexcept nogil:
    """A register of a dense one."""
    cdef const uint8_t* at = p + HLL_HEADER + index * 6 // 8
    cdef unsigned int shift = index * 6 & 7
    cdef unsigned int v = at[0] >> shift
    if shift > 2:
        v |= <unsigned int>at[1] << (8 - shift)
    return <uint8_t>(v & 63)

cdef inline void hll_run(const uint8_t* p, const uint8_t* end, HllRun* run) noexcept nogil:
    """The opcode at p < end.  An XZERO cut short reads as if a zero byte followed."""
    cdef uint8_t first = p[0]
    run.bytes = 1
    run.value = 0
    if first & 128:
        run.kind = HLL_VAL
        run.value = ((first >> 2) & 31) + 1
        run.count = (first & 3) + 1
    elif first & 64:
        run.kind = HLL_XZERO
        run.bytes = 2
        run.count = (<uint32_t>(first & 63) << 8 | (p[1] if p + 1 < end else 0)) + 1
    else:
        run.kind = HLL_ZERO
        run.count = (first & 63) + 1
