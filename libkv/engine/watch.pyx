"""WATCH (contract: watch.pxd; https://redis.io/docs/latest/develop/using-commands/transactions/)."""

from libc.stdint cimport uint32_t, uint64_t

from libkv.engine.entry cimport Entry, entry_expire
from libkv.engine.types cimport HOOK_WATCH, S_DIRTY_CAS
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport table_find, table_insert, table_remove

cdef enum:
    WATCHED_KEY_AT = 8


cdef inline uint64_t hash_of(Heap* h, Arg* key) noexcept nogil:
    return key.hash if key.hashed else siphash(h.seed, key.p, key.n)


cdef int watch_add(Session* s, Db* db, Arg* key, bint expired) noexcept nogil:
    cdef Heap* h = s.kv.heap
    cdef uint64_t hash = hash_of(h, key)
    cdef void** slot = table_find(h, &db.watched, key.p, key.n, hash)
    cdef WatchedKey* k = <WatchedKey*>slot[0] if slot != NULL else NULL
    cdef Watch* w = s.watches
    while w != NULL:
        if w.key == k and k != NULL:
            return 0                    # watched already
        w = w.next_of_session
    w = <Watch*>heap_alloc(h, sizeof(Watch))
    if w == NULL:
        return -1
    if k == NULL:
        k = <WatchedKey*>heap_alloc(h, WATCHED_KEY_AT + prefixed_size(key.n))
        if k == NULL:
            heap_free(h, w, sizeof(Watch))
            return -1
        k.first = NULL
        prefixed_write(<char*>k + WATCHED_KEY_AT, key.p, key.n)
        if table_insert(h, &db.watched, k, hash) != 0:
            heap_free(h, k, WATCHED_KEY_AT + prefixed_size(key.n))
            heap_free(h, w, sizeof(Watch))
            return -1
    w.session = s
    w.key = k
    w.db = db
    w.expired = expired
    w.next_of_key = k.first
    k.first = w
    w.next_of_session = s.watches
    if s.watches == NULL:
        s.kv.watchers += 1
        s.kv.hooks |= HOOK_WATCH
    s.watches = w
    return 0


cdef void drop(Heap* h, Watch* w) noexcept nogil:
    """Takes a watch off its key, and the key away when nobody else watches it."""
    cdef Watch** at = &w.key.first
    cdef const char* p
    cdef size_t n
    cdef uint64_t hash
    while at[0] != w:
        at = &at[0].next_of_key
    at[0] = w.next_of_key
    if w.key.first == NULL:
        p = prefixed_read(<const char*>w.key + WATCHED_KEY_AT, &n)
        hash = siphash(h.seed, p, n)
        table_remove(h, &w.db.watched, table_find(h, &w.db.watched, p, n, hash), hash)
        heap_free(h, w.key, WATCHED_KEY_AT + prefixed_size(n))
    heap_free(h, w, sizeof(Watch))


cdef void watch_clear(Session* s) noexcept nogil:
    cdef Watch* w = s.watches
    cdef Watch* after
    if w == NULL:
        return
    while w != NULL:
        after = w.next_of_session
        drop(s.kv.heap, w)
        w = after
    s.watches = NULL
    s.kv.watchers -= 1
    if s.kv.watchers == 0:
        s.kv.hooks &= ~<uint32_t>HOOK_WATCH


cdef void watch_touch(Kv* kv, Db* db, Arg* key) noexcept nogil:
    cdef Heap* h = kv.heap
    cdef uint64_t hash = hash_of(h, key)
    cdef bint gone = table_find(h, &db.keys, key.p, key.n, hash) == NULL
    cdef void** slot
    cdef Watch* w
    while True:
        # a session that is told forgets all its watches, perhaps this key with them: look again for each
        slot = table_find(h, &db.watched, key.p, key.n, hash)
        if slot == NULL:
            return
        w = (<WatchedKey*>slot[0]).first
        while w != NULL and w.expired and gone:
            w = w.next_of_key
        if w == NULL:
            break
        w.session.flags |= S_DIRTY_CAS
        watch_clear(w.session)
    w = (<WatchedKey*>slot[0]).first
    while w != NULL:                    # that it is gone was no news to them; what comes next is
        w.expired = False
        w = w.next_of_key


cdef void watch_touch_all(Kv* kv, Db* db, Db* other) noexcept nogil:
    """Marks first, clears afterwards: clearing changes the table that is walked."""
    cdef Session* s
    cdef Watch* w
    cdef const char* p
    cdef size_t n
    cdef uint64_t hash
    cdef Heap* h = kv.heap
    if db.watched.used == 0:
        return
    s = kv.sessions
    while s != NULL:
        w = s.watches
        while w != NULL:
            if w.db == db:
                p = prefixed_read(<const char*>w.key + WATCHED_KEY_AT, &n)
                hash = siphash(h.seed, p, n)
                if table_find(h, &db.keys, p, n, hash) != NULL and not w.expired:
                    s.flags |= S_DIRTY_CAS
                elif other != NULL and table_find(h, &other.keys, p, n, hash) != NULL:
                    s.flags |= S_DIRTY_CAS
            w = w.next_of_session
        if s.flags & S_DIRTY_CAS:
            watch_clear(s)
        s = s.next


cdef bint watch_any_expired(Session* s, long long now) noexcept nogil:
    cdef Watch* w = s.watches
    cdef const char* p
    cdef size_t n
    cdef void** slot
    cdef Heap* h = s.kv.heap
    cdef long long when
    while w != NULL:
        if not w.expired:
            p = prefixed_read(<const char*>w.key + WATCHED_KEY_AT, &n)
            slot = table_find(h, &w.db.keys, p, n, siphash(h.seed, p, n))
            if slot != NULL:
                when = entry_expire(<Entry*>slot[0])
                if 0 <= when < now:
                    return True
        w = w.next_of_session
    return False
