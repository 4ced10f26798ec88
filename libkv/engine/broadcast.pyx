"""Client-side caching in BCAST mode (contract: broadcast.pxd)."""

from libc.stdlib cimport qsort
from libc.string cimport memcmp, memset

from libkv.engine.tracking cimport (
    TRACK_BCAST, TRACK_NOLOOP, ChangedKey, Tracking, tracking_item, tracking_of, tracking_put, tracking_take_out,
    tracking_tell, tracking_tell_everything,
)
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free, heap_resize
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    Table, TableIter, table_free_some, table_init, table_insert, table_iter, table_next,
)


cdef inline Tracking* of_store(Kv* kv) noexcept nogil:
    return <Tracking*>kv.tracking


# ---- what has changed

cdef void broadcast_change(Kv* kv, Arg* key, Session* by) noexcept nogil:
    cdef Heap* h = kv.heap
    cdef Tracking* t = of_store(kv)
    cdef TableIter it
    cdef Prefix* prefix
    cdef const char* p
    cdef size_t n
    cdef ChangedKey* k
    table_iter(&it, &t.prefixes)
    while True:
        prefix = <Prefix*>table_next(&it)
        if prefix == NULL:
            return
        p = prefixed_read(<const char*>prefix + sizeof(Prefix), &n)
        if n > key.n or memcmp(p, key.p, n) != 0:
            continue
        t.changed = True
        k = <ChangedKey*>tracking_item(h, &prefix.changed, key.p, key.n)
        if k == NULL:
            k = <ChangedKey*>heap_alloc(h, sizeof(ChangedKey) + prefixed_size(key.n))
            if k == NULL:
                t.lost = True
                continue
            prefixed_write(<char*>k + sizeof(ChangedKey), key.p, key.n)
            if table_insert(h, &prefix.changed, k, siphash(h.seed, key.p, key.n)) != 0:
                heap_free(h, k, sizeof(ChangedKey) + prefixed_size(key.n))
                t.lost = True
                continue
        k.by = by


cdef int by_name(const char* a, size_t a_n, const char* b, size_t b_n) noexcept nogil:
    cdef int order = memcmp(a, b, a_n if a_n < b_n else b_n)
    if order:
        return order
    return (a_n > b_n) - (a_n < b_n)


cdef int by_prefix(const void* a, const void* b) noexcept nogil:
    cdef size_t a_n
    cdef size_t b_n
    cdef const char* p = prefixed_read(<const char*>(<Prefix**>a)[0] + sizeof(Prefix), &a_n)
    cdef const char* q = prefixed_read(<const char*>(<Prefix**>b)[0] + sizeof(Prefix), &b_n)
    return by_name(p, a_n, q, b_n)


cdef int by_changed_key(const void* a, const void* b) noexcept nogil:
    cdef size_t a_n
    cdef size_t b_n
    cdef const char* p = prefixed_read(<const char*>(<ChangedKey**>a)[0] + sizeof(ChangedKey), &a_n)
    cdef const char* q = prefixed_read(<const char*>(<ChangedKey**>b)[0] + sizeof(ChangedKey), &b_n)
    return by_name(p, a_n, q, b_n)


cdef void** sorted_items(Heap* h, Table* t, int (*order)(const void*, const void*) noexcept nogil) noexcept nogil:
    """A table's items in an order: an array of t.used, to be freed; NULL: no memory."""
    cdef void** all_ = <void**>heap_alloc(h, t.used * sizeof(void*))
    cdef TableIter it
    cdef uint64_t i
    if all_ == NULL:
        return NULL
    table_iter(&it, t)
    for i in range(t.used):
        all_[i] = table_next(&it)
    qsort(all_, t.used, sizeof(void*), order)
    return all_


cdef void put_keys(Buffer* b, ChangedKey** keys, uint64_t n, Session* but) noexcept nogil:
    """The array of the keys that somebody else than `but` has changed; nothing when there are none."""
    cdef uint64_t i
    cdef uint64_t count = 0
    cdef const char* p
    cdef size_t k
    b.n = 0
    for i in range(n):
        count += but == NULL or keys[i].by != but
    if count == 0:
        return
    tracking_put(b, b"*", NULL, count)
    for i in range(n):
        if but == NULL or keys[i].by != but:
            p = prefixed_read(<const char*>keys[i] + sizeof(ChangedKey), &k)
            tracking_put(b, b"$", p, k)


cdef uint64_t free_changed(Heap* h, void* p) noexcept nogil:
    cdef size_t n
    prefixed_read(<const char*>p + sizeof(ChangedKey), &n)
    heap_free(h, p, sizeof(ChangedKey) + prefixed_size(n))
    return 1


cdef void forget_changed(Heap* h, Prefix* prefix) noexcept nogil:
    while not table_free_some(h, &prefix.changed, free_changed, <uint64_t>-1):
        pass
    table_init(&prefix.changed, sizeof(ChangedKey))


cdef bint broadcast(Kv* kv, Prefix* prefix) noexcept nogil:
    """False: no memory."""
    cdef uint64_t n = prefix.changed.used
    cdef ChangedKey** keys
    cdef SessionTracking* st
    cdef Buffer all_
    cdef Buffer own
    cdef bint done
    cdef uint32_t i
    if n == 0:
        return True
    keys = <ChangedKey**>sorted_items(kv.heap, &prefix.changed, by_changed_key)
    if keys == NULL:
        return False
    buffer_init(&all_)
    buffer_init(&own)
    put_keys(&all_, keys, n, NULL)
    for i in range(prefix.n):
        st = prefix.clients[i]
        if st.mode & TRACK_NOLOOP:
            put_keys(&own, keys, n, st.session)
            if own.n and not own.failed:
                tracking_tell(st, own.p, own.n)
        elif not all_.failed:
            tracking_tell(st, all_.p, all_.n)
    done = not all_.failed and not own.failed
    buffer_free(&all_)
    buffer_free(&own)
    heap_free(kv.heap, keys, n * sizeof(void*))
    return done


cdef void broadcast_tell(Kv* kv) noexcept nogil:
    cdef Tracking* t = of_store(kv)
    cdef uint64_t n = t.prefixes.used
    cdef Prefix** all_
    cdef SessionTracking* st = t.first
    cdef bint lost = t.lost
    cdef TableIter it
    cdef uint64_t i
    cdef uint64_t _i
    t.changed = t.lost = False
    all_ = <Prefix**>sorted_items(kv.heap, &t.prefixes, by_prefix) if n else NULL
    for i in range(n if all_ != NULL else 0):
        lost = not broadcast(kv, all_[i]) or lost
    if all_ != NULL:
        heap_free(kv.heap, all_, n * sizeof(void*))
    else:
        lost = n > 0 or lost
    table_iter(&it, &t.prefixes)
    for _i in range(n):
        forget_changed(kv.heap, <Prefix*>table_next(&it))
    while lost and st != NULL:          # who can't be told what has changed is told to forget everything
        if st.mode & TRACK_BCAST:
            tracking_tell_everything(st)
        st = st.next


# ---- prefixes of a session

cdef const char* broadcast_prefix(SessionTracking* st, uint32_t i, size_t* n) noexcept nogil:
    return prefixed_read(<const char*>st.prefixes[i] + sizeof(Prefix), n)


cdef Prefix* prefix_with_room(Kv* kv, const char* p, size_t n) noexcept nogil:
    """The prefix's record, made when it is new, with room for one more client; NULL: no memory."""
    cdef Heap* h = kv.heap
    cdef Tracking* t = of_store(kv)
    cdef Prefix* prefix = <Prefix*>tracking_item(h, &t.prefixes, p, n)
    cdef SessionTracking** more
    if prefix != NULL and prefix.n < prefix.cap:
        return prefix
    if prefix != NULL:
        more = <SessionTracking**>heap_resize(h, prefix.clients, prefix.cap * sizeof(void*), prefix.cap * 2 * sizeof(void*))
        if more == NULL:
            return NULL
        prefix.clients = more
        prefix.cap *= 2
        return prefix
    prefix = <Prefix*>heap_alloc(h, sizeof(Prefix) + prefixed_size(n))
    if prefix == NULL:
        return NULL
    memset(prefix, 0, sizeof(Prefix))
    table_init(&prefix.changed, sizeof(ChangedKey))
    prefix.cap = 2
    prefix.clients = <SessionTracking**>heap_alloc(h, 2 * sizeof(void*))
    prefixed_write(<char*>prefix + sizeof(Prefix), p, n)
    if prefix.clients == NULL or table_insert(h, &t.prefixes, prefix, siphash(h.seed, p, n)) != 0:
        if prefix.clients != NULL:
            heap_free(h, prefix.clients, 2 * sizeof(void*))
        heap_free(h, prefix, sizeof(Prefix) + prefixed_size(n))
        return NULL
    return prefix


cdef void drop_prefix_if_empty(Kv* kv, Prefix* prefix) noexcept nogil:
    cdef size_t n
    cdef const char* p = prefixed_read(<const char*>prefix + sizeof(Prefix), &n)
    if prefix.n:
        return
    forget_changed(kv.heap, prefix)
    tracking_take_out(kv.heap, &of_store(kv).prefixes, p, n)
    heap_free(kv.heap, prefix.clients, prefix.cap * sizeof(void*))
    heap_free(kv.heap, prefix, sizeof(Prefix) + prefixed_size(n))


cdef int broadcast_add(Session* s, const char* p, size_t n) noexcept nogil:
    """A prefix that the session has already is no news."""
    cdef SessionTracking* st = tracking_of(s)
    cdef Prefix* prefix
    cdef Prefix** more
    cdef const char* q
    cdef size_t k
    cdef uint32_t i
    for i in range(st.n_prefixes):
        q = broadcast_prefix(st, i, &k)
        if by_name(p, n, q, k) == 0:
            return 0
    prefix = prefix_with_room(s.kv, p, n)
    if prefix == NULL:
        return -1
    more = <Prefix**>heap_resize(s.kv.heap, st.prefixes, st.n_prefixes * sizeof(void*), (st.n_prefixes + 1) * sizeof(void*))
    if more == NULL:
        drop_prefix_if_empty(s.kv, prefix)
        return -1
    st.prefixes = more
    prefix.clients[prefix.n] = st
    prefix.n += 1
    i = st.n_prefixes
    while i and by_prefix(&st.prefixes[i - 1], &prefix) > 0:
        st.prefixes[i] = st.prefixes[i - 1]
        i -= 1
    st.prefixes[i] = prefix
    st.n_prefixes += 1
    return 0


cdef void broadcast_leave(Kv* kv, SessionTracking* st) noexcept nogil:
    cdef Prefix* prefix
    cdef uint32_t i
    cdef uint32_t k
    for i in range(st.n_prefixes):
        prefix = st.prefixes[i]
        k = 0
        while prefix.clients[k] != st:
            k += 1
        prefix.n -= 1
        prefix.clients[k] = prefix.clients[prefix.n]
        drop_prefix_if_empty(kv, prefix)
    if st.n_prefixes:
        heap_free(kv.heap, st.prefixes, st.n_prefixes * sizeof(void*))
    st.prefixes = NULL
    st.n_prefixes = 0


cdef void broadcast_forget(Session* s) noexcept nogil:
    """A session that comes later may get the same address."""
    cdef Tracking* t = of_store(s.kv)
    cdef TableIter it
    cdef TableIter at
    cdef Prefix* prefix
    cdef ChangedKey* k
    table_iter(&it, &t.prefixes)
    while True:
        prefix = <Prefix*>table_next(&it)
        if prefix == NULL:
            return
        table_iter(&at, &prefix.changed)
        while True:
            k = <ChangedKey*>table_next(&at)
            if k == NULL:
                break
            if k.by == s:
                k.by = NULL
