"""The one hash table (contract, layout and source: table.pxd)."""

from libc.string cimport memset

from libkv.structures.alloc cimport heap_zeroed, heap_zeroed_drop, heap_zeroed_free
from libkv.structures.random cimport random_below
from libkv.structures.siphash cimport siphash

cdef enum:
    EMPTY_VISITS = 10           # empty buckets passed over a step before it counts as one
    DROP_EVERY = 4096           # buckets moved (256 KB) between giving back pages of the old array


cdef void table_init(Table* t, uint8_t key_at) noexcept nogil:
    memset(t, 0, sizeof(Table))
    t.rehash = -1
    t.key_at = key_at


cdef inline uint64_t item_hash(Heap* h, Table* t, void* item) noexcept nogil:
    cdef size_t n
    cdef const char* k = prefixed_read(<const char*>item + t.key_at, &n)
    return siphash(h.seed, k, n)


cdef inline uint64_t capacity(uint64_t mask) noexcept nogil:
    """Items a table of mask + 1 buckets takes before it grows: 7/8 of its places."""
    return ((mask + 1) * SLOTS * 7) >> 3


cdef inline int places(Bucket* b) noexcept nogil:
    return 6 if b.linked else 7


# ---- one bucket chain

cdef int chain_put(Heap* h, Table* t, Bucket* b, void* item, uint8_t tag) noexcept nogil:
    """Puts an item into the first free place of the chain at b; 0, or -1 without memory."""
    cdef Bucket* more
    cdef int i
    while True:
        for i in range(places(b)):
            if b.tag[i] == 0:
                b.tag[i] = tag
                b.item[i] = item
                return 0
        if not b.linked:
            break
        b = <Bucket*>b.item[6]
    more = <Bucket*>heap_zeroed(h, sizeof(Bucket))
    if more == NULL:
        return -1
    more.tag[0] = b.tag[6]              # the last place becomes the link
    more.item[0] = b.item[6]
    more.tag[1] = tag
    more.item[1] = item
    b.tag[6] = 0
    b.item[6] = more
    b.linked = 1
    t.links += 1
    return 0


cdef void chain_unlink_empty(Heap* h, Table* t, Bucket* b) noexcept nogil:
    """Drops the buckets behind b that hold nothing, and takes a last single item back into b's last place."""
    cdef Bucket* more
    cdef int i
    cdef int n
    cdef int last
    while b.linked:
        more = <Bucket*>b.item[6]
        if more.linked:
            b = more
            continue
        n = 0
        last = -1
        for i in range(SLOTS):
            if more.tag[i]:
                n += 1
                last = i
        if n > 1:
            return
        b.linked = 0
        if n == 1:
            b.tag[6] = more.tag[last]
            b.item[6] = more.item[last]
        else:
            b.tag[6] = 0
            b.item[6] = NULL
        heap_zeroed_free(h, more, sizeof(Bucket))
        t.links -= 1
        return


cdef void** chain_find(Table* t, Bucket* b, const char* key, size_t n, uint8_t tag) noexcept nogil:
    cdef int i
    while True:
        for i in range(places(b)):
            if b.tag[i] == tag and table_item_is(t, b.item[i], key, n):
                return &b.item[i]
        if not b.linked:
            return NULL
        b = <Bucket*>b.item[6]


# ---- sizes

cdef uint64_t buckets_for(uint64_t items) noexcept nogil:
    cdef uint64_t n = 1
    while capacity(n - 1) < items:
        n <<= 1
    return n


cdef int table_reserve(Heap* h, Table* t, uint64_t items) noexcept nogil:
    cdef uint64_t n = buckets_for(items)
    if t.buckets[0] != NULL:
        return 0
    t.buckets[0] = <Bucket*>heap_zeroed(h, n * sizeof(Bucket))
    if t.buckets[0] == NULL:
        return -1
    t.mask[0] = n - 1
    return 0


cdef bint rehash_begin(Heap* h, Table* t, uint64_t buckets) noexcept nogil:
    """Starts moving to a table of that many buckets.  Without memory the table stays as it is: fuller, but whole."""
    t.buckets[1] = <Bucket*>heap_zeroed(h, buckets * sizeof(Bucket))
    if t.buckets[1] == NULL:
        return False
    t.mask[1] = buckets - 1
    t.rehash = 0
    return True


cdef void table_fit(Heap* h, Table* t) noexcept nogil:
    """Starts shrinking when less than an eighth of the places are used (Redis: a tenth)."""
    if t.rehash >= 0 or t.buckets[0] == NULL or t.paused or t.mask[0] < 1:
        return
    if t.used * 8 < (t.mask[0] + 1) * SLOTS:
        rehash_begin(h, t, buckets_for(t.used * 2 if t.used else 1))


cdef bint table_step(Heap* h, Table* t, int n) noexcept nogil:
    cdef int empty = n * EMPTY_VISITS
    cdef Bucket* b
    cdef Bucket* more
    cdef Bucket* first
    cdef uint64_t hash
    cdef int i
    cdef bint any_item
    if t.rehash < 0:
        return False
    if t.paused:
        return True
    while n > 0:
        if <uint64_t>t.rehash > t.mask[0]:
            heap_zeroed_free(h, t.buckets[0], (t.mask[0] + 1) * sizeof(Bucket))
            t.buckets[0] = t.buckets[1]
            t.mask[0] = t.mask[1]
            t.buckets[1] = NULL
            t.mask[1] = 0
            t.rehash = -1
            return False
        first = b = &t.buckets[0][t.rehash]
        any_item = b.linked
        for i in range(places(b)):
            if b.tag[i]:
                any_item = True
                PREFETCH(b.item[i])
        while True:
            for i in range(places(b)):
                if b.tag[i]:
                    hash = item_hash(h, t, b.item[i])
                    if chain_put(h, t, &t.buckets[1][hash & t.mask[1]], b.item[i], table_tag(hash)) != 0:
                        return True     # no memory for a link: this bucket's rest stays here, and is found here
                    b.tag[i] = 0
            if not b.linked:
                break
            b = <Bucket*>b.item[6]
        while first.linked:             # all are moved: now the buckets behind the first go
            more = <Bucket*>first.item[6]
            first.linked = more.linked
            first.item[6] = more.item[6] if more.linked else NULL
            heap_zeroed_free(h, more, sizeof(Bucket))
            t.links -= 1
        t.rehash += 1
        if t.rehash % DROP_EVERY == 0:
            heap_zeroed_drop(h, t.buckets[0], (t.mask[0] + 1) * sizeof(Bucket),
                             (t.rehash - DROP_EVERY) * sizeof(Bucket), t.rehash * sizeof(Bucket))
        if any_item:
            n -= 1
        else:
            empty -= 1
            if empty <= 0:
                break
    return True


# ---- items

cdef void** table_find_slow(Heap* h, Table* t, const char* key, size_t n, uint64_t hash) noexcept nogil:
    """Look-up while rehashing, with a step first."""
    cdef void** slot
    if t.used == 0 or t.buckets[0] == NULL:
        return NULL
    table_step(h, t, 1)
    slot = chain_find(t, &t.buckets[0][hash & t.mask[0]], key, n, table_tag(hash))
    if slot == NULL and t.rehash >= 0:
        slot = chain_find(t, &t.buckets[1][hash & t.mask[1]], key, n, table_tag(hash))
    return slot


cdef int table_insert(Heap* h, Table* t, void* item, uint64_t hash) noexcept nogil:
    cdef int which
    if t.buckets[0] == NULL:
        if table_reserve(h, t, 1) != 0:
            return -1
    elif t.rehash >= 0:
        table_step(h, t, 1)
    elif t.used >= capacity(t.mask[0]) and not t.paused:
        rehash_begin(h, t, (t.mask[0] + 1) * 2)
    which = 1 if t.rehash >= 0 else 0
    if chain_put(h, t, &t.buckets[which][hash & t.mask[which]], item, table_tag(hash)) != 0:
        return -1
    t.used += 1
    return 0


cdef void table_remove(Heap* h, Table* t, void** slot, uint64_t hash) noexcept nogil:
    cdef Bucket* b = <Bucket*>(<size_t>slot & ~<size_t>63)
    cdef Bucket* head
    cdef int i = <int>(slot - b.item)
    cdef int which
    b.tag[i] = 0
    b.item[i] = NULL
    t.used -= 1
    for which in range(2 if t.rehash >= 0 else 1):
        head = &t.buckets[which][hash & t.mask[which]]
        if head.linked:
            chain_unlink_empty(h, t, head)


cdef void table_release(Heap* h, Table* t) noexcept nogil:
    cdef int which
    cdef uint64_t i
    cdef Bucket* b
    cdef Bucket* more
    for which in range(2):
        if t.buckets[which] == NULL:
            continue
        i = 0
        while t.links and i <= t.mask[which]:
            if t.buckets[which][i].linked:
                b = <Bucket*>t.buckets[which][i].item[6]
                while b != NULL:
                    more = <Bucket*>b.item[6] if b.linked else NULL
                    heap_zeroed_free(h, b, sizeof(Bucket))
                    t.links -= 1
                    b = more
            i += 1
        heap_zeroed_free(h, t.buckets[which], (t.mask[which] + 1) * sizeof(Bucket))
    table_init(t, t.key_at)


cdef bint table_free_some(Heap* h, Table* t, table_item_free f, uint64_t budget) noexcept nogil:
    """Frees items, bucket by bucket from the last one down, until the budget (the sum of what f returns, and one a
    bucket) is spent.  From the first call on the table may not be used for anything else; `paused` then counts the
    buckets that are done of the array in work."""
    cdef uint64_t size
    cdef uint64_t at
    cdef int which
    for which in range(1, -1, -1):
        if t.buckets[which] == NULL:
            continue
        size = (t.mask[which] + 1) * sizeof(Bucket)
        while t.paused <= t.mask[which]:
            if budget == 0:
                return False
            at = t.mask[which] - t.paused
            budget = chain_free(h, t, &t.buckets[which][at], f, budget - 1)
            if at % DROP_EVERY == 0:
                heap_zeroed_drop(h, t.buckets[which], size, at * sizeof(Bucket), (at + DROP_EVERY) * sizeof(Bucket))
            t.paused += 1
        heap_zeroed_free(h, t.buckets[which], size)
        t.buckets[which] = NULL
        t.paused = 0
    table_init(t, t.key_at)
    return True


cdef uint64_t chain_free(Heap* h, Table* t, Bucket* b, table_item_free f, uint64_t budget) noexcept nogil:
    cdef Bucket* first = b
    cdef Bucket* more
    cdef uint64_t work
    cdef int i
    while b != NULL:
        for i in range(places(b)):
            if b.tag[i]:
                work = f(h, b.item[i])
                budget = budget - work if budget > work else 0
                b.tag[i] = 0
                t.used -= 1
        more = <Bucket*>b.item[6] if b.linked else NULL
        if b != first:
            heap_zeroed_free(h, b, sizeof(Bucket))
            t.links -= 1
        b = more
    first.linked = 0
    return budget


cdef void* table_random(Table* t, Random* r) noexcept nogil:
    """A random item: a random bucket that is not empty, then a random item of its chain.  Items in long chains come a
    little less often, as in Redis's dictGetRandomKey."""
    cdef uint64_t total
    cdef uint64_t at
    cdef Bucket* head
    cdef Bucket* b
    cdef int n
    cdef int i
    cdef int pick
    if t.used == 0:
        return NULL
    total = t.mask[0] + 1
    if t.rehash >= 0:
        total += t.mask[1] + 1
    while True:
        at = random_below(r, total)
        head = &t.buckets[0][at] if at <= t.mask[0] else &t.buckets[1][at - t.mask[0] - 1]
        n = 0
        b = head
        while b != NULL:
            for i in range(places(b)):
                n += b.tag[i] != 0
            b = <Bucket*>b.item[6] if b.linked else NULL
        if n == 0:
            continue
        pick = <int>random_below(r, n)
        b = head
        while b != NULL:
            for i in range(places(b)):
                if b.tag[i]:
                    if pick == 0:
                        return b.item[i]
                    pick -= 1
            b = <Bucket*>b.item[6] if b.linked else NULL


# ---- iteration

cdef void chain_visit(Bucket* b, table_visit visit, void* arg) noexcept nogil:
    cdef int i
    while b != NULL:
        for i in range(places(b)):
            if b.tag[i]:
                visit(b.item[i], arg)
        b = <Bucket*>b.item[6] if b.linked else NULL


cdef inline uint64_t reversed_bits(uint64_t v) noexcept nogil:
    v = ((v >> 1) & <uint64_t>0x5555555555555555) | ((v & <uint64_t>0x5555555555555555) << 1)
    v = ((v >> 2) & <uint64_t>0x3333333333333333) | ((v & <uint64_t>0x3333333333333333) << 2)
    v = ((v >> 4) & <uint64_t>0x0f0f0f0f0f0f0f0f) | ((v & <uint64_t>0x0f0f0f0f0f0f0f0f) << 4)
    v = ((v >> 8) & <uint64_t>0x00ff00ff00ff00ff) | ((v & <uint64_t>0x00ff00ff00ff00ff) << 8)
    v = ((v >> 16) & <uint64_t>0x0000ffff0000ffff) | ((v & <uint64_t>0x0000ffff0000ffff) << 16)
    return (v >> 32) | (v << 32)


cdef inline uint64_t cursor_after(uint64_t cursor, uint64_t mask) noexcept nogil:
    """The next bucket in reversed-binary order: buckets that a growing or shrinking table splits or joins stay
    neighbours in it, so that a scan over a changing table misses nothing that is there all the time (Noordhuis)."""
    cursor |= ~mask
    return reversed_bits(reversed_bits(cursor) + 1)


cdef uint64_t table_scan(Table* t, uint64_t cursor, table_visit visit, void* arg) noexcept nogil:
    """Visits the bucket at the cursor (while rehashing: it and its counterparts in the larger table); the next cursor,
    0 when done.  `visit` must not insert or remove."""
    cdef int small
    cdef int large
    if t.used == 0:
        return 0
    if t.rehash < 0:
        chain_visit(&t.buckets[0][cursor & t.mask[0]], visit, arg)
        return cursor_after(cursor, t.mask[0])
    small = 0 if t.mask[0] <= t.mask[1] else 1
    large = 1 - small
    chain_visit(&t.buckets[small][cursor & t.mask[small]], visit, arg)
    while True:
        chain_visit(&t.buckets[large][cursor & t.mask[large]], visit, arg)
        cursor = cursor_after(cursor, t.mask[large])
        if not cursor & (t.mask[small] ^ t.mask[large]):
            return cursor


cdef void table_iter(TableIter* it, Table* t) noexcept nogil:
    it.t = t
    it.which = 0
    it.at = 0
    it.b = t.buckets[0]
    it.slot = 0


cdef void* table_next(TableIter* it) noexcept nogil:
    while it.b != NULL:
        while it.slot < places(it.b):
            it.slot += 1
            if it.b.tag[it.slot - 1]:
                return it.b.item[it.slot - 1]
        it.slot = 0
        if it.b.linked:
            it.b = <Bucket*>it.b.item[6]
            continue
        it.at += 1
        if it.at > it.t.mask[it.which]:
            it.which += 1
            it.at = 0
            if it.which > 1:
                it.b = NULL
                return NULL
        it.b = &it.t.buckets[it.which][it.at] if it.t.buckets[it.which] != NULL else NULL
    return NULL


cdef uint64_t table_bytes(Table* t) noexcept nogil:
    cdef uint64_t n = t.links * sizeof(Bucket)
    cdef int which
    for which in range(2):
        if t.buckets[which] != NULL:
            n += (t.mask[which] + 1) * sizeof(Bucket)
    return n


# ---- invariants

cdef int table_check(Heap* h, Table* t) noexcept nogil:
    """1 an item in the wrong bucket, 2 a wrong tag, 3 `used` disagrees, 4 `links` disagrees, 5 a bucket behind the
    rehash cursor is not empty, 6 rehashing without a second table or the other way round, 7 a key twice."""
    cdef int which
    cdef uint64_t i
    cdef uint64_t used = 0
    cdef uint64_t links = 0
    cdef uint64_t hash
    cdef size_t n
    cdef const char* k
    cdef Bucket* b
    cdef int s
    if (t.rehash >= 0) != (t.buckets[1] != NULL):
        return 6
    for which in range(2):
        if t.buckets[which] == NULL:
            continue
        for i in range(t.mask[which] + 1):
            b = &t.buckets[which][i]
            while b != NULL:
                for s in range(places(b)):
                    if b.tag[s] == 0:
                        continue
                    if which == 0 and t.rehash >= 0 and <int64_t>i < t.rehash:
                        return 5
                    k = prefixed_read(<const char*>b.item[s] + t.key_at, &n)
                    hash = siphash(h.seed, k, n)
                    if hash & t.mask[which] != i:
                        return 1
                    if b.tag[s] != table_tag(hash):
                        return 2
                    if chain_find(t, &t.buckets[which][i], k, n, b.tag[s])[0] != b.item[s]:
                        return 7
                    used += 1
                if b.linked:
                    links += 1
                    b = <Bucket*>b.item[6]
                else:
                    b = NULL
    if used != t.used:
        return 3
    if links != t.links:
        return 4
    return 0
