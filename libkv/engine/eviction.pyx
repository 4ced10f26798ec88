"""maxmemory and maxmemory-clients (contract: eviction.pxd).

Follows Redis's documentation of eviction (https://redis.io/docs/latest/develop/reference/eviction/) and 7.0.15's
behaviour: LRU and LFU are approximated by drawing maxmemory-samples keys into a pool of 16, from which the best one
goes; maxmemory-eviction-tenacity bounds the time that one command spends.

Deviations: keys are drawn independently, not as neighbours in the table; volatile-ttl takes the key that expires first,
since the store has its keys by their time; a value that is freed in slices is freed before the next key goes.
"""

from libc.stdlib cimport calloc, free, strtoll
from libc.string cimport memcpy, memmove, memset

from libkv.engine.access cimport access_lfu_now
from libkv.engine.call cimport propagate, propagate_unit_end, propagating
from libkv.engine.clock cimport clock_monotonic
from libkv.engine.config cimport config_hook_add, config_id, config_value
from libkv.engine.doom cimport doom_step
from libkv.engine.entry cimport Entry, entry_clock, entry_expire, entry_key
from libkv.engine.keyspace cimport changed_n, keyspace_delete
from libkv.engine.latency cimport latency_add
from libkv.engine.session cimport session_memory
from libkv.engine.settings cimport (
    POLICY_ALLKEYS_LFU, POLICY_ALLKEYS_RANDOM, POLICY_NOEVICTION, POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM, POLICY_VOLATILE_TTL,
)
from libkv.engine.types cimport (
    EVENT_EVICTED, S_CLOSE_ASAP, S_EMBEDDED, S_EVICTED, S_MASTER, S_NO_EVICT, S_REPLICA, Arg, Db,
)
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.order cimport OrderIter, order_at, order_first
from libkv.structures.random cimport random_below
from libkv.structures.siphash cimport siphash
from libkv.structures.table cimport table_find, table_random

cdef enum:
    LOOK_AT_CLOCK = 16          # keys between two looks at the time
    DOOM_PIECES = 2048          # freed at once of a large value that goes
    SCAN_US = 10000             # so often clients are counted, ...
    SCAN_BIG_US = 1000          # ... or so often because of a client with a large buffer
    BIG_CLIENT = 65536

cdef int MAXMEMORY_CLIENTS = config_id(b"maxmemory-clients")


# ---- life

cdef int eviction_new(Kv* kv) noexcept nogil:
    cdef Eviction* v = <Eviction*>calloc(1, sizeof(Eviction))
    cdef int i
    if v == NULL:
        return -1
    kv.eviction = v
    for i in range(EVICTION_POOL):
        v.pool[i] = <Candidate*>calloc(1, sizeof(Candidate))
        if v.pool[i] == NULL:
            return -1
    if config_hook_add(kv, b"maxmemory", follow_limits, NULL) != 0:
        return -1
    return config_hook_add(kv, b"maxmemory-clients", follow_limits, NULL)


cdef const char* follow_limits(Kv* kv, void* owner, int directive) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    v.clients_on = eviction_clients_limit(kv) != 0
    v.running = kv.settings.maxmemory != 0      # the cron looks whether something has to go now
    return NULL


cdef void eviction_delete(Kv* kv) noexcept nogil:
    """Long keys are the heap's, which goes as a whole."""
    cdef Eviction* v = eviction_of(kv)
    cdef int i
    if v == NULL:
        return
    for i in range(EVICTION_POOL):
        free(v.pool[i])
    free(v)
    kv.eviction = NULL


# ---- the pool

cdef void drop_key(Kv* kv, Candidate* p) noexcept nogil:
    if p.key != p.own and p.key != NULL:
        heap_free(kv.heap, p.key, p.n)
    p.key = NULL


cdef void offer(Kv* kv, int db, Entry* e, uint64_t idle) noexcept nogil:
    """Takes a key into the pool, when it is better than the worst one there."""
    cdef Eviction* v = eviction_of(kv)
    cdef Candidate* p
    cdef const char* key
    cdef size_t n
    cdef int at = 0
    while at < v.n and v.pool[at].idle < idle:
        at += 1
    if at == 0 and v.n == EVICTION_POOL:
        return
    key = entry_key(e, &n)
    if v.n == EVICTION_POOL:            # the worst goes, what is better moves down
        p = v.pool[0]
        drop_key(kv, p)
        at -= 1
        memmove(&v.pool[0], &v.pool[1], at * sizeof(Candidate*))
    else:
        p = v.pool[v.n]
        memmove(&v.pool[at + 1], &v.pool[at], (v.n - at) * sizeof(Candidate*))
        v.n += 1
    v.pool[at] = p
    p.idle = idle
    p.db = db
    p.n = n
    p.key = p.own
    if n > EVICTION_KEY:
        p.key = <char*>heap_alloc(kv.heap, n)
        if p.key == NULL:               # it stays in the pool as nobody's key
            p.n = 0
            p.key = p.own
    memcpy(p.key, key, p.n)


cdef uint64_t idleness(Kv* kv, Entry* e) noexcept nogil:
    cdef int policy = kv.settings.maxmemory_policy
    if policy == POLICY_ALLKEYS_LFU or policy == POLICY_VOLATILE_LFU:
        return 255 - access_lfu_now(kv, e)
    return (kv.lru_clock - entry_clock(e)) & 0xffffff


cdef bint fill(Kv* kv, bint volatile) noexcept nogil:
    """Draws keys of every database into the pool; False: there are none."""
    cdef Db* db
    cdef Entry* e
    cdef OrderIter it
    cdef bint any_key = False
    cdef int i
    cdef int64_t _k
    for i in range(kv.n_dbs):
        db = &kv.dbs[i]
        if (db.expires.used if volatile else db.keys.used) == 0:
            continue
        any_key = True
        for _k in range(kv.settings.maxmemory_samples):
            if volatile:
                order_at(&db.expires, random_below(&kv.random, db.expires.used), &it)
                e = <Entry*>it.leaf.item[it.i]
            else:
                e = <Entry*>table_random(&db.keys, &kv.random)
            if e != NULL:
                offer(kv, i, e, idleness(kv, e))
    return any_key


cdef Entry* take_best(Kv* kv, int* db) noexcept nogil:
    """The pool's best key that still exists."""
    cdef Eviction* v = eviction_of(kv)
    cdef Candidate* p
    cdef void** slot
    while v.n:
        p = v.pool[v.n - 1]
        slot = table_find(kv.heap, &kv.dbs[p.db].keys, p.key, p.n, siphash(kv.heap.seed, p.key, p.n))
        db[0] = p.db
        drop_key(kv, p)
        v.n -= 1
        if slot != NULL:
            return <Entry*>slot[0]
    return NULL


cdef Entry* best_key(Kv* kv, int* db) noexcept nogil:
    """The key that goes next; NULL: none may."""
    cdef int policy = kv.settings.maxmemory_policy
    cdef bint volatile = policy <= POLICY_VOLATILE_TTL
    cdef Entry* e
    if policy == POLICY_NOEVICTION:
        return NULL
    if policy == POLICY_VOLATILE_TTL:
        return first_to_expire(kv, db)
    if policy == POLICY_ALLKEYS_RANDOM or policy == POLICY_VOLATILE_RANDOM:
        return any_key_at_all(kv, volatile, db)
    while fill(kv, volatile):
        e = take_best_matching(kv, volatile, db)
        if e != NULL:
            return e
    return NULL


cdef Entry* take_best_matching(Kv* kv, bint volatile, int* db) noexcept nogil:
    """A key drawn before may have lost its expiry since."""
    cdef Entry* e = take_best(kv, db)
    while e != NULL and volatile and entry_expire(e) < 0:
        e = take_best(kv, db)
    return e


cdef Entry* first_to_expire(Kv* kv, int* db) noexcept nogil:
    cdef OrderIter it
    cdef Entry* e = NULL
    cdef double when = 0
    cdef int i
    for i in range(kv.n_dbs):
        if kv.dbs[i].expires.used == 0:
            continue
        order_first(&kv.dbs[i].expires, &it)
        if e == NULL or it.leaf.score[it.i] < when:
            when = it.leaf.score[it.i]
            e = <Entry*>it.leaf.item[it.i]
            db[0] = i
    return e


cdef Entry* any_key_at_all(Kv* kv, bint volatile, int* db) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    cdef OrderIter it
    cdef Db* d
    cdef int _i
    for _i in range(kv.n_dbs):
        v.next_db = (v.next_db + 1) % kv.n_dbs
        d = &kv.dbs[v.next_db]
        db[0] = v.next_db
        if volatile and d.expires.used:
            order_at(&d.expires, random_below(&kv.random, d.expires.used), &it)
            return <Entry*>it.leaf.item[it.i]
        if not volatile and d.keys.used:
            return <Entry*>table_random(&d.keys, &kv.random)
    return NULL


# ---- memory

cdef inline bint too_much(Kv* kv) noexcept nogil:
    return kv.heap.used + eviction_of(kv).clients_bytes > kv.settings.maxmemory


cdef int64_t time_limit(Kv* kv) noexcept nogil:
    """Microseconds that one command may spend: 0 to 500 for a tenacity up to 10, then 15 % more a step; -1: no limit."""
    cdef int64_t tenacity = kv.settings.maxmemory_eviction_tenacity
    cdef double us = 500
    cdef int64_t _i
    if tenacity <= 10:
        return 50 * tenacity
    if tenacity >= 100:
        return -1
    for _i in range(tenacity - 10):
        us *= 1.15
    return <int64_t>us


cdef bint evict(Kv* kv, int db, Entry* e) noexcept nogil:
    """Deletes a key and tells of it; False: no memory for the copy of its name."""
    cdef Ctx c
    cdef Arg words[2]
    cdef char small[256]
    cdef char* name = small
    cdef const char* key
    cdef size_t n
    key = entry_key(e, &n)
    if n > sizeof(small):
        name = <char*>heap_alloc(kv.heap, n)
        if name == NULL:
            return False
    memcpy(name, key, n)
    memset(&c, 0, sizeof(Ctx))
    c.kv = kv
    c.heap = kv.heap
    c.now = kv.now
    c.db = &kv.dbs[db]
    memset(words, 0, sizeof(words))
    words[1].p = name
    words[1].n = n
    keyspace_delete(&c, c.db, &words[1])
    kv.stats.evicted += 1
    changed_n(&c, c.db, &words[1], EVENT_EVICTED, b"evicted", 0)
    if propagating(&c):
        words[0].p = b"UNLINK" if kv.settings.lazyfree_lazy_eviction else b"DEL"
        words[0].n = 6 if kv.settings.lazyfree_lazy_eviction else 3
        propagate(&c, c.db, 2, words)
        if kv.in_exec == 0:
            propagate_unit_end(kv)
    if name != small:
        heap_free(kv.heap, name, n)
    return True


cdef void note_exceeded(Kv* kv, bint above) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    cdef int64_t now = clock_monotonic(kv)
    if above and v.exceeded_since == 0:
        v.exceeded_since = now
    elif not above and v.exceeded_since != 0:
        v.exceeded_us += <uint64_t>(now - v.exceeded_since)
        v.exceeded_since = 0


cdef uint64_t eviction_exceeded_us(Kv* kv) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    return <uint64_t>(clock_monotonic(kv) - v.exceeded_since) if v.exceeded_since else 0


cdef int eviction_perform(Kv* kv) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    cdef int64_t limit = time_limit(kv)
    cdef int64_t began = clock_monotonic(kv)
    cdef int64_t steps = 0
    cdef Entry* e
    cdef int db = 0
    cdef int answer = EVICT_OK
    v.running = False
    if kv.loading or kv.pause_until != 0:
        return EVICT_OK
    while kv.settings.maxmemory != 0 and too_much(kv):
        if kv.doomed != NULL:
            doom_step(kv, DOOM_PIECES)  # what went before: its memory is coming back
        else:
            e = best_key(kv, &db)
            if e == NULL or not evict(kv, db, e):
                answer = EVICT_FAIL
                break
        steps += 1
        if limit >= 0 and steps % LOOK_AT_CLOCK == 0 and clock_monotonic(kv) - began > limit and too_much(kv):
            answer = EVICT_RUNNING
            v.running = True
            break
    note_exceeded(kv, answer != EVICT_OK)
    latency_add(kv, b"eviction-cycle", (clock_monotonic(kv) - began) // 1000)
    return answer


cdef bint eviction_gate(Kv* kv) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    v.full = too_much(kv) and eviction_perform(kv) == EVICT_FAIL
    return v.full


cdef bint eviction_cron(Kv* kv) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    if v.clients_on:
        close_clients(kv, eviction_clients_limit(kv))
    elif kv.settings.maxmemory != 0:
        count_clients(kv)
    if kv.settings.maxmemory != 0 and v.running:
        eviction_perform(kv)
    elif v.exceeded_since != 0 and (kv.settings.maxmemory == 0 or not too_much(kv)):
        note_exceeded(kv, False)
    return v.running


# ---- clients

cdef uint64_t eviction_clients_limit(Kv* kv) noexcept nogil:
    """Bytes, or "N%" of maxmemory (none without one)."""
    cdef const char* text = config_value(kv, MAXMEMORY_CLIENTS).p
    cdef size_t n = config_value(kv, MAXMEMORY_CLIENTS).n
    cdef uint64_t number = <uint64_t>strtoll(text, NULL, 10)
    if n and text[n - 1] == c"%":
        return <uint64_t>(<double>kv.settings.maxmemory * <double>number / 100.0)
    return number


cdef bint may_go(Session* s) noexcept nogil:
    return s.flags & (S_EMBEDDED | S_NO_EVICT | S_REPLICA | S_MASTER | S_CLOSE_ASAP) == 0


cdef Session* count_clients(Kv* kv) noexcept nogil:
    """Adds up the clients' memory; returns the one with the most that may go, or NULL."""
    cdef Session* s = kv.sessions
    cdef Session* largest = NULL
    cdef uint64_t total = 0
    cdef size_t most = 0
    cdef size_t bytes
    while s != NULL:
        if not s.flags & S_CLOSE_ASAP:
            bytes = session_memory(s)
            total += bytes
            if bytes > most and may_go(s):
                largest = s
                most = bytes
        s = s.next
    eviction_of(kv).clients_bytes = total
    eviction_of(kv).clients_scanned = kv.mono
    return largest


cdef void eviction_clients(Kv* kv, Session* s) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    cdef uint64_t limit = eviction_clients_limit(kv)
    cdef int64_t wait = SCAN_BIG_US if session_memory(s) >= BIG_CLIENT else SCAN_US
    if limit == 0 or (kv.mono - v.clients_scanned < wait and v.clients_scanned <= kv.mono
                      and session_memory(s) < limit):
        return
    close_clients(kv, limit)


cdef void close_clients(Kv* kv, uint64_t limit) noexcept nogil:
    cdef Eviction* v = eviction_of(kv)
    cdef Session* largest
    while True:
        largest = count_clients(kv)
        if largest == NULL or v.clients_bytes < limit:
            return
        largest.flags |= S_CLOSE_ASAP | S_EVICTED
        v.evicted_clients += 1
        if largest.kick != NULL:
            largest.kick(largest)
