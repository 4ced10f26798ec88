"""Deadlines, and the queues of keys (contract: blocking_queues.pxd)."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from libkv.engine.blocking cimport BlockedKey
from libkv.engine.keyspace cimport arg_hash
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    TableIter, table_check, table_find, table_insert, table_iter, table_next, table_remove,
)

cdef enum:
    DEADLINES_START = 16


# ---- deadlines: a binary heap, ties by the session's number

cdef inline bint deadline_earlier(Blocked* a, Blocked* b) noexcept nogil:
    return a.deadline < b.deadline or (a.deadline == b.deadline and a.session.id < b.session.id)


cdef inline void deadline_put(Blocking* k, uint32_t at, Blocked* b) noexcept nogil:
    k.heap[at] = b
    b.place = at


cdef void deadline_rise(Blocking* k, uint32_t at, Blocked* b) noexcept nogil:
    cdef uint32_t up
    while at > 0:
        up = (at - 1) // 2
        if not deadline_earlier(b, k.heap[up]):
            break
        deadline_put(k, at, k.heap[up])
        at = up
    deadline_put(k, at, b)


cdef void deadline_sink(Blocking* k, uint32_t at, Blocked* b) noexcept nogil:
    cdef uint32_t down
    while True:
        down = at * 2 + 1
        if down >= k.heap_n:
            break
        if down + 1 < k.heap_n and deadline_earlier(k.heap[down + 1], k.heap[down]):
            down += 1
        if not deadline_earlier(k.heap[down], b):
            break
        deadline_put(k, at, k.heap[down])
        at = down
    deadline_put(k, at, b)


cdef bint deadline_room(Blocking* k) noexcept nogil:
    cdef uint32_t cap = k.heap_cap * 2 if k.heap_cap else <uint32_t>DEADLINES_START
    cdef Blocked** more
    if k.heap_n < k.heap_cap:
        return True
    more = <Blocked**>realloc(k.heap, cap * sizeof(Blocked*))
    if more == NULL:
        return False
    k.heap = more
    k.heap_cap = cap
    return True


cdef void deadline_drop(Blocking* k, Blocked* b) noexcept nogil:
    cdef uint32_t at = b.place
    cdef Blocked* last
    if at == NO_PLACE:
        return
    b.place = NO_PLACE
    k.heap_n -= 1
    last = k.heap[k.heap_n]
    if last == b:
        return
    if at > 0 and deadline_earlier(last, k.heap[(at - 1) // 2]):
        deadline_rise(k, at, last)
    else:
        deadline_sink(k, at, last)


# ---- queues of keys

cdef KeyQueue* queue_find(Kv* kv, Db* db, Arg* key) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef void** slot = table_find(kv.heap, &k.keys, key.p, key.n, arg_hash(kv.heap, key))
    cdef KeyQueue* q
    if slot == NULL:
        return NULL
    q = (<BlockedKey*>slot[0]).first
    while q != NULL and q.db != db:
        q = q.next_db
    return q


cdef Entry* queue_entry(Kv* kv, KeyQueue* q, Arg* key) noexcept nogil:
    """The key's entry without any effect; key is filled with the key."""
    cdef void** slot
    memset(key, 0, sizeof(Arg))
    key.p = prefixed_read(<const char*>q.key + BLOCKED_KEY_AT, &key.n)
    slot = table_find(kv.heap, &q.db.keys, key.p, key.n, arg_hash(kv.heap, key))
    return <Entry*>slot[0] if slot != NULL else NULL


cdef void blocked_key_drop(Kv* kv, BlockedKey* item) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef size_t n
    cdef const char* p = prefixed_read(<const char*>item + BLOCKED_KEY_AT, &n)
    cdef uint64_t hash = siphash(kv.heap.seed, p, n)
    table_remove(kv.heap, &k.keys, table_find(kv.heap, &k.keys, p, n, hash), hash)
    heap_free(kv.heap, item, BLOCKED_KEY_AT + prefixed_size(n))


cdef void queue_drop(Kv* kv, KeyQueue* q) noexcept nogil:
    """Frees a queue that nobody needs any more."""
    cdef KeyQueue** at = &q.key.first
    if q.first != NULL or q.ready or q.serving:
        return
    while at[0] != q:
        at = &at[0].next_db
    at[0] = q.next_db
    if q.key.first == NULL:
        blocked_key_drop(kv, q.key)
    heap_free(kv.heap, q, sizeof(KeyQueue))


cdef KeyQueue* queue_make(Kv* kv, Db* db, Arg* key) noexcept nogil:
    """The queue of a key, new if need be; NULL without memory."""
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef Heap* h = kv.heap
    cdef KeyQueue* q = queue_find(kv, db, key)
    cdef void** slot
    cdef BlockedKey* item
    cdef Arg same
    if q != NULL:
        return q
    q = <KeyQueue*>heap_alloc(h, sizeof(KeyQueue))
    if q == NULL:
        return NULL
    memset(q, 0, sizeof(KeyQueue))
    q.db = db
    slot = table_find(h, &k.keys, key.p, key.n, key.hash)
    if slot != NULL:
        item = <BlockedKey*>slot[0]
    else:
        item = <BlockedKey*>heap_alloc(h, BLOCKED_KEY_AT + prefixed_size(key.n))
        if item != NULL:
            item.first = NULL
            prefixed_write(<char*>item + BLOCKED_KEY_AT, key.p, key.n)
            if table_insert(h, &k.keys, item, key.hash) != 0:
                heap_free(h, item, BLOCKED_KEY_AT + prefixed_size(key.n))
                item = NULL
        if item == NULL:
            heap_free(h, q, sizeof(KeyQueue))
            return NULL
    q.key = item
    q.next_db = item.first
    item.first = q
    q.present = queue_entry(kv, q, &same) != NULL
    return q


cdef bint wait_join(Kv* kv, Blocked* b, Wait* w, Db* db, Arg* key) noexcept nogil:
    """Puts a wait at the end of its key's queue; False without memory."""
    cdef KeyQueue* q = queue_make(kv, db, key)
    cdef int i
    if q == NULL:
        return False
    w.of = b
    for i in range(b.n_waits):
        if b.waits[i].queue == q:
            return True                 # the key stands twice in the command
    w.queue = q
    w.prev = q.last
    if q.last != NULL:
        q.last.next = w
    else:
        q.first = w
    q.last = w
    q.gone += b.gone
    return True


cdef void wait_leave(Kv* kv, Wait* w) noexcept nogil:
    cdef KeyQueue* q = w.queue
    if q == NULL:
        return
    if w.prev != NULL:
        w.prev.next = w.next
    else:
        q.first = w.next
    if w.next != NULL:
        w.next.prev = w.prev
    else:
        q.last = w.prev
    w.queue = NULL
    q.gone -= w.of.gone
    queue_drop(kv, q)


cdef void queue_signal(Kv* kv, KeyQueue* q) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    if q.ready:
        return
    q.ready = True
    q.next_ready = NULL
    if k.ready_last != NULL:
        k.ready_last.next_ready = q
    else:
        k.ready = q
    k.ready_last = q
    kv.ready = True


# ---- for tests

cdef int queue_check(KeyQueue* q) noexcept nogil:
    cdef Wait* w = q.first
    cdef Wait* before = NULL
    cdef uint32_t gone = 0
    while w != NULL:
        if w.prev != before or w.queue != q or w.of.session.blocked != w.of:
            return 11
        gone += w.of.gone
        before = w
        w = w.next
    if q.last != before:
        return 12
    if gone != q.gone:
        return 13
    if q.first == NULL and not q.ready:
        return 14
    return 0


cdef int queues_check(Kv* kv) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef TableIter it
    cdef BlockedKey* item
    cdef KeyQueue* q
    cdef uint32_t i
    cdef int broken = table_check(kv.heap, &k.keys)
    if broken:
        return 100 + broken
    table_iter(&it, &k.keys)
    while True:
        item = <BlockedKey*>table_next(&it)
        if item == NULL:
            break
        q = item.first
        if q == NULL:
            return 10
        while q != NULL:
            broken = queue_check(q)
            if broken:
                return broken
            q = q.next_db
    for i in range(k.heap_n):
        if k.heap[i].place != i:
            return 21
        if i and deadline_earlier(k.heap[i], k.heap[(i - 1) // 2]):
            return 20
    return 0
