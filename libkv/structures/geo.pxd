# Positions on the earth as sorted sets keep them: a cell of a grid, told by 52 interleaved bits, which are the score.
#
#   bit     51   50   49   48   ...   1    0
#           lon  lat  lon  lat  ...  lon  lat        of each half the most significant bit first
#
# The grid halves the longitudes (-180 to 180) and the latitudes (-85.05112878 to 85.05112878, where a Mercator map is a
# square) GEO_STEPS times.  The first 2 * n bits of a score are the cell of a grid of n steps that holds it, so a cell of
# any size is a range of scores.  Degrees everywhere; distances in metres, on a ball of EARTH metres' radius.

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    GEO_STEPS = 26
    GEO_TEXT = 11               # characters of a Geohash
    GEO_NUMBER = 400            # bytes that geo_print may write
    GEO_CELLS = 9

cdef struct GeoShape:           # a circle, or a box whose sides lie along the parallels and meridians
    double longitude            # its centre
    double latitude
    bint box
    double radius               # of a circle, in units
    double width                # of a box, in units
    double height
    double unit                 # metres

cdef struct GeoRange:           # of scores: [first, end)
    uint64_t first
    uint64_t end

cdef bint geo_position(double longitude, double latitude) noexcept nogil        # whether it lies on the grid
cdef uint64_t geo_encode(double longitude, double latitude) noexcept nogil      # the score; of a position on the grid
cdef void geo_decode(uint64_t score, double* longitude, double* latitude) noexcept nogil    # its cell's centre
cdef void geo_text(double longitude, double latitude, char* out) noexcept nogil  # its Geohash, GEO_TEXT characters
cdef double geo_distance(double lon1, double lat1, double lon2, double lat2) noexcept nogil
cdef bint geo_inside(const GeoShape* shape, double longitude, double latitude, double* distance) noexcept nogil
    # whether the position lies in the shape; if so, its distance from the centre
cdef int geo_ranges(const GeoShape* shape, GeoRange* ranges) noexcept nogil
    # at most GEO_CELLS ranges of scores that hold all positions in the shape; how many there are
cdef int geo_print_distance(char* out, double v) noexcept nogil     # 0 <= v < 1e14, with four decimals; the length; no NUL
cdef int geo_print(char* out, double v) noexcept nogil              # any v, with six decimals and a point; the length; no NUL
