"""Positions in sorted sets: GEOADD, GEODIST, GEOHASH, GEOPOS (https://redis.io/docs/latest/commands/?group=geo).

A member's score is its position (structures/geo); any sorted set will do, whoever wrote its scores.  GEOADD is a ZADD of
the scores, and that is its effect.  Searches are commands/geo_search.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from libkv.commands.collections cimport member_hash
from libkv.commands.sorted_sets cimport cmd_zadd
from libkv.engine.args cimport arg_double, arg_is
from libkv.engine.call cimport propagate, propagating
from libkv.engine.entry cimport Entry, entry_cell
from libkv.engine.keyspace cimport lookup_read_type
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_human_double, reply_nil, reply_nil_array, reply_oom, reply_raw, reply_syntax,
)
from libkv.engine.types cimport CALL_DONE, EFFECT_VERBATIM, TYPE_ZSET
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.geo cimport (
    GEO_NUMBER, GEO_TEXT, geo_decode, geo_distance, geo_encode, geo_position, geo_print, geo_print_distance, geo_text,
)
from libkv.structures.number cimport (
    NUMBER_DOUBLE, NUMBER_I64, NUMBER_LONG_DOUBLE, number_print_i64, number_print_long_double,
)
from libkv.structures.zset cimport zset_score


# ---- shared

cdef void reply_pair(Reply* r, double longitude, double latitude) noexcept nogil:
    """The error about a position that is not on the grid."""
    cdef char text[64 + 2 * GEO_NUMBER]
    cdef const char* words = b"ERR invalid longitude,latitude pair "
    cdef int n = 36
    memcpy(text, words, 36)
    n += geo_print(text + n, longitude)
    text[n] = b","
    n += 1
    n += geo_print(text + n, latitude)
    text[n] = 0
    reply_error(r, text)


cdef bint geo_arg_position(Arg* a, double* longitude, double* latitude, Reply* r) noexcept nogil:
    if not arg_double(a, longitude, r, NULL) or not arg_double(a + 1, latitude, r, NULL):
        return False
    if geo_position(longitude[0], latitude[0]):
        return True
    reply_pair(r, longitude[0], latitude[0])
    return False


cdef bint geo_arg_unit(Arg* a, double* metres, Reply* r) noexcept nogil:
    if arg_is(a, b"m", 1):
        metres[0] = 1
    elif arg_is(a, b"km", 2):
        metres[0] = 1000
    elif arg_is(a, b"ft", 2):
        metres[0] = 0.3048
    elif arg_is(a, b"mi", 2):
        metres[0] = 1609.34
    else:
        reply_error(r, b"ERR unsupported unit provided. please use M, KM, FT, MI")
        return False
    return True


cdef uint64_t geo_score_bits(double score) noexcept nogil:
    cdef double two_63 = 9223372036854775808.0
    if score < two_63:
        return <uint64_t><int64_t>score if score >= -two_63 else <uint64_t>1 << 63
    score -= two_63
    return <uint64_t><int64_t>score ^ (<uint64_t>1 << 63) if score < two_63 else 0


cdef bint geo_member_position(Ctx* c, Cell* cell, Arg* member, double* longitude, double* latitude) noexcept nogil:
    cdef double score = 0
    if not zset_score(c.heap, cell, member.p, member.n, member_hash(member), &score):
        return False
    geo_decode(geo_score_bits(score), longitude, latitude)
    return True


cdef void geo_reply_position(Reply* r, double longitude, double latitude) noexcept nogil:
    reply_array(r, 2)
    reply_coordinate(r, longitude)
    reply_coordinate(r, latitude)


cdef void reply_coordinate(Reply* r, double v) noexcept nogil:
    """INCRBYFLOAT's form of a number, but in RESP3 as a double."""
    cdef char digits[NUMBER_LONG_DOUBLE]
    cdef int n
    if r.proto == 2:
        reply_human_double(r, v)
        return
    digits[0] = b","
    n = 1 + number_print_long_double(digits + 1, v)
    digits[n] = 13
    digits[n + 1] = 10
    reply_raw(r, digits, n + 2)


cdef void geo_reply_distance(Reply* r, double v) noexcept nogil:
    cdef char digits[NUMBER_DOUBLE]
    reply_bulk(r, digits, geo_print_distance(digits, v))


# ---- adding

cdef int cmd_geoadd(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint only_new = False
    cdef bint only_old = False
    cdef int first = 2
    cdef size_t bytes
    cdef Arg* words
    cdef char* digits
    cdef double longitude = 0
    cdef double latitude = 0
    cdef uint64_t dirty = c.kv.dirty
    cdef int n
    cdef int i
    while first < argc:
        if arg_is(&argv[first], b"nx", 2):
            only_new = True
        elif arg_is(&argv[first], b"xx", 2):
            only_old = True
        elif not arg_is(&argv[first], b"ch", 2):
            break
        first += 1
    if (argc - first) % 3 or (only_new and only_old):
        reply_syntax(r)
        return CALL_DONE
    bytes = argc * (sizeof(Arg) + NUMBER_I64)
    words = <Arg*>heap_alloc(c.heap, bytes)
    if words == NULL:
        reply_oom(r)
        return CALL_DONE
    digits = <char*>(words + argc)
    memcpy(words, argv, first * sizeof(Arg))
    words[0].p = b"ZADD"
    words[0].n = 4
    words[0].hashed = False
    n = first
    i = first
    while i < argc and geo_arg_position(&argv[i], &longitude, &latitude, r):
        words[n].p = digits
        words[n].n = number_print_i64(digits, <int64_t>geo_encode(longitude, latitude))
        words[n].hashed = False
        words[n + 1] = argv[i + 2]
        digits += NUMBER_I64
        n += 2
        i += 3
    if i == argc:
        cmd_zadd(c, words, n, r)
        if c.effect == EFFECT_VERBATIM and c.kv.dirty != dirty and propagating(c):
            propagate(c, c.db, n, words)
    heap_free(c.heap, words, bytes)
    return CALL_DONE


# ---- asking

cdef int cmd_geodist(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef double unit = 1
    cdef double lon1 = 0
    cdef double lat1 = 0
    cdef double lon2 = 0
    cdef double lat2 = 0
    cdef Entry* e
    cdef Cell cell
    if argc > 5:
        reply_syntax(r)
        return CALL_DONE
    if argc == 5 and not geo_arg_unit(&argv[4], &unit, r):
        return CALL_DONE
    e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
        if geo_member_position(c, &cell, &argv[2], &lon1, &lat1) and geo_member_position(c, &cell, &argv[3], &lon2, &lat2):
            geo_reply_distance(r, geo_distance(lon1, lat1, lon2, lat2) / unit)
            return CALL_DONE
    reply_nil(r)
    return CALL_DONE


cdef int positions(Ctx* c, Arg* argv, int argc, Reply* r, bint as_text) noexcept nogil:
    cdef bint wrong = False
    cdef Entry* e = lookup_read_type(c, &argv[1], TYPE_ZSET, r, &wrong)
    cdef double longitude = 0
    cdef double latitude = 0
    cdef char text[GEO_TEXT]
    cdef Cell cell
    cdef int i
    if wrong:
        return CALL_DONE
    if e != NULL:
        entry_cell(e, &cell)
    reply_array(r, argc - 2)
    for i in range(2, argc):
        if e == NULL or not geo_member_position(c, &cell, &argv[i], &longitude, &latitude):
            if as_text:
                reply_nil(r)
            else:
                reply_nil_array(r)
        elif as_text:
            geo_text(longitude, latitude, text)
            reply_bulk(r, text, GEO_TEXT)
        else:
            geo_reply_position(r, longitude, latitude)
    return CALL_DONE


cdef int cmd_geohash(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return positions(c, argv, argc, r, True)


cdef int cmd_geopos(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return positions(c, argv, argc, r, False)


registry_bind("geoadd", cmd_geoadd)
registry_bind("geodist", cmd_geodist)
registry_bind("geohash", cmd_geohash)
registry_bind("geopos", cmd_geopos)
