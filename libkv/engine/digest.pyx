"""The digest of a value and of all the data (contract: digest.pxd).  Expired keys that are still there count, as in Redis."""

from libc.stdint cimport uint32_t
from libc.stdio cimport snprintf
from libc.string cimport memset

from libkv.engine.entry cimport E_TTL, entry_cell, entry_key, entry_string, entry_type
from libkv.engine.types cimport TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.hash cimport HASH_SCRATCH, HashIter, hash_iter, hash_next
from libkv.structures.list cimport ListIter, list_seek, list_step
from libkv.structures.number cimport number_print_u64
from libkv.structures.packed cimport packed_get
from libkv.structures.set cimport SetIter, set_iter, set_next
from libkv.structures.sha1 cimport SHA1_BYTES, sha1_of
from libkv.structures.stream cimport StreamIter, stream_iter, stream_next, stream_of, stream_pair
from libkv.structures.table cimport TableIter, table_iter, table_next
from libkv.structures.zset cimport ZsetIter, zset_iter, zset_next


cdef void digest_add(uint8_t* digest, const char* p, size_t n) noexcept nogil:
    cdef uint8_t hashed[SHA1_BYTES]
    cdef int i
    sha1_of(p, n, hashed)
    for i in range(SHA1_BYTES):
        digest[i] ^= hashed[i]


cdef void digest_mix(uint8_t* digest, const char* p, size_t n) noexcept nogil:
    digest_add(digest, p, n)
    sha1_of(<char*>digest, SHA1_BYTES, digest)


cdef void digest_mix_number(uint8_t* digest, uint32_t v) noexcept nogil:
    cdef char bytes[4]
    bytes[0] = <char>(v >> 24)
    bytes[1] = <char>(v >> 16 & 255)
    bytes[2] = <char>(v >> 8 & 255)
    bytes[3] = <char>(v & 255)
    digest_mix(digest, bytes, 4)


cdef void digest_pair(uint8_t* digest, Slice* first, const char* p, size_t n) noexcept nogil:
    """Adds the mix of the two."""
    cdef uint8_t pair[SHA1_BYTES]
    memset(pair, 0, SHA1_BYTES)
    digest_mix(pair, first.p, first.n)
    digest_mix(pair, p, n)
    digest_add(digest, <char*>pair, SHA1_BYTES)


cdef void digest_list(Cell* cell, uint8_t* digest) noexcept nogil:
    cdef ListIter it
    cdef Slice s
    cdef char scratch[24]
    list_seek(&it, cell, 0, False)
    while it.at != NULL:
        s = packed_get(it.at, scratch)
        digest_mix(digest, s.p, s.n)
        list_step(&it)


cdef void digest_set(Cell* cell, uint8_t* digest) noexcept nogil:
    cdef SetIter it
    cdef Slice s
    cdef char scratch[24]
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        digest_add(digest, s.p, s.n)


cdef void digest_hash(Cell* cell, uint8_t* digest) noexcept nogil:
    cdef HashIter it
    cdef Slice field, value
    cdef char scratch[HASH_SCRATCH]
    hash_iter(&it, cell)
    while hash_next(&it, &field, &value, scratch):
        digest_pair(digest, &field, value.p, value.n)


cdef void digest_zset(Cell* cell, uint8_t* digest) noexcept nogil:
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[24]
    cdef char text[64]
    cdef int n
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &member, &score, scratch):
        n = snprintf(text, sizeof(text), b"%.17g", score)
        digest_pair(digest, &member, text, n)


cdef void digest_stream(Cell* cell, uint8_t* digest) noexcept nogil:
    cdef StreamIter it
    cdef Slice field, value
    cdef char scratch[48]
    cdef char text[48]
    cdef int n
    stream_iter(&it, stream_of(cell), NULL, NULL, False)
    while stream_next(&it):
        n = number_print_u64(text, it.entry.id.ms)
        text[n] = 46
        n += 1 + number_print_u64(text + n + 1, it.entry.id.seq)
        digest_mix(digest, text, n)
        while it.left:
            stream_pair(&it, &field, &value, scratch)
            digest_mix(digest, field.p, field.n)
            digest_mix(digest, value.p, value.n)


cdef void digest_entry(Entry* e, uint8_t* digest) noexcept nogil:
    cdef int type = entry_type(e)
    cdef Cell cell
    cdef Slice s
    cdef char scratch[24]
    digest_mix_number(digest, type)
    if type == TYPE_STRING:
        entry_string(e, scratch, &s)
        digest_mix(digest, s.p, s.n)
    else:
        entry_cell(e, &cell)
        if type == TYPE_LIST:
            digest_list(&cell, digest)
        elif type == TYPE_SET:
            digest_set(&cell, digest)
        elif type == TYPE_HASH:
            digest_hash(&cell, digest)
        elif type == TYPE_ZSET:
            digest_zset(&cell, digest)
        elif type == TYPE_STREAM:
            digest_stream(&cell, digest)
    if e.flags & E_TTL:
        digest_add(digest, b"!!expire!!", 10)


cdef void digest_data(Kv* kv, uint8_t* digest) noexcept nogil:
    cdef uint8_t one[SHA1_BYTES]
    cdef TableIter it
    cdef Entry* e
    cdef const char* key
    cdef size_t n
    cdef int i
    memset(digest, 0, SHA1_BYTES)
    for i in range(kv.n_dbs):
        if kv.dbs[i].keys.used == 0:
            continue
        digest_mix_number(digest, i)
        table_iter(&it, &kv.dbs[i].keys)
        e = <Entry*>table_next(&it)
        while e != NULL:
            memset(one, 0, SHA1_BYTES)
            key = entry_key(e, &n)
            digest_mix(one, key, n)
            digest_entry(e, one)
            digest_add(digest, <char*>one, SHA1_BYTES)
            e = <Entry*>table_next(&it)
