"""Positions on a grid of interleaved bits (contract: geo.pxd).

Sources: G. Niemeyer's Geohash (https://en.wikipedia.org/wiki/Geohash) for the text; G. M. Morton, "A computer oriented
geodetic data base and a new technique in file sequencing" (1966) for the interleaving; the haversine formula (R. W.
Sinnott, "Virtues of the haversine", 1984) for distances.  Every formula is written in the order of operations whose
rounding gives the last digits that Redis prints.

A shape is searched through the cells around its centre: a grid so coarse that a cell is at least about as long as the
shape's radius, the centre's cell there and its eight neighbours; those that the shape's bounding box does not reach are
left out.
"""

from libc.math cimport M_PI, asin, cos, fabs, isinf, rint, sin, sqrt
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from libkv.structures.number cimport number_print_u64

cdef double EARTH = 6372797.560856      # metres; the mean of the quadratic mean radius as Redis rounds it
cdef double HALF_EQUATOR = 20037726.37  # metres from a Mercator map's middle to its edge
cdef double LONGITUDE = 180.0
cdef double LATITUDE = 85.05112878

cdef struct Grid:               # half the extent of each axis: [-lon, lon] and [-lat, lat]
    double lon
    double lat

cdef struct Cell:
    uint32_t x                  # its column and row, counted from the south-west
    uint32_t y
    int steps                   # 0: left out

cdef struct Box:
    double west
    double east
    double south
    double north

cdef Grid MERCATOR
MERCATOR.lon = LONGITUDE
MERCATOR.lat = LATITUDE
cdef Grid WHOLE
WHOLE.lon = 180.0
WHOLE.lat = 90.0


cdef inline double radians(double degrees) noexcept nogil:
    return degrees * (M_PI / 180.0)


cdef inline double degrees(double radians) noexcept nogil:
    return radians / (M_PI / 180.0)


# ---- bits

cdef inline uint64_t spread(uint32_t v) noexcept nogil:
    """v's bits at the even places."""
    cdef uint64_t x = v
    x = (x | (x << 16)) & <uint64_t>0x0000FFFF0000FFFF
    x = (x | (x << 8)) & <uint64_t>0x00FF00FF00FF00FF
    x = (x | (x << 4)) & <uint64_t>0x0F0F0F0F0F0F0F0F
    x = (x | (x << 2)) & <uint64_t>0x3333333333333333
    return (x | (x << 1)) & <uint64_t>0x5555555555555555


cdef inline uint32_t gathered(uint64_t x) noexcept nogil:
    """The bits at the even places."""
    x &= <uint64_t>0x5555555555555555
    x = (x | (x >> 1)) & <uint64_t>0x3333333333333333
    x = (x | (x >> 2)) & <uint64_t>0x0F0F0F0F0F0F0F0F
    x = (x | (x >> 4)) & <uint64_t>0x00FF00FF00FF00FF
    x = (x | (x >> 8)) & <uint64_t>0x0000FFFF0000FFFF
    return <uint32_t>(x | (x >> 16))


cdef inline uint64_t cell_bits(const Cell* cell) noexcept nogil:
    return spread(cell.y) | (spread(cell.x) << 1)


# ---- cells

cdef void cell_at(const Grid* grid, double longitude, double latitude, int steps, Cell* out) noexcept nogil:
    """The northern and eastern edge of the grid belong to a row and column of their own, one past the last."""
    cdef double x = (longitude + grid.lon) / (grid.lon + grid.lon)
    cdef double y = (latitude + grid.lat) / (grid.lat + grid.lat)
    cdef double cells = <double>(<uint64_t>1 << steps)
    out.x = <uint32_t>(x * cells)
    out.y = <uint32_t>(y * cells)
    out.steps = steps


cdef void cell_box(const Grid* grid, const Cell* cell, Box* box) noexcept nogil:
    cdef double cells = <double>(<uint64_t>1 << cell.steps)
    cdef double width = grid.lon + grid.lon
    cdef double height = grid.lat + grid.lat
    box.south = -grid.lat + (<double>cell.y / cells) * height
    box.north = -grid.lat + ((<double>cell.y + 1.0) / cells) * height
    box.west = -grid.lon + (<double>cell.x / cells) * width
    box.east = -grid.lon + ((<double>cell.x + 1.0) / cells) * width


cdef void cell_beside(const Cell* cell, int east, int north, Cell* out) noexcept nogil:
    """The neighbour so many columns and rows (-1, 0, 1) away; over an edge, the grid's other side."""
    cdef uint32_t last = (<uint32_t>1 << cell.steps) - 1
    out[0] = cell[0]
    if east:
        out.x = (cell.x + <uint32_t>east) & last
    if north:
        out.y = (cell.y + <uint32_t>north) & last


# ---- positions

cdef bint geo_position(double longitude, double latitude) noexcept nogil:
    return -LONGITUDE <= longitude <= LONGITUDE and -LATITUDE <= latitude <= LATITUDE


cdef uint64_t geo_encode(double longitude, double latitude) noexcept nogil:
    cdef Cell cell
    cell_at(&MERCATOR, longitude, latitude, GEO_STEPS, &cell)
    return cell_bits(&cell)


cdef inline double middle(double low, double high, double limit) noexcept nogil:
    cdef double v = (low + high) / 2.0
    return limit if v > limit else -limit if v < -limit else v


cdef void geo_decode(uint64_t score, double* longitude, double* latitude) noexcept nogil:
    cdef Cell cell
    cdef Box box
    cell.x = gathered(score >> 1)
    cell.y = gathered(score)
    cell.steps = GEO_STEPS
    cell_box(&MERCATOR, &cell, &box)
    longitude[0] = middle(box.west, box.east, LONGITUDE)
    latitude[0] = middle(box.south, box.north, LATITUDE)


cdef void geo_text(double longitude, double latitude, char* out) noexcept nogil:
    """Five bits a character; the eleventh has only two left, and Redis writes it as 0."""
    cdef const char* alphabet = b"0123456789bcdefghjkmnpqrstuvwxyz"
    cdef Cell cell
    cdef uint64_t bits
    cdef int i
    cell_at(&WHOLE, longitude, latitude, GEO_STEPS, &cell)
    bits = cell_bits(&cell)
    for i in range(GEO_TEXT - 1):
        out[i] = alphabet[(bits >> (2 * GEO_STEPS - 5 * (i + 1))) & 31]
    out[GEO_TEXT - 1] = alphabet[0]


cdef double geo_distance(double lon1, double lat1, double lon2, double lat2) noexcept nogil:
    cdef double a = radians(lat1)
    cdef double b = radians(lat2)
    cdef double u = sin((b - a) / 2.0)
    cdef double v = sin((radians(lon2) - radians(lon1)) / 2.0)
    return 2.0 * EARTH * asin(min(1.0, sqrt(u * u + cos(a) * cos(b) * v * v)))


cdef bint geo_inside(const GeoShape* shape, double longitude, double latitude, double* distance) noexcept nogil:
    """A box is measured on the position's own parallel, and along a meridian."""
    if shape.box:
        if geo_distance(longitude, latitude, shape.longitude, latitude) > shape.width * shape.unit / 2.0:
            return False
        if geo_distance(longitude, latitude, longitude, shape.latitude) > shape.height * shape.unit / 2.0:
            return False
        distance[0] = geo_distance(shape.longitude, shape.latitude, longitude, latitude)
        return True
    distance[0] = geo_distance(shape.longitude, shape.latitude, longitude, latitude)
    return not distance[0] > shape.radius * shape.unit


# ---- searching

cdef void shape_box(const GeoShape* shape, Box* box) noexcept nogil:
    """The shape's bounding box; a degree of longitude is shortest on the parallel that is nearer to the pole."""
    cdef double height = shape.unit * (shape.height / 2.0 if shape.box else shape.radius)
    cdef double width = shape.unit * (shape.width / 2.0 if shape.box else shape.radius)
    cdef double up = degrees(height / EARTH)
    cdef double side
    box.south = shape.latitude - up
    box.north = shape.latitude + up
    if shape.latitude < 0:
        side = degrees(width / EARTH / cos(radians(shape.latitude - up)))
    else:
        side = degrees(width / EARTH / cos(radians(shape.latitude + up)))
    box.west = shape.longitude - side
    box.east = shape.longitude + side


cdef int steps_for(double radius, double latitude) noexcept nogil:
    """The finest grid on which nine cells cover the radius; near the poles, where cells are narrow, a coarser one."""
    cdef int steps = 1
    if radius == 0:
        return GEO_STEPS
    while radius < HALF_EQUATOR:
        radius *= 2.0
        steps += 1
    steps -= 2
    if fabs(latitude) > 66.0:
        steps -= 1
        if fabs(latitude) > 80.0:
            steps -= 1
    return max(1, min(steps, GEO_STEPS))


cdef bint short_of(const GeoShape* shape, const Cell* centre, const Box* bounds) noexcept nogil:
    """Whether the eight neighbours end before the shape does: the grid is too fine then."""
    cdef Cell cell
    cdef Box box
    cell_beside(centre, 0, 1, &cell)
    cell_box(&MERCATOR, &cell, &box)
    if box.north < bounds.north:
        return True
    cell_beside(centre, 0, -1, &cell)
    cell_box(&MERCATOR, &cell, &box)
    if box.south > bounds.south:
        return True
    cell_beside(centre, 1, 0, &cell)
    cell_box(&MERCATOR, &cell, &box)
    if box.east < bounds.east:
        return True
    cell_beside(centre, -1, 0, &cell)
    cell_box(&MERCATOR, &cell, &box)
    return box.west > bounds.west


cdef int geo_ranges(const GeoShape* shape, GeoRange* ranges) noexcept nogil:
    """In the order in which Redis looks: the centre, then N, S, E, W, NE, NW, SE, SW."""
    cdef int[9] easts = [0, 0, 0, 1, -1, 1, -1, 1, -1]
    cdef int[9] norths = [0, 1, -1, 0, 0, 1, 1, -1, -1]
    cdef Box bounds
    cdef Box middle_box
    cdef Cell centre
    cdef Cell cell
    cdef Cell last
    cdef double radius = shape.radius
    cdef uint64_t bits
    cdef int shift
    cdef int i
    cdef int n = 0
    shape_box(shape, &bounds)
    if shape.box:
        radius = sqrt((shape.width / 2.0) * (shape.width / 2.0) + (shape.height / 2.0) * (shape.height / 2.0))
    cell_at(&MERCATOR, shape.longitude, shape.latitude, steps_for(radius * shape.unit, shape.latitude), &centre)
    if centre.steps > 1 and short_of(shape, &centre, &bounds):
        cell_at(&MERCATOR, shape.longitude, shape.latitude, centre.steps - 1, &centre)
    cell_box(&MERCATOR, &centre, &middle_box)
    last.steps = 0
    for i in range(GEO_CELLS):
        if centre.steps >= 2 and (
                (norths[i] < 0 and middle_box.south < bounds.south) or (norths[i] > 0 and middle_box.north > bounds.north)
                or (easts[i] < 0 and middle_box.west < bounds.west) or (easts[i] > 0 and middle_box.east > bounds.east)):
            continue
        cell_beside(&centre, easts[i], norths[i], &cell)
        if last.steps and last.x == cell.x and last.y == cell.y:
            continue                    # on a grid of two columns, the east is the west
        last = cell
        bits = cell_bits(&cell)
        shift = 2 * (GEO_STEPS - cell.steps)
        ranges[n].first = bits << shift
        ranges[n].end = (bits + 1) << shift
        n += 1
    return n


cdef int geo_print_distance(char* out, double v) noexcept nogil:
    """Redis rounds the ten thousandths as a number, halves to even; the decimal text of the number may round otherwise."""
    cdef uint64_t whole = <uint64_t>rint(v * 10000.0)
    cdef int n = number_print_u64(out, whole // 10000)
    cdef int i
    out[n] = b"."
    whole %= 10000
    for i in range(4, 0, -1):
        out[n + i] = <char>(48 + whole % 10)
        whole //= 10
    return n + 5


cdef int geo_print(char* out, double v) noexcept nogil:
    cdef int n
    cdef int i
    cdef int to = 0
    cdef bint seen = False
    if isinf(v):
        memcpy(out, b"-inf", 4) if v < 0 else memcpy(out, b"inf", 3)
        return 3 + (v < 0)
    n = snprintf(out, GEO_NUMBER, b"%.6f", v)
    for i in range(n):
        if 48 <= out[i] <= 57 or out[i] == 45:
            out[to] = out[i]
        elif seen:
            continue
        else:
            out[to] = 46
            seen = True
        to += 1
    return to
