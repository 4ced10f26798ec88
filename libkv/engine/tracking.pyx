"""Client-side caching (contract: tracking.pxd).

A session whose own request changes a key that it has cached is told behind its reply (after EXEC: behind all of them).
"""

from libc.string cimport memcmp, memcpy, memset

from libkv.engine.broadcast cimport broadcast_change, broadcast_forget, broadcast_leave, broadcast_tell
from libkv.engine.push cimport Push, push_begin, push_end
from libkv.engine.registry cimport CMD_KEY_NOT_KEY, command_keys
from libkv.engine.types cimport HOOK_TRACKING, S_CLOSE_ASAP, S_PUBSUB, S_SCRIPT, S_TRACKING
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free, heap_resize
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init, buffer_room, buffer_trim
from libkv.structures.number cimport number_print_i64
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    TableIter, table_check, table_find, table_fit, table_free_some, table_init, table_insert, table_iter, table_next,
    table_random, table_remove, table_step,
)

cdef enum:
    KEYS_ON_STACK = 64
    KEEP = 65536                # bytes of `pending` that are kept
    REHASH_STEPS = 2

cdef const char* INVALIDATE = b">2\r\n$10\r\ninvalidate\r\n"
cdef const char* MESSAGE = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
cdef const char* BROKEN = b">2\r\n$21\r\ntracking-redir-broken\r\n:"


cdef int tracking_new(Kv* kv) noexcept nogil:
    cdef Tracking* t = <Tracking*>heap_alloc(kv.heap, sizeof(Tracking))
    if t == NULL:
        return -1
    memset(t, 0, sizeof(Tracking))
    table_init(&t.keys, sizeof(TrackedKey))
    table_init(&t.clients, sizeof(SessionTracking))
    table_init(&t.prefixes, sizeof(Prefix))
    buffer_init(&t.pending)
    kv.tracking = t
    return 0


cdef void tracking_delete(Kv* kv) noexcept nogil:
    """The heap goes as a whole."""
    if kv.tracking != NULL:
        buffer_free(&(<Tracking*>kv.tracking).pending)


cdef inline Tracking* of_store(Kv* kv) noexcept nogil:
    return <Tracking*>kv.tracking


cdef SessionTracking* tracking_of(Session* s) noexcept nogil:
    return <SessionTracking*>s.tracking


cdef void update_hook(Kv* kv) noexcept nogil:
    if kv.n_tracking or of_store(kv).keys.used:
        kv.hooks |= HOOK_TRACKING
    else:
        kv.hooks &= ~<uint32_t>HOOK_TRACKING


cdef void* tracking_item(Heap* h, Table* t, const char* p, size_t n) noexcept nogil:
    cdef void** slot = table_find(h, t, p, n, siphash(h.seed, p, n))
    return slot[0] if slot != NULL else NULL


cdef void tracking_take_out(Heap* h, Table* t, const char* p, size_t n) noexcept nogil:
    cdef uint64_t hash = siphash(h.seed, p, n)
    table_remove(h, t, table_find(h, t, p, n, hash), hash)
    table_fit(h, t)
    table_step(h, t, REHASH_STEPS)


# ---- telling a client

cdef void tracking_tell(SessionTracking* st, const char* resp, size_t n) noexcept nogil:
    """An array of keys, or a null for everything, as RESP."""
    cdef Session* to = st.session
    cdef Buffer* out
    cdef char digits[24]
    if st.redirect:
        to = st.target
        if to == NULL:
            st.mode |= TRACK_BROKEN
            out = push_begin(st.session) if st.session.proto == 3 else NULL
            if out != NULL:
                buffer_add(out, BROKEN, 33)
                buffer_add(out, digits, number_print_i64(digits, st.redirect))
                buffer_add(out, b"\r\n", 2)
                push_end(st.session)
            return
    if to.proto != 3 and not (st.redirect and to.flags & S_PUBSUB):
        return                          # RESP2 has no way to tell it
    out = push_begin(to)
    if out == NULL:
        return
    if to.proto == 3:
        buffer_add(out, INVALIDATE, 21)
    else:
        buffer_add(out, MESSAGE, 44)
    buffer_add(out, resp, n)
    push_end(to)


cdef void tracking_put(Buffer* b, char kind, const char* p, size_t n) noexcept nogil:
    """A bulk string; or, with p NULL, the header of n elements."""
    cdef char* o = buffer_room(b, (n if p != NULL else 0) + 32)
    cdef int k
    if o == NULL:
        return
    o[0] = kind
    k = 1 + number_print_i64(o + 1, <int64_t>n)
    memcpy(o + k, b"\r\n", 2)
    b.n += k + 2
    if p != NULL:
        memcpy(o + k + 2, p, n)
        memcpy(o + k + 2 + n, b"\r\n", 2)
        b.n += n + 2


cdef void tell_key(SessionTracking* st, const char* p, size_t n) noexcept nogil:
    cdef Buffer b
    buffer_init(&b)
    tracking_put(&b, b"*", NULL, 1)
    tracking_put(&b, b"$", p, n)
    if b.failed:
        st.session.flags |= S_CLOSE_ASAP        # its cache would be wrong from now on
        push_end(st.session)
    else:
        tracking_tell(st, b.p, b.n)
    buffer_free(&b)


cdef void tracking_tell_everything(SessionTracking* st) noexcept nogil:
    if st.session.proto == 3:
        tracking_tell(st, b"_\r\n", 3)
    else:
        tracking_tell(st, b"$-1\r\n", 5)


cdef void wait_for_end(Tracking* t, SessionTracking* st, const char* p, int64_t n) noexcept nogil:
    """It is told when its own request has ended; n = -1: of everything."""
    buffer_add(&t.pending, <const char*>&n, 8)
    if n > 0:
        buffer_add(&t.pending, p, <size_t>n)
    if t.pending.failed:
        st.session.flags |= S_CLOSE_ASAP


cdef void tracking_request_end(Session* s) noexcept nogil:
    cdef Tracking* t = of_store(s.kv)
    cdef SessionTracking* st = tracking_of(s)
    cdef size_t at = 0
    cdef int64_t n
    if t.pending.n == 0 and not t.pending.failed:
        return
    while st != NULL and not t.pending.failed and at < t.pending.n:
        memcpy(&n, t.pending.p + at, 8)
        at += 8
        if n < 0:
            tracking_tell_everything(st)
            continue
        tell_key(st, t.pending.p + at, <size_t>n)
        at += <size_t>n
    buffer_trim(&t.pending, KEEP)


# ---- keys that were read

cdef void forget_key(Kv* kv, TrackedKey* k) noexcept nogil:
    cdef Tracking* t = of_store(kv)
    cdef size_t n
    cdef const char* p = prefixed_read(<const char*>k + sizeof(TrackedKey), &n)
    tracking_take_out(kv.heap, &t.keys, p, n)
    t.items -= k.n
    heap_free(kv.heap, k.ids, k.cap * sizeof(uint64_t))
    heap_free(kv.heap, k, sizeof(TrackedKey) + prefixed_size(n))


cdef TrackedKey* tracked(Kv* kv, const char* p, size_t n) noexcept nogil:
    """The key's record, made when it is new; NULL: no memory."""
    cdef Heap* h = kv.heap
    cdef Tracking* t = of_store(kv)
    cdef TrackedKey* k = <TrackedKey*>tracking_item(h, &t.keys, p, n)
    if k != NULL:
        return k
    k = <TrackedKey*>heap_alloc(h, sizeof(TrackedKey) + prefixed_size(n))
    if k == NULL:
        return NULL
    k.n = 0
    k.cap = 1
    k.ids = <uint64_t*>heap_alloc(h, sizeof(uint64_t))
    prefixed_write(<char*>k + sizeof(TrackedKey), p, n)
    if k.ids == NULL or table_insert(h, &t.keys, k, siphash(h.seed, p, n)) != 0:
        if k.ids != NULL:
            heap_free(h, k.ids, sizeof(uint64_t))
        heap_free(h, k, sizeof(TrackedKey) + prefixed_size(n))
        return NULL
    return k


cdef bint remember(Kv* kv, uint64_t id, const char* p, size_t n) noexcept nogil:
    """False: no memory."""
    cdef Tracking* t = of_store(kv)
    cdef TrackedKey* k = tracked(kv, p, n)
    cdef uint64_t* more
    cdef uint32_t i
    if k == NULL:
        return False
    for i in range(k.n):
        if k.ids[i] == id:
            return True
    if k.n == k.cap:
        more = <uint64_t*>heap_resize(kv.heap, k.ids, k.cap * sizeof(uint64_t), k.cap * 2 * sizeof(uint64_t))
        if more == NULL:
            return False
        k.ids = more
        k.cap *= 2
    k.ids[k.n] = id
    k.n += 1
    t.items += 1
    return True


cdef void tracking_read(Ctx* c, Session* s, Command* cmd, Arg* argv, int argc) noexcept nogil:
    """Redis remembers the keys that a command names, found or not."""
    cdef SessionTracking* st = tracking_of(s)
    cdef Tracking* t = of_store(c.kv)
    cdef int room[KEYS_ON_STACK]
    cdef uint32_t flags_room[KEYS_ON_STACK]
    cdef int* at = room
    cdef uint32_t* flags = flags_room
    cdef int n
    cdef int i
    cdef bint caching = st.mode & TRACK_CACHING != 0
    if st.mode & TRACK_BCAST or (st.mode & TRACK_OPTIN and not caching) or (st.mode & TRACK_OPTOUT and caching):
        return
    n = command_keys(cmd, argv, argc, at, flags, KEYS_ON_STACK)
    if n > KEYS_ON_STACK:
        at = <int*>heap_alloc(c.heap, n * (sizeof(int) + sizeof(uint32_t)))
        if at == NULL:
            wait_for_end(t, st, NULL, -1)
            return
        flags = <uint32_t*>(at + n)
        command_keys(cmd, argv, argc, at, flags, n)
    for i in range(n):
        if not flags[i] & CMD_KEY_NOT_KEY and not remember(c.kv, s.id, argv[at[i]].p, argv[at[i]].n):
            wait_for_end(t, st, argv[at[i]].p, <int64_t>argv[at[i]].n)     # not remembered, so not to be cached
    if at != room:
        heap_free(c.heap, at, n * (sizeof(int) + sizeof(uint32_t)))
    limit_keys(c.kv)
    update_hook(c.kv)


cdef void limit_keys(Kv* kv) noexcept nogil:
    """tracking-table-max-keys: keys drawn by lot are told as changed."""
    cdef Tracking* t = of_store(kv)
    cdef TrackedKey* k
    cdef int64_t most = kv.settings.tracking_table_max_keys
    while most > 0 and <int64_t>t.keys.used > most:
        k = <TrackedKey*>table_random(&t.keys, &kv.random)
        invalidate(kv, k, (<Push*>kv.pubsub).current)


cdef void invalidate(Kv* kv, TrackedKey* k, Session* current) noexcept nogil:
    """Tells all who have read the key, once."""
    cdef Tracking* t = of_store(kv)
    cdef SessionTracking* st
    cdef size_t n
    cdef const char* p = prefixed_read(<const char*>k + sizeof(TrackedKey), &n)
    cdef uint32_t i
    for i in range(k.n):
        st = <SessionTracking*>tracking_item(kv.heap, &t.clients, <const char*>&k.ids[i], 8)
        if st == NULL or st.mode & TRACK_BCAST or (st.mode & TRACK_NOLOOP and st.session == current):
            continue
        if st.session == current:
            wait_for_end(t, st, p, <int64_t>n)
        else:
            tell_key(st, p, n)
    forget_key(kv, k)


cdef void tracking_changed(Ctx* c, Arg* key, bint by_itself) noexcept nogil:
    cdef Tracking* t = of_store(c.kv)
    cdef TrackedKey* k
    cdef Session* by = c.session
    if t.prefixes.used:
        if by_itself or (by != NULL and by.flags & S_SCRIPT):
            by = NULL
        broadcast_change(c.kv, key, by)
    if t.keys.used:
        k = <TrackedKey*>tracking_item(c.heap, &t.keys, key.p, key.n)
        if k != NULL:
            invalidate(c.kv, k, (<Push*>c.kv.pubsub).current)
            if c.kv.n_tracking == 0:
                update_hook(c.kv)


cdef uint64_t free_tracked(Heap* h, void* p) noexcept nogil:
    cdef TrackedKey* k = <TrackedKey*>p
    cdef size_t n
    prefixed_read(<const char*>k + sizeof(TrackedKey), &n)
    heap_free(h, k.ids, k.cap * sizeof(uint64_t))
    heap_free(h, k, sizeof(TrackedKey) + prefixed_size(n))
    return 1


cdef void tracking_flushed(Kv* kv) noexcept nogil:
    """Everybody may forget everything, since nobody looks which keys were in that database."""
    cdef Tracking* t = of_store(kv)
    cdef Session* current = (<Push*>kv.pubsub).current
    cdef SessionTracking* st = t.first
    while st != NULL:
        if st.session == current:
            wait_for_end(t, st, NULL, -1)
        else:
            tracking_tell_everything(st)
        st = st.next
    while not table_free_some(kv.heap, &t.keys, free_tracked, <uint64_t>-1):
        pass
    table_init(&t.keys, sizeof(TrackedKey))
    t.items = 0
    update_hook(kv)


cdef void tracking_batch_end(Kv* kv) noexcept nogil:
    if of_store(kv).changed:
        broadcast_tell(kv)


# ---- sessions

cdef void tracking_command_end(Session* s, Command* cmd) noexcept nogil:
    """Redis keeps the exception through any CLIENT subcommand."""
    cdef Command* container = cmd.parent if cmd != NULL and cmd.parent != NULL else cmd
    if container == NULL or container.name_n != 6 or memcmp(container.name, b"client", 6) != 0:
        tracking_of(s).mode &= ~<uint32_t>TRACK_CACHING


cdef int tracking_on(Session* s, uint32_t mode, Session* target) noexcept nogil:
    cdef Kv* kv = s.kv
    cdef Tracking* t = of_store(kv)
    cdef SessionTracking* st = tracking_of(s)
    if st == NULL:
        st = <SessionTracking*>heap_alloc(kv.heap, sizeof(SessionTracking) + 9)
        if st == NULL:
            return -1
        memset(st, 0, sizeof(SessionTracking))
        prefixed_write(<char*>st + sizeof(SessionTracking), <const char*>&s.id, 8)
        if table_insert(kv.heap, &t.clients, st, siphash(kv.heap.seed, <const char*>&s.id, 8)) != 0:
            heap_free(kv.heap, st, sizeof(SessionTracking) + 9)
            return -1
        st.session = s
        st.next = t.first
        if st.next != NULL:
            st.next.before = st
        t.first = st
        s.tracking = st
        s.flags |= S_TRACKING
        kv.n_tracking += 1
        kv.hooks |= HOOK_TRACKING
    t.n_redirecting -= st.redirect != 0
    st.mode = mode | (st.mode & TRACK_CACHING)
    st.target = target
    st.redirect = <int64_t>target.id if target != NULL else 0
    t.n_redirecting += st.redirect != 0
    return 0


cdef void tracking_off(Session* s) noexcept nogil:
    """The keys that it has read stay in the table, as in Redis, until they change."""
    cdef Kv* kv = s.kv
    cdef Tracking* t = of_store(kv)
    cdef SessionTracking* st = tracking_of(s)
    if st == NULL:
        return
    if (<Push*>kv.pubsub).current == s:
        t.pending.n = 0                 # it ends in the middle of its own request
    broadcast_leave(kv, st)
    t.n_redirecting -= st.redirect != 0
    tracking_take_out(kv.heap, &t.clients, <const char*>&s.id, 8)
    if st.before != NULL:
        st.before.next = st.next
    else:
        t.first = st.next
    if st.next != NULL:
        st.next.before = st.before
    heap_free(kv.heap, st, sizeof(SessionTracking) + 9)
    s.tracking = NULL
    s.flags &= ~<uint32_t>S_TRACKING
    kv.n_tracking -= 1
    update_hook(kv)


cdef void tracking_forget(Session* s) noexcept nogil:
    cdef Tracking* t = of_store(s.kv)
    cdef SessionTracking* st
    tracking_off(s)
    if t.n_redirecting:
        st = t.first
        while st != NULL:
            if st.target == s:
                st.target = NULL
            st = st.next
    if t.changed:
        broadcast_forget(s)


# ---- invariants

cdef int tracking_check(Kv* kv) noexcept nogil:
    """0; 1 to 3: a table is broken; 4: items are miscounted; 5: clients are; 6: a prefix without clients; 7: a session's
    flag; 8: redirections are miscounted."""
    cdef Tracking* t = of_store(kv)
    cdef TableIter it
    cdef TrackedKey* k
    cdef Prefix* prefix
    cdef SessionTracking* st = t.first
    cdef uint64_t items = 0
    cdef uint64_t clients = 0
    cdef uint32_t redirecting = 0
    if table_check(kv.heap, &t.keys) != 0:
        return 1
    if table_check(kv.heap, &t.clients) != 0:
        return 2
    if table_check(kv.heap, &t.prefixes) != 0:
        return 3
    table_iter(&it, &t.keys)
    while True:
        k = <TrackedKey*>table_next(&it)
        if k == NULL:
            break
        items += k.n
    if items != t.items:
        return 4
    while st != NULL:
        clients += 1
        redirecting += st.redirect != 0
        if st.session.tracking != st or not st.session.flags & S_TRACKING:
            return 7
        st = st.next
    if clients != t.clients.used or clients != kv.n_tracking:
        return 5
    if redirecting != t.n_redirecting:
        return 8
    table_iter(&it, &t.prefixes)
    while True:
        prefix = <Prefix*>table_next(&it)
        if prefix == NULL:
            return 0
        if prefix.n == 0:
            return 6
