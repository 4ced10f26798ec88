"""What follows from a change of a key (contract: changes.pxd)."""

from libkv.engine.blocking cimport blocking_tell
from libkv.engine.pubsub cimport pubsub_notify
from libkv.engine.tracking cimport tracking_changed
from libkv.engine.types cimport (
    EVENT_EVICTED, EVENT_EXPIRED, EVENT_MISS, EVENT_NEW, HOOK_BLOCKED, HOOK_NOTIFY, HOOK_TRACKING, HOOK_WATCH,
)
from libkv.engine.watch cimport watch_touch


cdef void changes_tell(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil:
    if c.kv.hooks & HOOK_WATCH:
        watch_touch(c.kv, db, key)
    if c.kv.hooks & HOOK_TRACKING:
        tracking_changed(c, key, event_class & (EVENT_EXPIRED | EVENT_EVICTED) != 0)
    if c.kv.hooks & HOOK_NOTIFY and event_class:
        pubsub_notify(c.kv, db, key, event_class, event)
    if c.kv.hooks & HOOK_BLOCKED:
        blocking_tell(c, db, key, event_class, event)


cdef void changes_tell_new(Ctx* c, Db* db, Arg* key) noexcept nogil:
    pubsub_notify(c.kv, db, key, EVENT_NEW, b"new")


cdef void changes_tell_miss(Ctx* c, Db* db, Arg* key) noexcept nogil:
    pubsub_notify(c.kv, db, key, EVENT_MISS, b"keymiss")
