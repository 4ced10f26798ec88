"""Searches for positions: GEOSEARCH and its relatives (https://redis.io/docs/latest/commands/geosearch/).

A search walks the ranges of scores that the shape may reach, in Redis's order, which is the order of the reply unless
one is asked for.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from libkv.commands.geo cimport (
    geo_arg_position, geo_arg_unit, geo_member_position, geo_reply_distance, geo_reply_position, geo_score_bits,
)
from libkv.engine.args cimport arg_double, arg_int, arg_is
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport changed, changed_n, keyspace_delete, keyspace_put, lookup_read_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_error, reply_errorf, reply_int, reply_oom, reply_syntax
from libkv.engine.types cimport CALL_DONE, EVENT_GENERIC, EVENT_ZSET, TYPE_ZSET, Arg, Ctx, Reply
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free, heap_resize
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.geo cimport GEO_CELLS, GeoRange, GeoShape, geo_decode, geo_inside, geo_ranges
from libkv.structures.sorting cimport sorting_partial, sorting_stable
from libkv.structures.zset cimport (
    ZSET_SCRATCH, ZsetIter, zset_add, zset_free, zset_iter, zset_new_tree, zset_next, zset_to_packed,
)
from libkv.structures.zset_ranges cimport ScoreRange, zset_score_range

cdef enum:                      # a search's forms
    RADIUS                      # GEORADIUS
    RADIUS_MEMBER               # GEORADIUSBYMEMBER
    SEARCH                      # GEOSEARCH
    SEARCH_STORE                # GEOSEARCHSTORE

cdef enum:                      # order
    UNSORTED
    NEAR_FIRST
    FAR_FIRST

cdef struct Found:
    const char* p               # lies in the sorted set, or in `digits`
    size_t n
    double score
    double distance             # metres
    char digits[ZSET_SCRATCH]

cdef struct Search:
    int form
    bint may_store              # not the _RO commands
    bint exists                 # the sorted set is there
    Cell cell
    GeoShape shape
    bint by_member              # the centre is given as a member, or
    bint by_position            # as coordinates
    bint shaped                 # BYRADIUS or BYBOX was given
    bint with_distance
    bint with_score
    bint with_position
    bint any
    int64_t count               # 0: all
    int order
    Arg* store                  # key for the result, or NULL
    bint store_distance
    Found* found
    size_t n
    size_t cap


# ---- arguments

cdef bint arg_radius(Arg* a, GeoShape* shape, Reply* r) noexcept nogil:
    """A radius and its unit."""
    if not arg_double(a, &shape.radius, r, b"ERR need numeric radius"):
        return False
    if shape.radius < 0:
        reply_error(r, b"ERR radius cannot be negative")
        return False
    shape.box = False
    return geo_arg_unit(a + 1, &shape.unit, r)


cdef bint arg_box(Arg* a, GeoShape* shape, Reply* r) noexcept nogil:
    """A width, a height and their unit."""
    if not arg_double(a, &shape.width, r, b"ERR need numeric width"):
        return False
    if not arg_double(a + 1, &shape.height, r, b"ERR need numeric height"):
        return False
    if shape.width < 0 or shape.height < 0:
        reply_error(r, b"ERR height or width cannot be negative")
        return False
    shape.box = True
    return geo_arg_unit(a + 2, &shape.unit, r)


cdef bint search_member(Ctx* c, Search* s, Arg* member, Reply* r) noexcept nogil:
    """Takes the centre from a member; without a sorted set there is no search, and nothing to take."""
    if not s.exists or geo_member_position(c, &s.cell, member, &s.shape.longitude, &s.shape.latitude):
        return True
    reply_error(r, b"ERR could not decode requested zset member")
    return False


cdef int search_option(Ctx* c, Search* s, Arg* argv, int left, Reply* r) noexcept nogil:
    """Reads one option of which `left` words are there; how many it took, 0 when it is none, -1 when an error is replied."""
    cdef Arg* a = argv
    cdef bint searching = s.form >= SEARCH
    if arg_is(a, b"withdist", 8):
        s.with_distance = True
    elif arg_is(a, b"withhash", 8):
        s.with_score = True
    elif arg_is(a, b"withcoord", 9):
        s.with_position = True
    elif arg_is(a, b"any", 3):
        s.any = True
    elif arg_is(a, b"asc", 3):
        s.order = NEAR_FIRST
    elif arg_is(a, b"desc", 4):
        s.order = FAR_FIRST
    elif arg_is(a, b"count", 5) and left > 1:
        if not arg_int(a + 1, &s.count, r):
            return -1
        if s.count <= 0:
            reply_error(r, b"ERR COUNT must be > 0")
            return -1
        return 2
    elif not searching and s.may_store and left > 1 and (arg_is(a, b"store", 5) or arg_is(a, b"storedist", 9)):
        s.store = a + 1
        s.store_distance = a.n == 9
        return 2
    elif searching:
        return place_option(c, s, argv, left, r)
    else:
        return 0
    return 1


cdef int place_option(Ctx* c, Search* s, Arg* a, int left, Reply* r) noexcept nogil:
    """The options that only GEOSEARCH has, as search_option; the last of one kind counts."""
    if arg_is(a, b"frommember", 10) and left > 1 and not s.by_position:
        s.by_member = True
        return 2 if search_member(c, s, a + 1, r) else -1
    if arg_is(a, b"fromlonlat", 10) and left > 2 and not s.by_member:
        s.by_position = True
        return 3 if geo_arg_position(a + 1, &s.shape.longitude, &s.shape.latitude, r) else -1
    if arg_is(a, b"byradius", 8) and left > 2 and not (s.shaped and s.shape.box):
        s.shaped = True
        return 3 if arg_radius(a + 1, &s.shape, r) else -1
    if arg_is(a, b"bybox", 5) and left > 3 and not (s.shaped and not s.shape.box):
        s.shaped = True
        return 4 if arg_box(a + 1, &s.shape, r) else -1
    if s.form == SEARCH_STORE and arg_is(a, b"storedist", 9):
        s.store_distance = True
        return 1
    return 0


cdef bint search_options(Ctx* c, Search* s, Arg* argv, int argc, int i, Reply* r) noexcept nogil:
    cdef int took
    while i < argc:
        took = search_option(c, s, &argv[i], argc - i, r)
        if took == 0:
            reply_syntax(r)
        if took <= 0:
            return False
        i += took
    if s.store != NULL and (s.with_distance or s.with_score or s.with_position):
        if s.form == SEARCH_STORE:
            reply_error(r, b"ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
        else:
            reply_error(r, b"ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
        return False
    if s.form >= SEARCH and not s.by_member and not s.by_position:
        reply_errorf(r, b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s", argv[0].p, argv[0].n)
        return False
    if s.form >= SEARCH and not s.shaped:
        reply_errorf(r, b"ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s", argv[0].p, argv[0].n)
        return False
    if s.any and s.count == 0:
        reply_error(r, b"ERR the ANY argument requires COUNT argument")
        return False
    if s.count and s.order == UNSORTED and not s.any:
        s.order = NEAR_FIRST
    return True


# ---- searching

cdef bint found_one(Heap* h, Search* s, Slice* member, double score, double distance) noexcept nogil:
    """False: no memory."""
    cdef Found* more
    cdef Found* f
    cdef size_t cap
    if s.n == s.cap:
        cap = s.cap * 2 if s.cap else 16
        more = <Found*>heap_resize(h, s.found, s.cap * sizeof(Found), cap * sizeof(Found))
        if more == NULL:
            return False
        s.found = more
        s.cap = cap
    f = &s.found[s.n]
    f.p = member.p
    f.n = member.n
    f.score = score
    f.distance = distance
    s.n += 1
    return True


cdef bint found_within(Ctx* c, Search* s, GeoRange* range, size_t limit) noexcept nogil:
    """Adds the members of one range of scores that lie in the shape, up to limit members in all (0: no limit).  An
    integer member's digits stand in the iterator's scratch, so they are copied into its Found."""
    cdef ScoreRange scores
    cdef ZsetIter it
    cdef Slice member
    cdef char scratch[ZSET_SCRATCH]
    cdef double score = 0
    cdef double distance = 0
    cdef double longitude = 0
    cdef double latitude = 0
    cdef uint64_t first = 0
    cdef uint64_t end = 0
    scores.low = <double>range.first
    scores.high = <double>range.end
    scores.low_open = False
    scores.high_open = True
    zset_score_range(&s.cell, &scores, &first, &end)
    if first >= end:
        return True
    zset_iter(&it, &s.cell, first, False)
    while first < end and zset_next(&it, &member, &score, scratch):
        first += 1
        geo_decode(geo_score_bits(score), &longitude, &latitude)
        if not geo_inside(&s.shape, longitude, latitude, &distance):
            continue
        if not found_one(c.heap, s, &member, score, distance):
            return False
        if member.p >= scratch and member.p < scratch + ZSET_SCRATCH:
            memcpy(s.found[s.n - 1].digits, member.p, member.n)
            s.found[s.n - 1].p = NULL
        if limit and s.n >= limit:
            break
    return True


cdef int nearer(const void* a, const void* b, void* arg) noexcept nogil:
    cdef double x = (<const Found*>a).distance
    cdef double y = (<const Found*>b).distance
    return (x > y) - (x < y)


cdef int farther(const void* a, const void* b, void* arg) noexcept nogil:
    return nearer(b, a, arg)


cdef inline const char* found_bytes(const Found* f) noexcept nogil:
    if f.p == NULL:
        return f.digits
    return f.p


cdef void reply_found(Search* s, Found** row, size_t n, Reply* r) noexcept nogil:
    cdef int columns = s.with_distance + s.with_score + s.with_position
    cdef double longitude = 0
    cdef double latitude = 0
    cdef Found* f
    cdef size_t i
    reply_array(r, <int64_t>n)
    for i in range(n):
        f = row[i]
        if columns:
            reply_array(r, columns + 1)
        reply_bulk(r, found_bytes(f), f.n)
        if s.with_distance:
            geo_reply_distance(r, f.distance / s.shape.unit)
        if s.with_score:
            reply_int(r, <int64_t>geo_score_bits(f.score))
        if s.with_position:
            geo_decode(geo_score_bits(f.score), &longitude, &latitude)
            geo_reply_position(r, longitude, latitude)


cdef bint result_cell(Ctx* c, Search* s, Found** row, size_t n, Cell* result) noexcept nogil:
    """The result as a sorted set; False: no memory."""
    cdef size_t longest = 0
    cdef double score
    cdef size_t i
    if zset_new_tree(c.heap, result, n) != 0:
        return False
    for i in range(n):
        score = row[i].distance / s.shape.unit if s.store_distance else row[i].score
        longest = max(longest, row[i].n)
        if zset_add(c.heap, result, &score, found_bytes(row[i]), row[i].n, 0, 0, 0, 0) < 0:
            zset_free(c.heap, result)
            return False
    if <int64_t>n <= c.kv.settings.zset_max_listpack_entries and (
            <int64_t>longest <= c.kv.settings.zset_max_listpack_value) and zset_to_packed(c.heap, result) != 0:
        zset_free(c.heap, result)
        return False
    return True


cdef void store_found(Ctx* c, Search* s, Found** row, size_t n, Reply* r) noexcept nogil:
    cdef Cell result
    if n == 0:
        if keyspace_delete(c, c.db, s.store):
            changed(c, c.db, s.store, EVENT_GENERIC, b"del")
        reply_int(r, 0)
        return
    if not result_cell(c, s, row, n, &result):
        reply_oom(r)
        return
    if keyspace_put(c, c.db, s.store, TYPE_ZSET, &result) == NULL:
        zset_free(c.heap, &result)
        reply_oom(r)
        return
    changed_n(c, c.db, s.store, EVENT_ZSET, b"geosearchstore" if s.form == SEARCH_STORE else b"georadiusstore", n)
    reply_int(r, <int64_t>n)


cdef bint search_sorted(Ctx* c, Search* s, Found** row, size_t wanted) noexcept nogil:
    """Puts the first `wanted` of the row in order; False: no memory."""
    cdef void** scratch
    if s.order == UNSORTED:
        return True
    if wanted < s.n:
        sorting_partial(<void**>row, s.n, nearer if s.order == NEAR_FIRST else farther, NULL, 0, wanted - 1)
        return True
    scratch = <void**>heap_alloc(c.heap, s.n * sizeof(void*))
    if scratch == NULL:
        return False
    sorting_stable(<void**>row, scratch, s.n, nearer if s.order == NEAR_FIRST else farther, NULL)
    heap_free(c.heap, scratch, s.n * sizeof(void*))
    return True


cdef void search_run(Ctx* c, Search* s, Reply* r) noexcept nogil:
    cdef GeoRange[GEO_CELLS] ranges
    cdef int n_ranges = geo_ranges(&s.shape, ranges)
    cdef size_t limit = <size_t>s.count if s.any else 0
    cdef Found** row
    cdef size_t wanted
    cdef size_t i
    for i in range(n_ranges):
        if limit and s.n >= limit:
            break
        if not found_within(c, s, &ranges[i], limit):
            reply_oom(r)
            return
    wanted = min(s.n, <size_t>s.count) if s.count else s.n
    if s.n == 0:
        if s.store != NULL:
            store_found(c, s, NULL, 0, r)
        else:
            reply_array(r, 0)
        return
    row = <Found**>heap_alloc(c.heap, s.n * sizeof(void*))
    if row == NULL:
        reply_oom(r)
        return
    for i in range(s.n):
        row[i] = &s.found[i]
    if not search_sorted(c, s, row, wanted):
        reply_oom(r)
    elif s.store != NULL:
        store_found(c, s, row, wanted, r)
    else:
        reply_found(s, row, wanted, r)
    heap_free(c.heap, row, s.n * sizeof(void*))


cdef int search(Ctx* c, Arg* argv, int argc, Reply* r, int form, bint may_store) noexcept nogil:
    cdef Search s
    cdef bint wrong = False
    cdef int key = 2 if form == SEARCH_STORE else 1
    cdef int first = 6 if form == RADIUS else 5 if form == RADIUS_MEMBER else key + 1
    cdef Entry* e = lookup_read_type(c, &argv[key], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    memset(&s, 0, sizeof(Search))
    s.form = form
    s.may_store = may_store
    s.exists = e != NULL
    if e != NULL:
        entry_cell(e, &s.cell)
    if form == RADIUS:
        if not geo_arg_position(&argv[2], &s.shape.longitude, &s.shape.latitude, r) or not arg_radius(&argv[4], &s.shape, r):
            return CALL_DONE
    elif form == RADIUS_MEMBER and e != NULL:
        if not search_member(c, &s, &argv[2], r) or not arg_radius(&argv[3], &s.shape, r):
            return CALL_DONE
    if form == SEARCH_STORE:
        s.store = &argv[1]
    if not search_options(c, &s, argv, argc, first, r):
        return CALL_DONE
    if e != NULL:
        search_run(c, &s, r)
    elif s.store != NULL:
        store_found(c, &s, NULL, 0, r)
    else:
        reply_array(r, 0)
    if s.cap:
        heap_free(c.heap, s.found, s.cap * sizeof(Found))
    return CALL_DONE


cdef int cmd_georadius(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return search(c, argv, argc, r, RADIUS, True)


cdef int cmd_georadius_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return search(c, argv, argc, r, RADIUS, False)


cdef int cmd_georadiusbymember(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return search(c, argv, argc, r, RADIUS_MEMBER, True)


cdef int cmd_georadiusbymember_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return search(c, argv, argc, r, RADIUS_MEMBER, False)


cdef int cmd_geosearch(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return search(c, argv, argc, r, SEARCH, False)


cdef int cmd_geosearchstore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return search(c, argv, argc, r, SEARCH_STORE, False)


registry_bind("georadius", cmd_georadius)
registry_bind("georadius_ro", cmd_georadius_ro)
registry_bind("georadiusbymember", cmd_georadiusbymember)
registry_bind("georadiusbymember_ro", cmd_georadiusbymember_ro)
registry_bind("geosearch", cmd_geosearch)
registry_bind("geosearchstore", cmd_geosearchstore)
