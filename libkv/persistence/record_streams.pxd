# Streams as Python values, and back: a part of records.

from libkv.engine.types cimport Kv
from libkv.structures.cell cimport Cell

cdef object record_stream_take(Cell* cell)
    # {"entries": [(id, [(field, value), ...]), ...], "last_id": id, "max_deleted_id": id, "entries_added": int,
    #  "groups": [{"name": bytes, "last_id": id, "entries_read": int or None, "pending": [(id, consumer, ms, deliveries)],
    #              "consumers": [(name, seen ms), ...]}, ...]};   id: b"ms-seq"
cdef int record_stream_make(Kv* kv, value, Cell* cell) except -1
    # the reverse, into a new stream: ValueError, TypeError or KeyError for what is none; then cell.ptr may be set, and is the
    # caller's to free
