# What a stream is made of: the structs that stream.pxd and stream_groups.pxd explain, in one place because each of the two
# needs the other's.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.structures.ids cimport Ids, StreamId

cdef struct StreamName:
    const char* p
    size_t n

cdef struct StreamNames:        # groups or consumers, sorted by the bytes of their names; all zero when empty
    void** item                 # each begins with a StreamName
    uint32_t n
    uint32_t cap

cdef struct StreamConsumer:
    StreamName name
    int64_t seen_at             # ms of Unix time
    Ids pending                 # ID -> StreamPending, those that are this consumer's

cdef struct StreamGroup:
    StreamName name
    StreamId last_id            # last delivered
    int64_t entries_read        # entries of the stream up to last_id, deleted ones too; ENTRIES_READ_UNKNOWN
    Ids pending                 # ID -> StreamPending
    StreamNames consumers       # StreamConsumer

cdef struct StreamPending:
    int64_t delivered_at        # ms of Unix time
    uint64_t deliveries
    StreamConsumer* consumer    # NULL only while loading

cdef struct Stream:
    Ids nodes                   # master ID -> char* node
    uint64_t length             # living entries
    StreamId last_id
    StreamId first_id           # of the first living entry; 0-0 without
    StreamId max_deleted_id
    uint64_t entries_added      # ever
    StreamNames groups          # StreamGroup
