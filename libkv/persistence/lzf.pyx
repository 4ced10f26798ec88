"""LZF (contract and format: lzf.pxd)."""

from libc.string cimport memcpy, memset

cdef enum:
    LONGEST_RUN = 32            # literals
    LONGEST_MATCH = 264
    FARTHEST = 8192
    WIDE = 16                   # bytes of a copy of fixed size


cdef inline uint32_t three_hash(const unsigned char* p) noexcept nogil:
    return (((<uint32_t>p[0] << 8) | p[1]) - 5 * ((<uint32_t>p[1] << 8) | p[2])) & (LZF_PLACES - 1)


cdef inline size_t runs_size(size_t literals) noexcept nogil:
    """Bytes that pending literals take, with the head of the run that is open (even when it holds nothing yet)."""
    return literals + literals // LONGEST_RUN + 1


cdef char* runs_put(char* out, const unsigned char* p, size_t n) noexcept nogil:
    cdef size_t run
    while n:
        run = n if n < LONGEST_RUN else LONGEST_RUN
        out[0] = <char>(run - 1)
        memcpy(out + 1, p, run)
        out += run + 1
        p += run
        n -= run
    return out


cdef char* match_put(char* out, size_t back, size_t length) noexcept nogil:
    """`length` bytes from `back` + 1 bytes back."""
    length -= 2
    if length < 7:
        out[0] = <char>((back >> 8) | (length << 5))
    else:
        out[0] = <char>((back >> 8) | (7 << 5))
        out[1] = <char>(length - 7)
        out += 1
    out[1] = <char>(back & 255)
    return out + 2


cdef inline size_t longest_match(size_t left) noexcept nogil:
    """How long a match may be with so many bytes left: the last two are literals, but for one of 19 bytes, which Redis's
    compressor compares without looking at the end."""
    left -= 2
    if 16 < left < 19:
        return 19
    return left if left < LONGEST_MATCH else LONGEST_MATCH


cdef inline size_t match_length(const unsigned char* a, const unsigned char* b, size_t most) noexcept nogil:
    cdef size_t n = 3
    while n < most and a[n] == b[n]:
        n += 1
    return n


cdef size_t lzf_compress(Lzf* z, const char* p, size_t n, char* out, size_t room) noexcept nogil:
    cdef const unsigned char* s = <const unsigned char*>p
    cdef char* o = out
    cdef size_t i = 0
    cdef size_t anchor = 0              # literals from here on are not written yet
    cdef size_t used
    cdef size_t at
    cdef size_t length
    cdef uint32_t* place
    cdef uint32_t base
    if n < 4 or n >= <size_t>0xffffffff:
        return 0
    if z.base > <uint32_t>0xffffffff - <uint32_t>n:
        memset(z, 0, sizeof(Lzf))
    base = z.base
    z.base += <uint32_t>n
    while i + 2 < n:
        place = &z.place[three_hash(s + i)]
        at = place[0] - base if place[0] > base else 0
        place[0] = base + <uint32_t>i
        used = (o - out) + runs_size(i - anchor)
        # position 0 is never referred to: it is what an empty place says
        if at == 0 or i - at > FARTHEST or s[at] != s[i] or s[at + 1] != s[i + 1] or s[at + 2] != s[i + 2]:
            if used >= room:
                return 0
            i += 1
            continue
        if used - ((i - anchor) % LONGEST_RUN == 0) + 4 >= room:
            return 0
        length = match_length(s + at, s + i, longest_match(n - i))
        o = match_put(runs_put(o, s + anchor, i - anchor), i - at - 1, length)
        i += length
        anchor = i
        if i + 2 >= n:
            break
        z.place[three_hash(s + i - 2)] = base + <uint32_t>(i - 2)
        z.place[three_hash(s + i - 1)] = base + <uint32_t>(i - 1)
    if (o - out) + runs_size(i - anchor) + 3 > room:
        return 0
    return runs_put(o, s + anchor, n - anchor) - out


cdef inline void copy_wide(char* to, const char* p, size_t n) noexcept nogil:
    """n bytes, and up to 15 more behind them: for callers that have the room on both sides."""
    cdef size_t i = 0
    while i < n:
        memcpy(to + i, p + i, WIDE)
        i += WIDE


cdef inline void copy_back(char* to, size_t back, size_t n, bint roomy) noexcept nogil:
    """n bytes from `back` bytes before; what is written may be read again."""
    cdef size_t k
    if back >= WIDE and roomy:
        copy_wide(to, to - back, n)
    elif back >= n:
        memcpy(to, to - back, n)
    elif back == 1:
        memset(to, <unsigned char>(to - 1)[0], n)
    else:
        for k in range(n):
            to[k] = (to - back)[k]


cdef bint lzf_decompress(const char* p, size_t n, char* out, size_t out_n) noexcept nogil:
    cdef const unsigned char* s = <const unsigned char*>p
    cdef size_t i = 0
    cdef size_t o = 0
    cdef size_t length
    cdef size_t back
    while i < n:
        length = s[i]
        i += 1
        if length < LONGEST_RUN:
            length += 1
            if length > n - i or length > out_n - o:
                return False
            if n - i >= LONGEST_RUN + WIDE and out_n - o >= LONGEST_RUN + WIDE:
                copy_wide(out + o, p + i, length)
            else:
                memcpy(out + o, p + i, length)
            i += length
            o += length
            continue
        back = (length & 31) << 8
        length = (length >> 5) + 2
        if length == 9:
            if i >= n:
                return False
            length += s[i]
            i += 1
        if i >= n:
            return False
        back += s[i] + 1
        i += 1
        if back > o or length > out_n - o:
            return False
        copy_back(out + o, back, length, out_n - o >= length + WIDE)
        o += length
    return o == out_n
