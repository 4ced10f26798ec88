"""The slow log (contract and layout: slowlog.pxd).

Follows Redis 7.0.15: at most 32 arguments of a command and 128 bytes of an argument are kept, with a word about what was
cut off.  Unlike there the client's name and address are kept in fixed places, and an entry that finds no memory is lost.
"""

from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset

from libkv.structures.alloc cimport heap_alloc, heap_free

cdef enum:
    FIRST_RING = 16             # places of the first ring; it doubles when it is full


cdef inline int ring_index(Kv* kv, int i) noexcept nogil:
    """Place of the i-th newest entry."""
    return (kv.slow_head - i + kv.slow_cap) % kv.slow_cap


cdef SlowEntry* slowlog_entry(Kv* kv, int i) noexcept nogil:
    return &kv.slow[ring_index(kv, i)]


cdef size_t entry_size(SlowEntry* e) noexcept nogil:
    """Bytes of the piece that holds the arguments and the name."""
    cdef size_t n = sizeof(Arg) * e.argc + e.name_n
    cdef int i
    for i in range(e.argc):
        n += e.argv[i].n
    return n


cdef bint ring_grow(Kv* kv) noexcept nogil:
    """Twice the places, the oldest entry first."""
    cdef int cap = kv.slow_cap * 2 if kv.slow_cap else FIRST_RING
    cdef SlowEntry* ring
    cdef int i
    if kv.slow_cap >= 1 << 28:
        return False
    ring = <SlowEntry*>heap_alloc(kv.heap, sizeof(SlowEntry) * cap)
    if ring == NULL:
        return False
    for i in range(kv.slow_n):
        ring[kv.slow_n - 1 - i] = kv.slow[ring_index(kv, i)]
    if kv.slow != NULL:
        heap_free(kv.heap, kv.slow, sizeof(SlowEntry) * kv.slow_cap)
    kv.slow = ring
    kv.slow_cap = cap
    kv.slow_head = (kv.slow_n - 1 + cap) % cap
    return True


cdef int arg_text(Arg* a, char* text, size_t room) noexcept nogil:
    """What is said behind the first SLOW_BYTES bytes of a long argument; its length."""
    if a.n <= SLOW_BYTES:
        return 0
    return snprintf(text, room, b"... (%llu more bytes)", <unsigned long long>(a.n - SLOW_BYTES))


cdef bint entry_fill(Kv* kv, SlowEntry* e, Session* s, Arg* argv, int argc) noexcept nogil:
    """Copies arguments and name into one piece; False: no memory."""
    cdef char[64] rest
    cdef char[64] text
    cdef int n_rest = 0
    cdef int kept = argc
    cdef size_t size
    cdef char* at
    cdef int k
    cdef int i
    if argc > SLOW_ARGS:
        kept = SLOW_ARGS - 1
        n_rest = snprintf(rest, sizeof(rest), b"... (%d more arguments)", argc - kept)
    e.argc = min(argc, <int>SLOW_ARGS)
    e.name_n = s.name_n if s != NULL and s.name != NULL else 0
    size = sizeof(Arg) * e.argc + e.name_n + n_rest
    for i in range(kept):
        size += min(argv[i].n, <size_t>SLOW_BYTES) + arg_text(&argv[i], text, sizeof(text))
    at = <char*>heap_alloc(kv.heap, size)
    if at == NULL:
        return False
    memset(at, 0, sizeof(Arg) * e.argc)
    e.argv = <Arg*>at
    at += sizeof(Arg) * e.argc
    for i in range(kept):
        e.argv[i].p = at
        e.argv[i].n = min(argv[i].n, <size_t>SLOW_BYTES)
        if e.argv[i].n:
            memcpy(at, argv[i].p, e.argv[i].n)
        k = arg_text(&argv[i], text, sizeof(text))
        memcpy(at + e.argv[i].n, text, k)
        e.argv[i].n += k
        at += e.argv[i].n
    if n_rest:
        e.argv[kept].p = at
        e.argv[kept].n = n_rest
        memcpy(at, rest, n_rest)
        at += n_rest
    e.name = at
    if e.name_n:
        memcpy(at, s.name, e.name_n)
    return True


cdef void slowlog_add(Kv* kv, Session* s, Arg* argv, int argc, int64_t usec) noexcept nogil:
    cdef SlowEntry e
    if kv.settings.slowlog_log_slower_than < 0 or usec < kv.settings.slowlog_log_slower_than:
        return
    memset(&e, 0, sizeof(SlowEntry))
    if kv.settings.slowlog_max_len > 0:
        if kv.slow_n == kv.slow_cap and kv.slow_n < kv.settings.slowlog_max_len and not ring_grow(kv):
            return
        slowlog_trim(kv, min(kv.settings.slowlog_max_len, <int64_t>kv.slow_cap) - 1)
        if not entry_fill(kv, &e, s, argv, argc):
            return
        e.id = kv.slow_next_id
        e.when = kv.now // 1000
        e.usec = usec
        if s != NULL:
            memcpy(e.peer, s.addr, sizeof(e.peer))
        kv.slow_head = (kv.slow_head + 1) % kv.slow_cap
        kv.slow[kv.slow_head] = e
        kv.slow_n += 1
    else:
        slowlog_trim(kv, 0)
    kv.slow_next_id += 1


cdef void slowlog_trim(Kv* kv, int64_t keep) noexcept nogil:
    cdef SlowEntry* e
    while kv.slow_n > keep and kv.slow_n > 0:
        e = slowlog_entry(kv, kv.slow_n - 1)
        heap_free(kv.heap, e.argv, entry_size(e))
        kv.slow_n -= 1


cdef void slowlog_free(Kv* kv) noexcept nogil:
    slowlog_trim(kv, 0)
    if kv.slow != NULL:
        heap_free(kv.heap, kv.slow, sizeof(SlowEntry) * kv.slow_cap)
    kv.slow = NULL
    kv.slow_cap = kv.slow_head = 0
