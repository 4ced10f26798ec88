"""HyperLogLog sketches (contract, format and sources: hyperloglog.pxd).

The hash is Austin Appleby's MurmurHash64A with a seed that never changes, since registers made by one program are
merged by another.  Deviations from redis-server, all of them with broken strings only: a sparse sketch longer than any
valid one can be is broken at once, a change to the last, cut opcode is refused, and a change that is refused half way
leaves the sketch as it was.
"""

from libc.math cimport sqrt
from libc.string cimport memcmp, memcpy, memmove, memset

cdef extern from "<math.h>" nogil:
    long long llround(double x)

cdef enum:
    HASH_SEED = 0xadc83b19
    ZERO_MOST = 64              # registers that one ZERO holds
    VAL_MOST = 4                # registers that one VAL holds
    HISTOGRAM = 64              # any value of 6 bits is counted, also one that no hash gives
    MERGE_SPAN = 5              # opcodes, from the one before a change on, that are looked at for equal neighbours

cdef double ALPHA = 0.721347520444481703680     # 1 / (2 ln 2), the estimator's constant for many registers
cdef double INFINITE = float("inf")


# ---- header

cdef bint hll_header_valid(const uint8_t* p, size_t n) noexcept nogil:
    if n < HLL_HEADER or memcmp(p, b"HYLL", 4) != 0 or p[4] > HLL_SPARSE:
        return False
    return p[4] == HLL_SPARSE or n == HLL_DENSE_BYTES


cdef void hll_new(Sketch* s) noexcept nogil:
    memset(s.p, 0, HLL_HEADER)
    memcpy(s.p, b"HYLL", 4)
    s.p[4] = HLL_SPARSE
    s.n = HLL_HEADER + <size_t>(put_zeros(s.p + HLL_HEADER, HLL_REGISTERS) - (s.p + HLL_HEADER))


# ---- elements

cdef uint64_t murmur(const char* p, size_t n) noexcept nogil:
    """MurmurHash64A, words low byte first whatever the processor's order."""
    cdef uint64_t m = <uint64_t>0xc6a4a7935bd1e995
    cdef uint64_t h = <uint64_t>HASH_SEED ^ (<uint64_t>n * m)
    cdef uint64_t k
    while n >= 8:
        k = word(p, 8) * m
        h = (h ^ ((k ^ (k >> 47)) * m)) * m
        p += 8
        n -= 8
    if n:
        h = (h ^ word(p, n)) * m
    h = (h ^ (h >> 47)) * m
    return h ^ (h >> 47)


cdef inline uint64_t word(const char* p, size_t n) noexcept nogil:
    cdef uint64_t w = 0
    cdef size_t i
    for i in range(n):
        w |= <uint64_t><uint8_t>p[i] << (8 * i)
    return w


cdef int hll_place(const char* p, size_t n, uint32_t* index) noexcept nogil:
    """The low bits of the hash choose the register; the value is the place of the lowest 1 in the rest, from 1 on."""
    cdef uint64_t h = murmur(p, n)
    cdef int rank = 1
    index[0] = <uint32_t>(h & (HLL_REGISTERS - 1))
    h = (h >> HLL_BITS) | (<uint64_t>1 << HLL_RANKS)        # an end for the search: at most HLL_RANKS + 1
    while not h & 1:
        h >>= 1
        rank += 1
    return rank


cdef int hll_add(Sketch* s, const char* p, size_t n, size_t sparse_most) noexcept nogil:
    cdef uint32_t index
    cdef int rank = hll_place(p, n, &index)
    return hll_raise(s, index, <uint8_t>rank, sparse_most)


cdef int hll_raise(Sketch* s, uint32_t index, uint8_t value, size_t sparse_most) noexcept nogil:
    if s.p[4] == HLL_DENSE:
        return dense_raise(s.p, index, value)
    return sparse_raise(s, index, value, sparse_most)


# ---- dense

cdef inline void dense_set(uint8_t* p, uint32_t index, uint8_t value) noexcept nogil:
    cdef uint8_t* at = p + HLL_HEADER + index * 6 // 8
    cdef unsigned int shift = index * 6 & 7
    at[0] = <uint8_t>((at[0] & ~(63u << shift)) | (<unsigned int>value << shift))
    if shift > 2:               # the last register never gets here: it ends its byte
        at[1] = <uint8_t>((at[1] & ~(63u >> (8 - shift))) | (<unsigned int>value >> (8 - shift)))


cdef inline int dense_raise(uint8_t* p, uint32_t index, uint8_t value) noexcept nogil:
    if hll_register(p, index) >= value:
        return 0
    dense_set(p, index, value)
    return 1


cdef int hll_to_dense(Sketch* s) noexcept nogil:
    cdef uint8_t dense[HLL_DENSE_BYTES]
    cdef const uint8_t* p = s.p + HLL_HEADER
    cdef const uint8_t* end = s.p + s.n
    cdef uint32_t at = 0
    cdef uint32_t i
    cdef HllRun run
    if s.p[4] == HLL_DENSE:
        return 0
    memset(dense, 0, sizeof(dense))
    memcpy(dense, s.p, HLL_HEADER)
    dense[4] = HLL_DENSE
    while p < end:
        hll_run(p, end, &run)
        if run.count > HLL_REGISTERS - at:
            return -1
        if run.kind == HLL_VAL:
            for i in range(at, at + run.count):
                dense_set(dense, i, run.value)
        at += run.count
        p += run.bytes
    if at != HLL_REGISTERS:
        return -1
    memcpy(s.p, dense, HLL_DENSE_BYTES)
    s.n = HLL_DENSE_BYTES
    return 0


# ---- sparse

cdef inline uint8_t* put_zeros(uint8_t* o, uint32_t count) noexcept nogil:
    """The opcode of a run of zeros; returns where it ends."""
    if count > ZERO_MOST:
        o[0] = <uint8_t>(64 | ((count - 1) >> 8))
        o[1] = <uint8_t>((count - 1) & 255)
        return o + 2
    o[0] = <uint8_t>(count - 1)
    return o + 1


cdef inline uint8_t* put_values(uint8_t* o, uint8_t value, uint32_t count) noexcept nogil:
    o[0] = <uint8_t>(128 | ((value - 1) << 2) | (count - 1))
    return o + 1


cdef inline uint8_t* put_run(uint8_t* o, HllRun* like, uint32_t count) noexcept nogil:
    return put_values(o, like.value, count) if like.kind == HLL_VAL else put_zeros(o, count)


cdef int promote(Sketch* s, uint32_t index, uint8_t value) noexcept nogil:
    if hll_to_dense(s) != 0:
        return -1
    dense_set(s.p, index, value)
    return 1


cdef int sparse_raise(Sketch* s, uint32_t index, uint8_t value, size_t sparse_most) noexcept nogil:
    """Splits the run that holds the register: what is before it, the register, what is behind it."""
    cdef uint8_t parts[5]
    cdef uint8_t* o = parts
    cdef uint8_t* p = s.p + HLL_HEADER
    cdef uint8_t* end = s.p + s.n
    cdef uint8_t* before = p
    cdef uint32_t first = 0
    cdef size_t new
    cdef HllRun run
    if value > HLL_VALUE_MOST:
        return promote(s, index, value)
    if s.n > HLL_SPARSE_MOST:
        return -1
    while True:
        if p >= end:
            return -1
        hll_run(p, end, &run)
        if index < first + run.count:
            break
        before = p
        first += run.count
        p += run.bytes
    if p + run.bytes > end:
        return -1
    if run.kind == HLL_VAL and run.value >= value:
        return 0
    if index > first:
        o = put_run(o, &run, index - first)
    o = put_values(o, value, 1)
    if index < first + run.count - 1:
        o = put_run(o, &run, first + run.count - 1 - index)
    new = <size_t>(o - parts)
    if new > run.bytes and s.n + new - run.bytes > sparse_most:
        return promote(s, index, value)
    memmove(p + new, p + run.bytes, <size_t>(end - (p + run.bytes)))
    memcpy(p, parts, new)
    s.n = s.n + new - run.bytes
    join_values(s, before)
    hll_stale(s.p)
    return 1


cdef void join_values(Sketch* s, uint8_t* p) noexcept nogil:
    """Makes one VAL of two neighbours with the same value, where it can hold them all, near a change."""
    cdef uint8_t* end = s.p + s.n
    cdef int span = MERGE_SPAN
    cdef HllRun a
    cdef HllRun b
    while p < end and span > 0:
        span -= 1
        hll_run(p, end, &a)
        if a.kind == HLL_VAL and p + 1 < end:
            hll_run(p + 1, end, &b)
            if b.kind == HLL_VAL and a.value == b.value and a.count + b.count <= VAL_MOST:
                put_values(p + 1, a.value, a.count + b.count)
                memmove(p, p + 1, <size_t>(end - (p + 1)))
                end -= 1
                s.n -= 1
                continue        # its new neighbour may join too
        p += a.bytes


# ---- merging

cdef inline void larger(uint8_t* to, unsigned int value) noexcept nogil:
    to[0] = <uint8_t>value if value > to[0] else to[0]


cdef int hll_merge(uint8_t* registers, const uint8_t* p, size_t n) noexcept nogil:
    cdef const uint8_t* end = p + n
    cdef uint32_t at = 0
    cdef uint32_t i
    cdef unsigned int bits
    cdef HllRun run
    if p[4] == HLL_DENSE:
        p += HLL_HEADER
        for i in range(0, HLL_REGISTERS, 4):
            bits = p[0] | (<unsigned int>p[1] << 8) | (<unsigned int>p[2] << 16)
            larger(registers + i, bits & 63)
            larger(registers + i + 1, (bits >> 6) & 63)
            larger(registers + i + 2, (bits >> 12) & 63)
            larger(registers + i + 3, bits >> 18)
            p += 3
        return 0
    p += HLL_HEADER
    while p < end:
        hll_run(p, end, &run)
        if run.count > HLL_REGISTERS - at:
            return -1
        if run.kind == HLL_VAL:
            for i in range(at, at + run.count):
                larger(registers + i, run.value)
        at += run.count
        p += run.bytes
    return 0 if at == HLL_REGISTERS else -1


# ---- estimating

cdef double sigma(double x) noexcept nogil:
    """x + the sum over k >= 1 of x ** (2 ** k) * 2 ** (k - 1): x is the share of the registers that are 0."""
    cdef double factor = 1
    cdef double sum = x
    cdef double before = -1
    if x == 1:
        return INFINITE
    while sum != before:
        x *= x
        before = sum
        sum += x * factor
        factor += factor
    return sum


cdef double tau(double x) noexcept nogil:
    """(1 - x - the sum over k >= 1 of (1 - x ** (2 ** -k)) ** 2 * 2 ** -k) / 3: x is the share that is not full."""
    cdef double factor = 1
    cdef double sum = 1 - x
    cdef double before = -1
    if x == 0 or x == 1:
        return 0
    while sum != before:
        x = sqrt(x)
        before = sum
        factor *= 0.5
        sum -= (1 - x) * (1 - x) * factor
    return sum / 3


cdef uint64_t estimate_histogram(const uint32_t* count) noexcept nogil:
    """Ertl's estimator; count[v]: how many registers are v.  Registers that no elements give can lead beyond 63 bits:
    that is 2 ** 63, as on Redis's processors, and never valid as a cached estimate, since its top bit says stale."""
    cdef double m = HLL_REGISTERS
    cdef double estimate
    cdef double z = m * tau((m - count[HLL_RANKS + 1]) / m)
    cdef int v
    for v in range(HLL_RANKS, 0, -1):
        z = (z + count[v]) * 0.5
    z += m * sigma(count[0] / m)
    estimate = ALPHA * m * m / z
    return <uint64_t>llround(estimate) if estimate < 9223372036854775808.0 else <uint64_t>1 << 63


cdef uint64_t hll_estimate_registers(const uint8_t* registers) noexcept nogil:
    cdef uint32_t count[HISTOGRAM]
    cdef int i
    memset(count, 0, sizeof(count))
    for i in range(HLL_REGISTERS):
        count[registers[i] & 63] += 1
    return estimate_histogram(count)


cdef int hll_estimate(const uint8_t* p, size_t n, uint64_t* estimate) noexcept nogil:
    cdef uint32_t count[4][HISTOGRAM]       # one a lane: equal neighbours don't wait for each other
    cdef const uint8_t* end = p + n
    cdef uint32_t at = 0
    cdef unsigned int bits
    cdef int i
    cdef HllRun run
    memset(count, 0, sizeof(count))
    if p[4] == HLL_DENSE:
        p += HLL_HEADER
        while p < end:
            bits = p[0] | (<unsigned int>p[1] << 8) | (<unsigned int>p[2] << 16)
            count[0][bits & 63] += 1
            count[1][(bits >> 6) & 63] += 1
            count[2][(bits >> 12) & 63] += 1
            count[3][bits >> 18] += 1
            p += 3
        for i in range(HISTOGRAM):
            count[0][i] += count[1][i] + count[2][i] + count[3][i]
    else:
        p += HLL_HEADER
        while p < end:
            hll_run(p, end, &run)
            if run.count > HLL_REGISTERS - at:
                return -1
            count[0][run.value] += run.count
            at += run.count
            p += run.bytes
        if at != HLL_REGISTERS:
            return -1
    estimate[0] = estimate_histogram(count[0])
    return 0


cdef int hll_check(const uint8_t* p, size_t n) noexcept nogil:
    """1: the header; 2: a run is cut; 3: the runs don't hold HLL_REGISTERS registers; 4: a register no hash gives."""
    cdef const uint8_t* at = p + HLL_HEADER
    cdef const uint8_t* end = p + n
    cdef uint64_t registers = 0
    cdef uint32_t i
    cdef HllRun run
    if not hll_header_valid(p, n):
        return 1
    if p[4] == HLL_DENSE:
        for i in range(HLL_REGISTERS):
            if hll_register(p, i) > HLL_RANKS + 1:
                return 4
        return 0
    while at < end:
        hll_run(at, end, &run)
        if at + run.bytes > end:
            return 2
        registers += run.count
        at += run.bytes
    return 0 if registers == HLL_REGISTERS else 3
