# Keys and their values: the one way to a value for every command.
#
# Choke points: a command gets values only by lookup_*, and tells each change by changed().  WATCH, notifications,
# tracking, blocked clients and snapshots hang there.  Entries move when their size changes: every function that may
# move an entry returns where it is now; NULL from such a function = no memory, nothing changed (reply_oom()).

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from libkv.engine.changes cimport changes_tell
from libkv.engine.doom cimport doom_collection
from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Arg, Ctx, Db, Doomed, Kv, Reply, Session
from libkv.structures.alloc cimport Heap, UNLIKELY
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.siphash cimport siphash

cdef inline uint64_t arg_hash(Heap* h, Arg* a) noexcept nogil:
    """The argument's hash, computed once (a batch computes it ahead for the first key)."""
    if not a.hashed:
        a.hash = siphash(h.seed, a.p, a.n)
        a.hashed = True
    return a.hash

# look-ups: an expired key is deleted first and not found
cdef Entry* lookup_read(Ctx* c, Arg* key) noexcept nogil        # counts hit or miss, touches the LRU field
cdef Entry* lookup_write(Ctx* c, Arg* key) noexcept nogil       # touches the LRU field
cdef Entry* lookup_quiet(Ctx* c, Arg* key) noexcept nogil       # counts, but does not touch (TTL, OBJECT, ...)
cdef Entry* lookup_silent(Ctx* c, Arg* key) noexcept nogil      # as lookup_quiet, and a miss is no event (OBJECT)
cdef Entry* lookup_in(Ctx* c, Db* db, Arg* key, bint write) noexcept nogil     # another database (COPY, MOVE)
# the same, for one type: *wrong is set and the WRONGTYPE error replied when the key holds another
cdef Entry* lookup_read_type(Ctx* c, Arg* key, int type, Reply* r, bint* wrong) noexcept nogil
cdef Entry* lookup_write_type(Ctx* c, Arg* key, int type, Reply* r, bint* wrong) noexcept nogil

# changes; none of these reports: the command calls changed() itself, in Redis's words
cdef Entry* keyspace_add(Ctx* c, Db* db, Arg* key, int type, Cell* cell) noexcept nogil   # key must be absent; a collection
cdef Entry* keyspace_put(Ctx* c, Db* db, Arg* key, int type, Cell* cell) noexcept nogil   # replaces any value, drops the expiry
cdef Entry* keyspace_set(Ctx* c, Db* db, Arg* key, const char* p, size_t n, int64_t expire) noexcept nogil
    # string value, stored as a number where Redis would; expire: ms of Unix time, -1 none, -2 keep the present one
cdef Entry* keyspace_set_text(Ctx* c, Db* db, Arg* key, const char* p, size_t n) noexcept nogil
    # the same as bytes whatever they are (INCRBYFLOAT's result is no "int" in Redis); keeps the expiry
cdef Entry* keyspace_set_int(Ctx* c, Db* db, Arg* key, int64_t v) noexcept nogil          # keeps the expiry
cdef Entry* keyspace_set_raw(Ctx* c, Db* db, Arg* key, size_t n, size_t keep, char** bytes) noexcept nogil
    # makes the string n bytes long, "raw", with spare capacity, its first `keep` bytes kept, keeps the expiry;
    # the caller fills *bytes.  Key may be absent.
cdef bint keyspace_delete(Ctx* c, Db* db, Arg* key) noexcept nogil    # True: it was there; large values go in slices
cdef Entry* keyspace_expire(Ctx* c, Db* db, Arg* key, Entry* e, int64_t when) noexcept nogil     # when = -1: persist
cdef int keyspace_move(Ctx* c, Db* from_, Arg* key, Db* to, Arg* new_key) noexcept nogil
    # value and expiry; the target must be absent; 0 or -1
cdef Entry* keyspace_copy(Ctx* c, Entry* e, Db* to, Arg* key, Cell* twin) noexcept nogil
    # a copy of e (a collection's own copy is `twin`) with its expiry, in the place of any value that is there
cdef void keyspace_flush(Ctx* c, Db* db, bint now) noexcept nogil     # all keys; unless `now`, freed in slices
cdef inline void keyspace_doom(Kv* kv, int type, Cell* cell) noexcept nogil:
    """Frees a collection, in slices when it is large."""
    doom_collection(kv, type, cell)
cdef Entry* keyspace_random(Ctx* c, Db* db) noexcept nogil                                # NULL: empty; never an expired one

# A key changed: `dirty` counts by one (changed_n: by n), and whoever cares is told (engine/changes): who watches it,
# has cached it or waits for it, and keyspace notifications.  event_class 0: no notification.
cdef inline void changed_n(Ctx* c, Db* db, Arg* key, int event_class, const char* event, uint64_t n) noexcept nogil:
    c.kv.dirty += n
    if UNLIKELY(c.kv.hooks != 0):
        changes_tell(c, db, key, event_class, event)

cdef inline void changed(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil:
    changed_n(c, db, key, event_class, event, 1)

cdef bint expire_if_due(Ctx* c, Db* db, Arg* key, Entry* e) noexcept nogil
    # True: it was due and is gone (while clients are paused: it is only not seen)
cdef int64_t active_expire(Kv* kv, int64_t budget_us) noexcept nogil                      # how many went
cdef void keyspace_step(Kv* kv, int buckets) noexcept nogil                               # rehash steps by the cron
cdef int keyspace_check(Kv* kv) noexcept nogil                                            # 0, or what is broken
cdef int keyspace_init(Kv* kv, int n_dbs) noexcept nogil
