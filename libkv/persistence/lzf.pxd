# LZF, the compression of long strings in RDB files (Marc Lehmann's format):
#
#   000lllll + l + 1 bytes                        so many bytes as they are
#   lllooooo oooooooo                             l + 2 bytes (l from 1 to 6) from o + 1 bytes back
#   111ooooo llllllll oooooooo                    l + 9 bytes from o + 1 bytes back
#
# The compressor looks for matches where Redis's looks (the same hash of three bytes, a table of 65,536 places, only the
# last two positions of a match remembered), so that a DUMP has the same bytes.

from libc.stdint cimport uint32_t

cdef enum:
    LZF_PLACES = 65536

cdef struct Lzf:                # all zero at first; may be used again and again
    uint32_t base               # places that hold no more than this belong to earlier inputs
    uint32_t place[LZF_PLACES]  # base + the last position with this hash

cdef size_t lzf_compress(Lzf* z, const char* p, size_t n, char* out, size_t room) noexcept nogil
    # bytes written to out; 0: they would be more than `room`
cdef bint lzf_decompress(const char* p, size_t n, char* out, size_t out_n) noexcept nogil
    # False: p is not LZF of exactly out_n bytes
