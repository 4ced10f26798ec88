"""Publish and subscribe, and keyspace notifications (contract: pubsub.pxd).

A message is encoded once; RESP2 and RESP3 differ in its first byte.
"""

from libc.string cimport memcpy, memset, strlen

from libkv.engine.args cimport glob_match
from libkv.engine.config cimport config_hook_add
from libkv.engine.push cimport Push, push_begin, push_end
from libkv.engine.settings cimport NOTIFY_KEYEVENT, NOTIFY_KEYSPACE
from libkv.engine.types cimport HOOK_NOTIFY, S_PUBSUB
from libkv.structures.alloc cimport Heap, heap_alloc, heap_free, heap_resize
from libkv.structures.buffer cimport buffer_add, buffer_room, buffer_trim
from libkv.structures.number cimport number_print_i64
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport (
    TableIter, table_check, table_find, table_fit, table_init, table_insert, table_iter, table_next, table_release, table_remove,
    table_step,
)

cdef enum:
    MESSAGE_KEEP = 65536        # bytes of the encoded message's buffer that are kept
    FIRST_LISTENERS = 2
    REHASH_STEPS = 2            # buckets moved when a channel goes
    NAME_MAX = 0xffffffff       # bytes of a channel's name

cdef const char* HEADS[3]       # of a message, by kind; a pattern's follows its own
HEADS[0] = b"*3\r\n$7\r\nmessage\r\n"
HEADS[1] = b"*4\r\n$8\r\npmessage\r\n"
HEADS[2] = b"*3\r\n$8\r\nsmessage\r\n"


# ---- subscribing

cdef uint32_t* count_of(Session* s, int kind) noexcept nogil:
    if kind == PUBSUB_CHANNEL:
        return &s.n_channels
    return &s.n_patterns if kind == PUBSUB_PATTERN else &s.n_shard_channels


cdef uint32_t pubsub_count(Session* s, int kind) noexcept nogil:
    return count_of(s, kind)[0]


cdef const char* pubsub_name(Subscription* own, size_t* n) noexcept nogil:
    return prefixed_read(<const char*>own + SUBSCRIPTION_KEY_AT, n)


cdef Channel* find_channel(Kv* kv, int kind, const char* name, size_t n, uint64_t hash) noexcept nogil:
    cdef void** slot = table_find(kv.heap, &(<Push*>kv.pubsub).channels[kind], name, n, hash)
    return <Channel*>slot[0] if slot != NULL else NULL


cdef Subscriptions* subscriptions_new(Session* s) noexcept nogil:
    cdef Subscriptions* all_ = <Subscriptions*>heap_alloc(s.kv.heap, sizeof(Subscriptions))
    cdef int i
    if all_ == NULL:
        return NULL
    memset(all_, 0, sizeof(Subscriptions))
    for i in range(3):
        table_init(&all_.names[i], SUBSCRIPTION_KEY_AT)
    s.subscriptions = all_
    s.kv.n_pubsub += 1
    s.flags |= S_PUBSUB
    return all_


cdef void drop_if_empty(Session* s) noexcept nogil:
    """A session without subscriptions is no subscriber any more."""
    cdef Subscriptions* all_ = <Subscriptions*>s.subscriptions
    cdef int i
    if s.n_channels or s.n_patterns or s.n_shard_channels:
        return
    for i in range(3):
        table_release(s.kv.heap, &all_.names[i])
    heap_free(s.kv.heap, all_, sizeof(Subscriptions))
    s.subscriptions = NULL
    s.kv.n_pubsub -= 1
    s.flags &= ~S_PUBSUB


cdef Channel* channel_with_room(Kv* kv, int kind, Arg* name, uint64_t hash) noexcept nogil:
    """The channel, made when it is new, with room for one more listener; NULL: no memory, and nothing is left."""
    cdef Heap* h = kv.heap
    cdef Channel* ch = find_channel(kv, kind, name.p, name.n, hash)
    cdef size_t bytes = CHANNEL_KEY_AT + prefixed_size(name.n)
    cdef Listener* more
    if ch != NULL:
        if ch.n < ch.cap:
            return ch
        more = <Listener*>heap_resize(h, ch.listeners, ch.cap * sizeof(Listener), ch.cap * 2 * sizeof(Listener))
        if more == NULL:
            return NULL
        ch.listeners = more
        ch.cap *= 2
        return ch
    ch = <Channel*>heap_alloc(h, bytes)
    if ch == NULL:
        return NULL
    ch.listeners = <Listener*>heap_alloc(h, FIRST_LISTENERS * sizeof(Listener))
    ch.n = 0
    ch.cap = FIRST_LISTENERS
    prefixed_write(<char*>ch + CHANNEL_KEY_AT, name.p, name.n)
    if ch.listeners == NULL or table_insert(h, &(<Push*>kv.pubsub).channels[kind], ch, hash) != 0:
        if ch.listeners != NULL:
            heap_free(h, ch.listeners, FIRST_LISTENERS * sizeof(Listener))
        heap_free(h, ch, bytes)
        return NULL
    return ch


cdef void channel_drop(Kv* kv, int kind, Channel* ch) noexcept nogil:
    """Takes away a channel that nobody listens to."""
    cdef Heap* h = kv.heap
    cdef Table* t = &(<Push*>kv.pubsub).channels[kind]
    cdef size_t n
    cdef const char* name = prefixed_read(<const char*>ch + CHANNEL_KEY_AT, &n)
    cdef uint64_t hash = siphash(h.seed, name, n)
    if ch.n:
        return
    table_remove(h, t, table_find(h, t, name, n, hash), hash)
    heap_free(h, ch.listeners, ch.cap * sizeof(Listener))
    heap_free(h, ch, CHANNEL_KEY_AT + prefixed_size(n))
    table_fit(h, t)
    table_step(h, t, REHASH_STEPS)


cdef int pubsub_add(Session* s, int kind, Arg* name) noexcept nogil:
    cdef Heap* h = s.kv.heap
    cdef uint64_t hash = siphash(h.seed, name.p, name.n)
    cdef Subscriptions* all_ = <Subscriptions*>s.subscriptions
    cdef size_t bytes = SUBSCRIPTION_KEY_AT + prefixed_size(name.n)
    cdef Subscription* own
    cdef Channel* ch
    if name.n >= NAME_MAX:
        return -1
    if all_ != NULL and table_find(h, &all_.names[kind], name.p, name.n, hash) != NULL:
        return 0
    if all_ == NULL:
        all_ = subscriptions_new(s)
        if all_ == NULL:
            return -1
    own = <Subscription*>heap_alloc(h, bytes)
    ch = channel_with_room(s.kv, kind, name, hash) if own != NULL else NULL
    if ch != NULL:
        prefixed_write(<char*>own + SUBSCRIPTION_KEY_AT, name.p, name.n)
    if ch == NULL or table_insert(h, &all_.names[kind], own, hash) != 0:
        if ch != NULL:
            channel_drop(s.kv, kind, ch)
        if own != NULL:
            heap_free(h, own, bytes)
        drop_if_empty(s)
        return -1
    own.channel = ch
    own.at = ch.n
    own.after = NULL
    own.before = all_.last[kind]
    if own.before != NULL:
        own.before.after = own
    else:
        all_.first[kind] = own
    all_.last[kind] = own
    ch.listeners[ch.n].session = s
    ch.listeners[ch.n].own = own
    ch.n += 1
    count_of(s, kind)[0] += 1
    return 1


cdef void remove_own(Session* s, int kind, Subscription* own, void** slot, uint64_t hash) noexcept nogil:
    """The last listener takes its place in the channel's array."""
    cdef Heap* h = s.kv.heap
    cdef Subscriptions* all_ = <Subscriptions*>s.subscriptions
    cdef Channel* ch = own.channel
    cdef size_t n
    pubsub_name(own, &n)
    table_remove(h, &all_.names[kind], slot, hash)
    if own.before != NULL:
        own.before.after = own.after
    else:
        all_.first[kind] = own.after
    if own.after != NULL:
        own.after.before = own.before
    else:
        all_.last[kind] = own.before
    ch.n -= 1
    ch.listeners[own.at] = ch.listeners[ch.n]
    ch.listeners[own.at].own.at = own.at
    channel_drop(s.kv, kind, ch)
    heap_free(h, own, SUBSCRIPTION_KEY_AT + prefixed_size(n))
    count_of(s, kind)[0] -= 1
    drop_if_empty(s)


cdef bint pubsub_remove(Session* s, int kind, Arg* name) noexcept nogil:
    cdef Subscriptions* all_ = <Subscriptions*>s.subscriptions
    cdef uint64_t hash
    cdef void** slot
    if all_ == NULL:
        return False
    hash = siphash(s.kv.heap.seed, name.p, name.n)
    slot = table_find(s.kv.heap, &all_.names[kind], name.p, name.n, hash)
    if slot == NULL:
        return False
    remove_own(s, kind, <Subscription*>slot[0], slot, hash)
    return True


cdef void pubsub_clear(Session* s) noexcept nogil:
    cdef Subscriptions* all_
    cdef Subscription* own
    cdef const char* name
    cdef size_t n
    cdef uint64_t hash
    cdef int kind
    for kind in range(3):
        while count_of(s, kind)[0]:
            all_ = <Subscriptions*>s.subscriptions
            own = all_.first[kind]
            name = pubsub_name(own, &n)
            hash = siphash(s.kv.heap.seed, name, n)
            remove_own(s, kind, own, table_find(s.kv.heap, &all_.names[kind], name, n, hash), hash)


cdef uint32_t pubsub_listeners(Kv* kv, int kind, Arg* name) noexcept nogil:
    cdef Channel* ch = find_channel(kv, kind, name.p, name.n, siphash(kv.heap.seed, name.p, name.n))
    return ch.n if ch != NULL else 0


# ---- publishing

cdef void put_bulk(Buffer* b, const char* p, size_t n) noexcept nogil:
    cdef char* o = buffer_room(b, n + 32)
    cdef int k
    if o == NULL:
        return
    o[0] = b"$"
    k = 1 + number_print_i64(o + 1, <int64_t>n)
    o[k] = 13
    o[k + 1] = 10
    memcpy(o + k + 2, p, n)
    o[k + 2 + n] = 13
    o[k + 3 + n] = 10
    b.n += k + n + 4


cdef void deliver(Channel* ch, const char* head, size_t head_n, const char* tail, size_t tail_n) noexcept nogil:
    """The message in two pieces, to every listener of a channel or pattern."""
    cdef Session* s
    cdef Buffer* out
    cdef char* o
    cdef uint32_t i
    for i in range(ch.n):
        s = ch.listeners[i].session
        out = push_begin(s)
        if out == NULL:
            continue
        o = buffer_room(out, head_n + tail_n)
        if o != NULL:
            memcpy(o, head, head_n)
            memcpy(o + head_n, tail, tail_n)
            if s.proto == 3:
                o[0] = b">"
            out.n += head_n + tail_n
        push_end(s)


cdef int64_t pubsub_publish(Kv* kv, const char* channel, size_t channel_n, const char* message, size_t message_n,
                            bint shard) noexcept nogil:
    cdef Push* p = <Push*>kv.pubsub
    cdef int kind = PUBSUB_SHARD if shard else PUBSUB_CHANNEL
    cdef Channel* ch = find_channel(kv, kind, channel, channel_n, siphash(kv.heap.seed, channel, channel_n))
    cdef Buffer* b = &p.message
    cdef int64_t told = 0
    cdef TableIter it
    cdef const char* pattern
    cdef size_t pattern_n
    cdef size_t tail_n
    if ch == NULL and (shard or p.channels[PUBSUB_PATTERN].used == 0):
        return 0
    put_bulk(b, channel, channel_n)
    put_bulk(b, message, message_n)
    tail_n = b.n
    if ch != NULL and not b.failed:
        deliver(ch, HEADS[kind], strlen(HEADS[kind]), b.p, tail_n)
        told += ch.n
    if not shard and p.channels[PUBSUB_PATTERN].used:
        table_iter(&it, &p.channels[PUBSUB_PATTERN])
        while not b.failed:
            ch = <Channel*>table_next(&it)
            if ch == NULL:
                break
            pattern = prefixed_read(<const char*>ch + CHANNEL_KEY_AT, &pattern_n)
            if not glob_match(pattern, pattern_n, channel, channel_n, False):
                continue
            b.n = tail_n                # the pattern's own head, behind the tail that all share
            buffer_add(b, HEADS[PUBSUB_PATTERN], strlen(HEADS[PUBSUB_PATTERN]))
            put_bulk(b, pattern, pattern_n)
            if not b.failed:
                deliver(ch, b.p + tail_n, b.n - tail_n, b.p, tail_n)
                told += ch.n
    buffer_trim(b, MESSAGE_KEEP)
    return told


# ---- keyspace notifications

cdef int pubsub_begin(Kv* kv) noexcept nogil:
    return config_hook_add(kv, b"notify-keyspace-events", read_setting, kv)


cdef const char* read_setting(Kv* kv, void* owner, int directive) noexcept nogil:
    if kv.settings.notify_keyspace_events & (NOTIFY_KEYSPACE | NOTIFY_KEYEVENT):
        kv.hooks |= HOOK_NOTIFY
    else:
        kv.hooks &= ~<uint32_t>HOOK_NOTIFY
    return NULL


cdef size_t put_number(char* at, int v) noexcept nogil:
    return number_print_i64(at, v)


cdef void publish_event(Kv* kv, const char* space, int db, const char* name, size_t name_n, const char* message,
                        size_t message_n) noexcept nogil:
    """On the channel <space><db>__:<name>."""
    cdef char small[256]
    cdef size_t room = name_n + 64
    cdef char* channel = small
    cdef size_t n = strlen(space)
    if room > sizeof(small):
        channel = <char*>heap_alloc(kv.heap, room)
        if channel == NULL:
            return
    memcpy(channel, space, n)
    n += put_number(channel + n, db)
    memcpy(channel + n, b"__:", 3)
    memcpy(channel + n + 3, name, name_n)
    pubsub_publish(kv, channel, n + 3 + name_n, message, message_n, False)
    if channel != small:
        heap_free(kv.heap, channel, room)


cdef void pubsub_notify(Kv* kv, Db* db, Arg* key, int event_class, const char* event) noexcept nogil:
    cdef int wanted = kv.settings.notify_keyspace_events
    if not wanted & event_class or kv.n_pubsub == 0:
        return
    if wanted & NOTIFY_KEYSPACE:
        publish_event(kv, b"__keyspace@", db.id, key.p, key.n, event, strlen(event))
    if wanted & NOTIFY_KEYEVENT:
        publish_event(kv, b"__keyevent@", db.id, event, strlen(event), key.p, key.n)


# ---- invariants

cdef int check_session(Session* s, uint64_t* counts) noexcept nogil:
    """0; 20: a list's length is wrong; 21: a subscription is not at its place; 22: a table is broken; 23: flags."""
    cdef Subscriptions* all_ = <Subscriptions*>s.subscriptions
    cdef Subscription* own
    cdef uint32_t n
    cdef int kind
    if (all_ != NULL) != ((s.flags & S_PUBSUB) != 0):
        return 23
    if (all_ != NULL) != (s.n_channels + s.n_patterns + s.n_shard_channels > 0):
        return 23
    if all_ == NULL:
        return 0
    for kind in range(3):
        n = 0
        own = all_.first[kind]
        while own != NULL:
            n += 1
            if own.at >= own.channel.n or own.channel.listeners[own.at].own != own \
                    or own.channel.listeners[own.at].session != s:
                return 21
            own = own.after
        if n != count_of(s, kind)[0] or n != all_.names[kind].used:
            return 20
        if table_check(s.kv.heap, &all_.names[kind]) != 0:
            return 22
        counts[kind] += n
    return 0


cdef int pubsub_check(Kv* kv) noexcept nogil:
    """0; 10 + kind: a table of channels is broken; 13: listeners and subscriptions differ in number; 14: an empty
    channel; 15: subscribers are miscounted; else a session's."""
    cdef Push* p = <Push*>kv.pubsub
    cdef uint64_t counts[3]
    cdef uint64_t listeners
    cdef uint32_t subscribers = 0
    cdef TableIter it
    cdef Channel* ch
    cdef Session* s = kv.sessions
    cdef int broken
    cdef int kind
    memset(counts, 0, sizeof(counts))
    while s != NULL:
        broken = check_session(s, counts)
        if broken:
            return broken
        subscribers += s.subscriptions != NULL
        s = s.next
    if subscribers != kv.n_pubsub:
        return 15
    for kind in range(3):
        if table_check(kv.heap, &p.channels[kind]) != 0:
            return 10 + kind
        listeners = 0
        table_iter(&it, &p.channels[kind])
        while True:
            ch = <Channel*>table_next(&it)
            if ch == NULL:
                break
            if ch.n == 0:
                return 14
            listeners += ch.n
        if listeners != counts[kind]:
            return 13
    return 0
