"""What follows from a change of a key (contract: changes.pxd)."""

from libkv.engine.types cimport HOOK_WATCH
from libkv.engine.watch cimport watch_touch


cdef void changes_tell(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil:
    if c.kv.hooks & HOOK_WATCH:
        watch_touch(c.kv, db, key)
