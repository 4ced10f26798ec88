# The store's seeded generator: xoshiro256** (Blackman and Vigna, 2018).  A store made with a seed repeats itself.

from libc.stdint cimport uint64_t

cdef struct Random:
    uint64_t s[4]

cdef inline uint64_t random_splitmix(uint64_t* x) noexcept nogil:
    cdef uint64_t z
    x[0] += <uint64_t>0x9e3779b97f4a7c15
    z = x[0]
    z = (z ^ (z >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * <uint64_t>0x94d049bb133111eb
    return z ^ (z >> 31)

cdef inline void random_seed(Random* r, uint64_t seed) noexcept nogil:
    cdef int i
    for i in range(4):
        r.s[i] = random_splitmix(&seed)

cdef inline uint64_t random_next(Random* r) noexcept nogil:
    cdef uint64_t x = r.s[1] * 5
    cdef uint64_t result = ((x << 7) | (x >> 57)) * 9
    cdef uint64_t t = r.s[1] << 17
    r.s[2] ^= r.s[0]
    r.s[3] ^= r.s[1]
    r.s[1] ^= r.s[2]
    r.s[0] ^= r.s[3]
    r.s[2] ^= t
    r.s[3] = (r.s[3] << 45) | (r.s[3] >> 19)
    return result

cdef inline uint64_t random_below(Random* r, uint64_t n) noexcept nogil:
    """Uniform in [0, n), n > 0; the bias of the modulus is below 2**-32 for n < 2**32."""
    return random_next(r) % n
