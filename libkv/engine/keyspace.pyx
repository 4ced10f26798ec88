"""Keys and their values (contract: keyspace.pxd)."""

from libc.stdlib cimport calloc
from libc.string cimport memcpy, memmove, memset

from libkv.engine.access cimport access_fresh, access_touch
from libkv.engine.changes cimport changes_tell_miss, changes_tell_new
from libkv.engine.call cimport propagate, propagating
from libkv.engine.clock cimport clock_monotonic
from libkv.engine.doom cimport doom_entries, doom_entry_value, doom_order
from libkv.engine.entry cimport (
    E_RAW, E_TTL, ENTRY_KEY, INLINE_MAX, STR_HEAP, STR_INLINE, STR_INT, entry_after_key, entry_bytes,
    entry_clock, entry_expire, entry_key, entry_layout, entry_set_cell, entry_set_clock, entry_string, entry_type,
    entry_value,
)
from libkv.engine.reply cimport reply_wrong_type
from libkv.engine.session cimport Intake
from libkv.engine.types cimport EVENT_EXPIRED, HOOK_NOTIFY, TYPE_STRING
from libkv.structures.alloc cimport MOVES, heap_adopt, heap_alloc, heap_free, heap_resize, heap_size
from libkv.structures.number cimport number_parse_i64
from libkv.structures.order cimport (
    ORDER_BY_POINTER, OrderIter, order_check, order_first, order_init, order_insert, order_remove,
    order_replace, order_find,
)
from libkv.structures.prefixed cimport prefixed_size, prefixed_write
from libkv.structures.table cimport (
    TableIter, table_check, table_find, table_fit, table_init, table_insert, table_iter, table_next,
    table_random, table_remove, table_step,
)

cdef enum:
    EXPIRE_TIME_CHECK = 16      # expired keys between looks at the clock


# ---- look-ups

cdef inline Entry* find_live(Ctx* c, Db* db, Arg* key) noexcept nogil:
    cdef void** slot = table_find(c.heap, &db.keys, key.p, key.n, arg_hash(c.heap, key))
    cdef Entry* e
    if slot == NULL:
        return NULL
    e = <Entry*>slot[0]
    if UNLIKELY(e.flags & E_TTL) and expire_if_due(c, db, key, e):
        return NULL
    return e


cdef Entry* lookup_read(Ctx* c, Arg* key) noexcept nogil:
    cdef Entry* e = find_live(c, c.db, key)
    if e == NULL:
        missed(c, c.db, key)
        return NULL
    c.kv.stats.hits += 1
    access_touch(c.kv, e)
    return e


cdef inline void missed(Ctx* c, Db* db, Arg* key) noexcept nogil:
    c.kv.stats.misses += 1
    if UNLIKELY(c.kv.hooks & HOOK_NOTIFY):
        changes_tell_miss(c, db, key)


cdef Entry* lookup_write(Ctx* c, Arg* key) noexcept nogil:
    cdef Entry* e = find_live(c, c.db, key)
    if e != NULL:
        access_touch(c.kv, e)
    return e


cdef Entry* lookup_quiet(Ctx* c, Arg* key) noexcept nogil:
    cdef Entry* e = find_live(c, c.db, key)
    if e == NULL:
        missed(c, c.db, key)
    else:
        c.kv.stats.hits += 1
    return e


cdef Entry* lookup_silent(Ctx* c, Arg* key) noexcept nogil:
    cdef Entry* e = find_live(c, c.db, key)
    if e == NULL:
        c.kv.stats.misses += 1
    else:
        c.kv.stats.hits += 1
    return e


cdef Entry* lookup_in(Ctx* c, Db* db, Arg* key, bint write) noexcept nogil:
    cdef Entry* e = find_live(c, db, key)
    if not write:
        if e == NULL:
            missed(c, db, key)
        else:
            c.kv.stats.hits += 1
    if e != NULL:
        access_touch(c.kv, e)
    return e


cdef Entry* lookup_read_type(Ctx* c, Arg* key, int type, Reply* r, bint* wrong) noexcept nogil:
    cdef Entry* e = lookup_read(c, key)
    if e != NULL and entry_type(e) != type:
        reply_wrong_type(r)
        wrong[0] = True
        return NULL
    return e


cdef Entry* lookup_write_type(Ctx* c, Arg* key, int type, Reply* r, bint* wrong) noexcept nogil:
    cdef Entry* e = lookup_write(c, key)
    if e != NULL and entry_type(e) != type:
        reply_wrong_type(r)
        wrong[0] = True
        return NULL
    return e


# ---- making and replacing entries

cdef Entry* entry_new(Ctx* c, Arg* key, int type, int layout, int flags, int64_t expire, size_t value) noexcept nogil:
    """An entry in no table yet, with `value` bytes of room for its value."""
    cdef size_t head = ENTRY_KEY + prefixed_size(key.n) + ((flags & E_TTL) << 3)
    cdef Entry* e = <Entry*>heap_alloc(c.heap, head + value)
    if e == NULL:
        return NULL
    e.kind = <uint8_t>(type | (layout << 4))
    e.flags = <uint8_t>flags
    entry_set_clock(e, access_fresh(c.kv))
    prefixed_write(<char*>e + ENTRY_KEY, key.p, key.n)
    if flags & E_TTL:
        memcpy(<char*>e + head - 8, &expire, 8)
    return e


cdef int entry_put(Ctx* c, Db* db, Arg* key, Entry* old, Entry* e) noexcept nogil:
    """Puts e in the place of old (NULL: as a new key), with its expiry; old's allocation and value stay the caller's.
    0, or -1 with nothing changed."""
    cdef uint64_t hash = arg_hash(c.heap, key)
    cdef int64_t was
    cdef int64_t now
    if old == NULL:
        if e.flags & E_TTL and order_insert(c.heap, &db.expires, <double>entry_expire(e), e) != 0:
            return -1
        if table_insert(c.heap, &db.keys, e, hash) != 0:
            if e.flags & E_TTL:
                order_remove(c.heap, &db.expires, <double>entry_expire(e), e)
            return -1
        if UNLIKELY(c.kv.hooks & HOOK_NOTIFY):
            changes_tell_new(c, db, key)
        return 0
    was = entry_expire(old)
    now = entry_expire(e)
    if was >= 0 and was == now:
        if order_replace(c.heap, &db.expires, <double>now, old, e) != 0:
            return -1
    else:
        if now >= 0 and order_insert(c.heap, &db.expires, <double>now, e) != 0:
            return -1
        if was >= 0:
            order_remove(c.heap, &db.expires, <double>was, old)
    table_find(c.heap, &db.keys, key.p, key.n, hash)[0] = e
    return 0


cdef inline void value_copy(char* to, int layout, int64_t number, const char* p, size_t n) noexcept nogil:
    if layout == STR_INT:
        memcpy(to, &number, 8)
    else:
        prefixed_write(to, p, n)


cdef Entry* keyspace_set(Ctx* c, Db* db, Arg* key, const char* p, size_t n, int64_t expire) noexcept nogil:
    return store_string(c, db, key, p, n, expire, True)


cdef Entry* keyspace_set_text(Ctx* c, Db* db, Arg* key, const char* p, size_t n) noexcept nogil:
    return store_string(c, db, key, p, n, -2, False)


cdef inline Intake* is_apart(Ctx* c, const char* p, size_t n) noexcept nogil:
    """The intake whose piece these bytes are (engine/session): it can become the value as it is."""
    cdef Intake* k = <Intake*>c.session.parser if c.session != NULL else NULL
    return k if k != NULL and k.piece != NULL and k.piece == p and k.piece_n == n + 2 else NULL


cdef inline Entry* store_string(Ctx* c, Db* db, Arg* key, const char* p, size_t n, int64_t expire, bint as_number) noexcept nogil:
    cdef void** slot = table_find(c.heap, &db.keys, key.p, key.n, arg_hash(c.heap, key))
    cdef Entry* old = <Entry*>slot[0] if slot != NULL else NULL
    cdef Entry* e
    cdef int64_t number = 0
    cdef int layout = STR_INLINE
    cdef int flags = 0
    cdef size_t value
    cdef char* piece
    cdef Intake* own = NULL
    # its expiry is an event of its own, and counted (a call without a session has nobody to tell)
    if old != NULL and UNLIKELY(old.flags & E_TTL) and c.session != NULL and expire_if_due(c, db, key, old):
        slot = table_find(c.heap, &db.keys, key.p, key.n, key.hash)
        old = <Entry*>slot[0] if slot != NULL else NULL
    if expire == -2:
        expire = entry_expire(old) if old != NULL else -1
    if expire >= 0:
        flags = E_TTL
    if as_number and n <= 20 and number_parse_i64(p, n, &number):
        layout = STR_INT
        value = 8
    elif n <= INLINE_MAX:
        value = prefixed_size(n)
    else:
        layout = STR_HEAP
        value = 24
    if old != NULL and layout != STR_HEAP and overwrite(c, db, old, layout, flags, expire, value, number, p, n):
        return old
    e = entry_new(c, key, TYPE_STRING, layout, flags, expire, value)
    if e == NULL:
        return NULL
    piece = NULL
    if layout == STR_HEAP:
        own = is_apart(c, p, n)
        if UNLIKELY(own != NULL):
            piece = own.piece
            set_piece(e, piece, n, own.piece_n)
        else:
            piece = <char*>heap_alloc(c.heap, n)
            if piece == NULL:
                heap_free(c.heap, e, entry_bytes_of(key, flags, value))
                return NULL
            memcpy(piece, p, n)
            set_piece(e, piece, n, n)
    else:
        value_copy(entry_value(e), layout, number, p, n)
    if entry_put(c, db, key, old, e) != 0:
        if piece != NULL and own == NULL:
            heap_free(c.heap, piece, n)
        heap_free(c.heap, e, entry_bytes_of(key, flags, value))
        return NULL
    if UNLIKELY(own != NULL):           # the argument's bytes are the store's now; they stay where they are
        heap_adopt(c.heap, own.piece, own.piece_n)
        own.piece = NULL
    if old != NULL:
        doom_entry_value(c.kv, old)
    return e


cdef inline size_t entry_bytes_of(Arg* key, int flags, size_t value) noexcept nogil:
    return ENTRY_KEY + prefixed_size(key.n) + ((flags & E_TTL) << 3) + value


cdef inline void set_piece(Entry* e, char* piece, size_t n, size_t cap) noexcept nogil:
    cdef char* v = entry_value(e)
    memcpy(v, &piece, 8)
    memcpy(v + 8, &n, 8)
    memcpy(v + 16, &cap, 8)


cdef bint overwrite(Ctx* c, Db* db, Entry* old, int layout, int flags, int64_t expire, size_t value, int64_t number,
                    const char* p, size_t n) noexcept nogil:
    """Writes a new value over an old string of the same size class; False: it does not fit."""
    cdef char* v
    cdef size_t head
    cdef int64_t was
    if MOVES or (old.kind & 15) != TYPE_STRING or (old.kind >> 4) == STR_HEAP or (old.flags & E_TTL) != flags:
        return False
    v = entry_value(old)
    head = v - <char*>old
    if heap_size(entry_bytes(old)) != heap_size(head + value):
        return False
    if head + value > 1024:
        return False                    # a large piece must go back with the size it was asked for
    if flags:
        was = entry_expire(old)
        if was != expire:
            if order_insert(c.heap, &db.expires, <double>expire, old) != 0:
                return False
            order_remove(c.heap, &db.expires, <double>was, old)
            memcpy(v - 8, &expire, 8)
    old.kind = <uint8_t>(TYPE_STRING | (layout << 4))
    old.flags = <uint8_t>flags
    if layout == STR_INT:
        memcpy(v, &number, 8)
    else:
        if n < 255:
            v[0] = <char>n
            memmove(v + 1, p, n)
        else:
            prefixed_write(v, p, n)
    entry_set_clock(old, access_fresh(c.kv))
    return True


cdef Entry* keyspace_set_int(Ctx* c, Db* db, Arg* key, int64_t v) noexcept nogil:
    cdef void** slot = table_find(c.heap, &db.keys, key.p, key.n, arg_hash(c.heap, key))
    cdef Entry* old = <Entry*>slot[0] if slot != NULL else NULL
    cdef Entry* e
    cdef int flags = 0
    cdef int64_t expire = -1
    if old != NULL:
        if not MOVES and (old.kind & 15) == TYPE_STRING and (old.kind >> 4) == STR_INT:
            memcpy(entry_value(old), &v, 8)
            return old
        expire = entry_expire(old)
        flags = old.flags & E_TTL
    e = entry_new(c, key, TYPE_STRING, STR_INT, flags, expire, 8)
    if e == NULL:
        return NULL
    memcpy(entry_value(e), &v, 8)
    if entry_put(c, db, key, old, e) != 0:
        heap_free(c.heap, e, entry_bytes_of(key, flags, 8))
        return NULL
    if old != NULL:
        doom_entry_value(c.kv, old)
    return e


cdef size_t roomy(size_t n) noexcept nogil:
    """Capacity for a string that grows: twice its size up to 1 MB, then a MB more (as Redis's sds)."""
    return n * 2 if n < (1 << 20) else n + (1 << 20)


cdef Entry* keyspace_set_raw(Ctx* c, Db* db, Arg* key, size_t n, size_t keep, char** bytes) noexcept nogil:
    cdef void** slot = table_find(c.heap, &db.keys, key.p, key.n, arg_hash(c.heap, key))
    cdef Entry* old = <Entry*>slot[0] if slot != NULL else NULL
    cdef Entry* e
    cdef Slice was
    cdef char scratch[24]
    cdef char* piece
    cdef char* v
    cdef size_t cap
    cdef int64_t expire = -1
    cdef int flags = E_RAW
    if old != NULL and (old.kind >> 4) == STR_HEAP:
        v = entry_value(old)
        memcpy(&piece, v, 8)
        memcpy(&cap, v + 16, 8)
        if cap < n or (n < cap // 4 and cap > 4096):
            piece = <char*>heap_resize(c.heap, piece, cap, roomy(n))
            if piece == NULL:
                return NULL
            cap = roomy(n)
        old.flags |= E_RAW
        set_piece(old, piece, n, cap)
        bytes[0] = piece
        return old
    cap = roomy(n) if old != NULL else (n if n else 1)
    piece = <char*>heap_alloc(c.heap, cap)
    if piece == NULL:
        return NULL
    if old != NULL:
        entry_string(old, scratch, &was)
        memcpy(piece, was.p, keep if keep < was.n else was.n)
        expire = entry_expire(old)
        flags |= old.flags & E_TTL
    e = entry_new(c, key, TYPE_STRING, STR_HEAP, flags, expire, 24)
    if e != NULL:
        set_piece(e, piece, n, cap)
        if entry_put(c, db, key, old, e) == 0:
            if old != NULL:
                doom_entry_value(c.kv, old)
            bytes[0] = piece
            return e
        heap_free(c.heap, e, entry_bytes_of(key, flags, 24))
    heap_free(c.heap, piece, cap)
    return NULL


cdef Entry* keyspace_add(Ctx* c, Db* db, Arg* key, int type, Cell* cell) noexcept nogil:
    cdef Entry* e = entry_new(c, key, type, cell.layout, 0, -1, 8)
    if e == NULL:
        return NULL
    entry_set_cell(e, cell)
    if entry_put(c, db, key, NULL, e) != 0:
        heap_free(c.heap, e, entry_bytes_of(key, 0, 8))
        return NULL
    return e


cdef Entry* keyspace_put(Ctx* c, Db* db, Arg* key, int type, Cell* cell) noexcept nogil:
    cdef void** slot = table_find(c.heap, &db.keys, key.p, key.n, arg_hash(c.heap, key))
    cdef Entry* old = <Entry*>slot[0] if slot != NULL else NULL
    cdef Entry* e = entry_new(c, key, type, cell.layout, 0, -1, 8)
    if e == NULL:
        return NULL
    entry_set_cell(e, cell)
    if entry_put(c, db, key, old, e) != 0:
        heap_free(c.heap, e, entry_bytes_of(key, 0, 8))
        return NULL
    if old != NULL:
        doom_entry_value(c.kv, old)
    return e


cdef Entry* keyspace_expire(Ctx* c, Db* db, Arg* key, Entry* e, int64_t when) noexcept nogil:
    cdef int64_t was = entry_expire(e)
    cdef Entry* moved
    cdef size_t bytes
    cdef size_t head
    cdef int flags
    if was == when:
        return e
    if was >= 0 and when >= 0:
        if order_insert(c.heap, &db.expires, <double>when, e) != 0:
            return NULL
        order_remove(c.heap, &db.expires, <double>was, e)
        memcpy(entry_after_key(e), &when, 8)
        return e
    bytes = entry_bytes(e)
    flags = (e.flags & ~E_TTL) | (E_TTL if when >= 0 else 0)
    head = entry_after_key(e) - <char*>e
    moved = <Entry*>heap_alloc(c.heap, bytes + 8 if when >= 0 else bytes - 8)
    if moved == NULL:
        return NULL
    memcpy(moved, e, head)
    moved.flags = <uint8_t>flags
    if when >= 0:
        memcpy(<char*>moved + head, &when, 8)
        memcpy(<char*>moved + head + 8, <char*>e + head, bytes - head)
    else:
        memcpy(<char*>moved + head, <char*>e + head + 8, bytes - head - 8)
    if entry_put(c, db, key, e, moved) != 0:
        heap_free(c.heap, moved, bytes + 8 if when >= 0 else bytes - 8)
        return NULL
    heap_free(c.heap, e, bytes)
    return moved


cdef int keyspace_move(Ctx* c, Db* from_, Arg* key, Db* to, Arg* new_key) noexcept nogil:
    cdef uint64_t hash = arg_hash(c.heap, key)
    cdef Entry* old = <Entry*>table_find(c.heap, &from_.keys, key.p, key.n, hash)[0]
    cdef size_t bytes = entry_bytes(old)
    cdef char* v = entry_value(old)
    cdef size_t value = bytes - (v - <char*>old)
    cdef int64_t expire = entry_expire(old)
    cdef void** slot = table_find(c.heap, &to.keys, new_key.p, new_key.n, arg_hash(c.heap, new_key))
    cdef Entry* there = <Entry*>slot[0] if slot != NULL else NULL
    cdef Entry* e = entry_new(c, new_key, entry_type(old), entry_layout(old), old.flags, expire, value)
    if e == NULL:
        return -1
    memcpy(entry_value(e), v, value)
    entry_set_clock(e, entry_clock(old))
    if entry_put(c, to, new_key, there, e) != 0:
        heap_free(c.heap, e, entry_bytes_of(new_key, old.flags, value))
        return -1
    if there != NULL:
        doom_entry_value(c.kv, there)
        if UNLIKELY(c.kv.hooks & HOOK_NOTIFY):
            changes_tell_new(c, to, new_key)    # as Redis, which deletes what was there first
    take_out(c.heap, from_, key, old)
    heap_free(c.heap, old, bytes)
    return 0


cdef Entry* keyspace_copy(Ctx* c, Entry* e, Db* to, Arg* key, Cell* twin) noexcept nogil:
    cdef char* v = entry_value(e)
    cdef size_t value = entry_bytes(e) - (v - <char*>e)
    cdef Entry* copy = entry_new(c, key, entry_type(e), entry_layout(e), e.flags, entry_expire(e), value)
    cdef char* piece = NULL
    cdef size_t n = 0
    cdef void** slot
    cdef Entry* old
    if copy == NULL:
        return NULL
    entry_set_clock(copy, entry_clock(e))
    memcpy(entry_value(copy), v, value)
    if twin != NULL:
        entry_set_cell(copy, twin)
    elif entry_layout(e) == STR_HEAP:
        memcpy(&n, v + 8, 8)
        memcpy(&v, v, 8)
        piece = <char*>heap_alloc(c.heap, n if n else 1)
        if piece == NULL:
            heap_free(c.heap, copy, entry_bytes_of(key, e.flags, value))
            return NULL
        memcpy(piece, v, n)
        set_piece(copy, piece, n, n if n else 1)
    slot = table_find(c.heap, &to.keys, key.p, key.n, arg_hash(c.heap, key))
    old = <Entry*>slot[0] if slot != NULL else NULL
    if entry_put(c, to, key, old, copy) != 0:
        if piece != NULL:
            heap_free(c.heap, piece, n if n else 1)
        heap_free(c.heap, copy, entry_bytes_of(key, e.flags, value))
        return NULL
    if old != NULL:
        doom_entry_value(c.kv, old)
        if UNLIKELY(c.kv.hooks & HOOK_NOTIFY):
            changes_tell_new(c, to, key)        # as keyspace_move
    return copy


# ---- deleting

cdef void take_out(Heap* h, Db* db, Arg* key, Entry* e) noexcept nogil:
    """Out of the table and the expiry index; the entry is the caller's."""
    cdef uint64_t hash = arg_hash(h, key)
    if e.flags & E_TTL:
        order_remove(h, &db.expires, <double>entry_expire(e), e)
    table_remove(h, &db.keys, table_find(h, &db.keys, key.p, key.n, hash), hash)


cdef bint keyspace_delete(Ctx* c, Db* db, Arg* key) noexcept nogil:
    cdef void** slot = table_find(c.heap, &db.keys, key.p, key.n, arg_hash(c.heap, key))
    cdef Entry* e
    if slot == NULL:
        return False
    e = <Entry*>slot[0]
    if e.flags & E_TTL:
        order_remove(c.heap, &db.expires, <double>entry_expire(e), e)
    table_remove(c.heap, &db.keys, slot, key.hash)
    doom_entry_value(c.kv, e)
    return True


cdef void keyspace_flush(Ctx* c, Db* db, bint now) noexcept nogil:
    doom_entries(c.kv, &db.keys, now)
    doom_order(c.kv, &db.expires, now)
    table_init(&db.keys, ENTRY_KEY)
    order_init(&db.expires, ORDER_BY_POINTER)


# ---- expiry

cdef bint expire_if_due(Ctx* c, Db* db, Arg* key, Entry* e) noexcept nogil:
    cdef Arg del_[2]
    if c.replay or c.kv.loading or entry_expire(e) >= c.now or entry_expire(e) < 0:
        return False
    if UNLIKELY(c.kv.pause_until != 0):
        return True                     # CLIENT PAUSE: nothing is changed, so that replicas can catch up
    keyspace_delete(c, db, key)
    c.kv.stats.expired += 1
    changed_n(c, db, key, EVENT_EXPIRED, b"expired", 0)
    if propagating(c):
        memset(del_, 0, sizeof(del_))
        del_[0].p = b"DEL"
        del_[0].n = 3
        del_[1] = key[0]
        expire_propagate(c, db, del_)
    return True


cdef void expire_propagate(Ctx* c, Db* db, Arg* argv) noexcept nogil:
    """An expiry is told beside the command that came upon it, not instead of it."""
    cdef int effect = c.effect
    propagate(c, db, 2, argv)
    c.effect = effect


cdef int64_t active_expire(Kv* kv, int64_t budget_us) noexcept nogil:
    """Deletes what is past its time, oldest first, for at most so long; the index knows them, so nothing is sampled."""
    cdef Ctx c
    cdef Arg key
    cdef Entry* e
    cdef OrderIter it
    cdef int64_t gone = 0
    cdef int64_t end = kv.mono + budget_us
    cdef int i
    memset(&c, 0, sizeof(Ctx))
    c.kv = kv
    c.heap = kv.heap
    c.now = kv.now
    for i in range(kv.n_dbs):
        c.db = &kv.dbs[i]
        while c.db.expires.used:
            order_first(&c.db.expires, &it)
            if it.leaf.score[it.i] >= <double>kv.now:
                break
            e = <Entry*>it.leaf.item[it.i]
            memset(&key, 0, sizeof(Arg))
            key.p = entry_key(e, &key.n)
            if not expire_moved(&c, &key, e):
                return gone
            gone += 1
            if gone % EXPIRE_TIME_CHECK == 0 and clock_monotonic(kv) > end:
                kv.stats.expire_cap_reached += 1
                return gone
    return gone


cdef bint expire_moved(Ctx* c, Arg* key, Entry* e) noexcept nogil:
    """expire_if_due for a key that is named by its own entry's bytes: they are copied, since the entry goes first."""
    cdef char small[256]
    cdef char* copy = small
    cdef Arg own = key[0]
    cdef bint gone
    if key.n > sizeof(small):
        copy = <char*>heap_alloc(c.heap, key.n)
        if copy == NULL:
            return False
    memcpy(copy, key.p, key.n)
    own.p = copy
    own.hashed = False
    gone = expire_if_due(c, c.db, &own, e)
    if copy != small:
        heap_free(c.heap, copy, key.n)
    return gone


cdef bint expire_moved_in(Ctx* c, Db* db, Arg* key, Entry* e) noexcept nogil:
    cdef Db* own = c.db
    cdef bint gone
    c.db = db
    gone = expire_moved(c, key, e)
    c.db = own
    return gone


# ---- the whole keyspace

cdef Entry* keyspace_random(Ctx* c, Db* db) noexcept nogil:
    cdef Entry* e
    cdef Arg key
    while True:
        e = <Entry*>table_random(&db.keys, &c.kv.random)
        if e == NULL or not e.flags & E_TTL or c.kv.pause_until != 0:
            return e
        memset(&key, 0, sizeof(Arg))
        key.p = entry_key(e, &key.n)
        if c.replay or entry_expire(e) >= c.now or not expire_moved_in(c, db, &key, e):
            return e


cdef int keyspace_init(Kv* kv, int n_dbs) noexcept nogil:
    cdef int i
    kv.dbs = <Db*>calloc(n_dbs, sizeof(Db))
    if kv.dbs == NULL:
        return -1
    kv.n_dbs = n_dbs
    for i in range(n_dbs):
        kv.dbs[i].id = i
        table_init(&kv.dbs[i].keys, ENTRY_KEY)
        table_init(&kv.dbs[i].watched, 8)
        order_init(&kv.dbs[i].expires, ORDER_BY_POINTER)
    return 0


cdef void keyspace_step(Kv* kv, int buckets) noexcept nogil:
    cdef int i
    for i in range(kv.n_dbs):
        if kv.dbs[i].keys.rehash < 0:
            table_fit(kv.heap, &kv.dbs[i].keys)
        table_step(kv.heap, &kv.dbs[i].keys, buckets)


cdef int keyspace_check(Kv* kv) noexcept nogil:
    """0; 100 + n the table of keys is broken (table_check), 200 + n the expiry index (order_check), 300 an entry
    with an expiry is not in the index, 301 the index has more."""
    cdef int i
    cdef int broken
    cdef uint64_t with_ttl
    cdef TableIter it
    cdef OrderIter at
    cdef Entry* e
    for i in range(kv.n_dbs):
        broken = table_check(kv.heap, &kv.dbs[i].keys)
        if broken:
            return 100 + broken
        broken = order_check(&kv.dbs[i].expires)
        if broken:
            return 200 + broken
        with_ttl = 0
        table_iter(&it, &kv.dbs[i].keys)
        while True:
            e = <Entry*>table_next(&it)
            if e == NULL:
                break
            if e.flags & E_TTL:
                with_ttl += 1
                if not order_find(&kv.dbs[i].expires, <double>entry_expire(e), e, &at):
                    return 300
        if with_ttl != kv.dbs[i].expires.used:
            return 301
    return 0
