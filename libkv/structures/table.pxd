# The one hash table: the keyspace, and the member index of large hashes, sets and sorted sets.
#
# A table holds pointers to items.  It knows one thing of an item: at byte `key_at` its length-prefixed key starts
# (prefixed.pxd).  Buckets are one cache line; the hash's low bits choose the bucket, its top byte is the tag:
#
#   struct Bucket, 64 bytes
#   +--------+--------+--------+ ... +--------+----------+----------+ ... +----------+
#   | linked | tag 0  | tag 1  |     | tag 6  |  item 0  |  item 1  |     |  item 6  |
#   +--------+--------+--------+ ... +--------+----------+----------+ ... +----------+
#     1 byte   1 byte each, 0 = empty           8 bytes each
#
# When a bucket is full, its last place becomes a link to a further bucket (linked = 1), so that a bucket has 6 items
# and a link, or up to 7 items.  A look-up compares 7 tags in one step, so it costs one line for the bucket and, but for
# one false tag in 255, one for the item.  (After valkey 8.1's hashtable; the tags there are 7 bits and a bit map.)
#
# Growing and shrinking move one bucket a step to the other table; a look-up in between searches both.  Items carry no
# hash: moving one hashes its key again.  All functions that take a hash take siphash(heap.seed, key).

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from libkv.structures.alloc cimport Heap, LIKELY, UNLIKELY
from libkv.structures.prefixed cimport prefixed_read
from libkv.structures.random cimport Random

cdef enum:
    SLOTS = 7

cdef struct Bucket:
    uint8_t linked
    uint8_t tag[7]
    void* item[7]

cdef struct Table:
    Bucket* buckets[2]          # [1] only while rehashing
    uint64_t mask[2]            # number of buckets - 1
    uint64_t used               # items
    uint64_t links              # further buckets
    int64_t rehash              # next bucket of [0] to move; -1 = not rehashing
    uint32_t paused             # > 0: no rehash step (an iterator is open)
    uint8_t key_at

ctypedef void (*table_visit)(void* item, void* arg) noexcept nogil
ctypedef uint64_t (*table_item_free)(Heap* h, void* item) noexcept nogil     # returns the work done, >= 1

cdef struct TableIter:
    Table* t
    int which
    uint64_t at
    Bucket* b
    int slot

cdef void table_init(Table* t, uint8_t key_at) noexcept nogil
cdef int table_reserve(Heap* h, Table* t, uint64_t items) noexcept nogil        # before the first insert; 0 or -1
cdef void** table_find_slow(Heap* h, Table* t, const char* key, size_t n, uint64_t hash) noexcept nogil
cdef int table_insert(Heap* h, Table* t, void* item, uint64_t hash) noexcept nogil      # key must be absent; 0 or -1
cdef void table_remove(Heap* h, Table* t, void** slot, uint64_t hash) noexcept nogil    # takes the item out, does not free it
cdef void table_release(Heap* h, Table* t) noexcept nogil                       # frees the buckets, not the items
cdef bint table_free_some(Heap* h, Table* t, table_item_free f, uint64_t budget) noexcept nogil  # True: all gone
cdef bint table_step(Heap* h, Table* t, int n) noexcept nogil                   # moves up to n buckets; True: more to do
cdef void table_fit(Heap* h, Table* t) noexcept nogil                           # starts shrinking when it is nearly empty
cdef void* table_random(Table* t, Random* r) noexcept nogil                # fair enough: uniform over buckets' chains, then items
cdef uint64_t table_scan(Table* t, uint64_t cursor, table_visit visit, void* arg) noexcept nogil
cdef void table_iter(TableIter* it, Table* t) noexcept nogil
cdef void* table_next(TableIter* it) noexcept nogil                             # NULL at the end; no insert or remove meanwhile
cdef uint64_t table_bytes(Table* t) noexcept nogil                              # of the buckets
cdef int table_check(Heap* h, Table* t) noexcept nogil                          # 0, or the number of the broken invariant

cdef inline uint8_t table_tag(uint64_t hash) noexcept nogil:
    cdef uint8_t tag = <uint8_t>(hash >> 56)
    return tag if tag else 1

cdef extern from *:
    """
    /* the empty asm keeps gcc from taking a function that only prefetches for one without effect, and dropping its calls */
    #define KV_PREFETCH(p) ({ const void* kv_p = (p); __builtin_prefetch(kv_p); __asm__ volatile("" :: "r"(kv_p)); })
    #define KV_CTZ64(x) __builtin_ctzll(x)
    """
    void PREFETCH "KV_PREFETCH"(const void*) noexcept nogil
    int CTZ64 "KV_CTZ64"(uint64_t) noexcept nogil

cdef inline uint64_t table_match(Bucket* b, uint8_t tag) noexcept nogil:
    """A word with bit 7 of byte i + 1 set where tag i equals tag (exact: no false bytes)."""
    cdef uint64_t w
    memcpy(&w, b, 8)
    w ^= <uint64_t>tag * <uint64_t>0x0101010101010101
    w = ~(((w & <uint64_t>0x7f7f7f7f7f7f7f7f) + <uint64_t>0x7f7f7f7f7f7f7f7f) | w | <uint64_t>0x7f7f7f7f7f7f7f7f)
    return w & <uint64_t>0xffffffffffffff00

cdef inline bint table_item_is(Table* t, void* item, const char* key, size_t n) noexcept nogil:
    cdef size_t m
    cdef const char* k = prefixed_read(<const char*>item + t.key_at, &m)
    return m == n and memcmp(k, key, n) == 0

cdef inline void** table_find(Heap* h, Table* t, const char* key, size_t n, uint64_t hash) noexcept nogil:
    """The slot that points to the item with this key, or NULL.  Valid until the next insert or remove or step."""
    cdef Bucket* b
    cdef uint64_t match
    cdef int i
    if UNLIKELY(t.rehash >= 0) or t.buckets[0] == NULL:
        return table_find_slow(h, t, key, n, hash)
    b = &t.buckets[0][hash & t.mask[0]]
    while True:
        match = table_match(b, table_tag(hash))
        if b.linked:
            match &= <uint64_t>0x00ffffffffffffff
        while match:
            i = (CTZ64(match) >> 3) - 1
            if LIKELY(table_item_is(t, b.item[i], key, n)):
                return &b.item[i]
            match &= match - 1
        if LIKELY(not b.linked):
            return NULL
        b = <Bucket*>b.item[6]

cdef inline void table_prefetch_bucket(Table* t, uint64_t hash) noexcept nogil:
    if t.buckets[0] != NULL:
        PREFETCH(&t.buckets[0][hash & t.mask[0]])
        if UNLIKELY(t.rehash >= 0):
            PREFETCH(&t.buckets[1][hash & t.mask[1]])

cdef inline void table_prefetch_item(Table* t, uint64_t hash) noexcept nogil:
    """A hint: the first item whose tag matches (its bucket should be in the cache by now)."""
    cdef Bucket* b
    cdef uint64_t match
    cdef int which
    if t.buckets[0] == NULL:
        return
    for which in range(2 if t.rehash >= 0 else 1):
        b = &t.buckets[which][hash & t.mask[which]]
        match = table_match(b, table_tag(hash))
        if match:
            PREFETCH(b.item[(CTZ64(match) >> 3) - 1])
