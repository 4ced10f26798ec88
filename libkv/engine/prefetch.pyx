"""Hints ahead of a batch (contract: prefetch.pxd).

Five passes, each over all commands, so that up to 32 misses are under way at once: the keys' buckets, their entries, and
for commands on one member of a large collection its table's bucket and the member itself (the pass in the middle reads
the entry).  Measured at 64 commands a pipeline over 1M keys: GET costs a third of what it costs without.
"""

from libc.stdint cimport uint8_t
from libc.string cimport strcmp

from libkv.engine.entry cimport Entry, entry_cell, entry_type
from libkv.engine.keyspace cimport arg_hash
from libkv.engine.types cimport TYPE_HASH, TYPE_SET, TYPE_STRING, TYPE_ZSET
from libkv.structures.cell cimport HASH_TABLE, SET_TABLE, ZSET_TREE, Cell
from libkv.structures.hash cimport hash_prefetch, hash_prefetch_item
from libkv.structures.set cimport set_prefetch, set_prefetch_member
from libkv.structures.table cimport table_find, table_prefetch_bucket, table_prefetch_item
from libkv.structures.zset cimport zset_prefetch, zset_prefetch_item

cdef enum:
    COMMANDS = 512              # more than the table has rows
    UNKNOWN = 255

cdef uint8_t member_at[COMMANDS]    # by Command.id: which argument is a member; 0 none, UNKNOWN not looked at yet
for _i in range(COMMANDS):
    member_at[_i] = UNKNOWN

cdef const char** SECOND = [
    b"sadd", b"srem", b"sismember", b"hset", b"hsetnx", b"hget", b"hdel", b"hexists", b"hincrby", b"hincrbyfloat", b"hstrlen",
    b"zscore", b"zrem", b"zrank", b"zrevrank", NULL,
]
cdef const char** THIRD = [b"zadd", b"zincrby", NULL]


cdef bint listed(const char** names, Command* cmd) noexcept nogil:
    cdef int i = 0
    while names[i] != NULL:
        if strcmp(names[i], cmd.full) == 0:
            return True
        i += 1
    return False


cdef inline int member_of(Command* cmd) noexcept nogil:
    if member_at[cmd.id] == UNKNOWN:
        member_at[cmd.id] = 2 if listed(SECOND, cmd) else 3 if listed(THIRD, cmd) else 0
    return member_at[cmd.id]


cdef inline bint hashed(Job* job) noexcept nogil:
    return job.argc > 1 and job.argv[1].hashed


cdef void prefetch_batch(Kv* kv, Db* db, Job* jobs, int n) noexcept nogil:
    cdef int i
    cdef bint members = False
    for i in range(n):
        if hashed(&jobs[i]):
            table_prefetch_bucket(&db.keys, jobs[i].argv[1].hash)
    for i in range(n):
        if hashed(&jobs[i]):
            table_prefetch_item(&db.keys, jobs[i].argv[1].hash)
            members = members or (jobs[i].cmd != NULL and member_of(jobs[i].cmd) != 0)
    if members and db.keys.rehash < 0:  # while rehashing a look-up would move a bucket
        prefetch_members(kv, db, jobs, n)


cdef void prefetch_members(Kv* kv, Db* db, Job* jobs, int n) noexcept nogil:
    cdef Cell cells[PREFETCH_MAX]
    cdef int types[PREFETCH_MAX]
    cdef Arg* key
    cdef Arg* member
    cdef void** slot
    cdef int i
    cdef int at
    for i in range(n):
        types[i] = -1
        at = member_of(jobs[i].cmd) if jobs[i].cmd != NULL else 0
        if at == 0 or at >= jobs[i].argc or not hashed(&jobs[i]):
            continue
        key = &jobs[i].argv[1]
        slot = table_find(kv.heap, &db.keys, key.p, key.n, key.hash)
        if slot == NULL or entry_type(<Entry*>slot[0]) == TYPE_STRING:
            continue                    # a short string has no room for a pointer
        entry_cell(<Entry*>slot[0], &cells[i])
        types[i] = entry_type(<Entry*>slot[0])
        member = &jobs[i].argv[at]
        if types[i] == TYPE_SET and cells[i].layout == SET_TABLE:
            set_prefetch(&cells[i], arg_hash(kv.heap, member))
        elif types[i] == TYPE_HASH and cells[i].layout == HASH_TABLE:
            hash_prefetch(&cells[i], arg_hash(kv.heap, member))
        elif types[i] == TYPE_ZSET and cells[i].layout == ZSET_TREE:
            zset_prefetch(&cells[i], arg_hash(kv.heap, member))
        else:
            types[i] = -1
    for i in range(n):
        if types[i] < 0:
            continue
        member = &jobs[i].argv[member_of(jobs[i].cmd)]
        if types[i] == TYPE_SET:
            set_prefetch_member(&cells[i], member.hash)
        elif types[i] == TYPE_HASH:
            hash_prefetch_item(&cells[i], member.hash)
        else:
            zset_prefetch_item(&cells[i], member.hash)


cdef void prefetch_keys(Ctx* c, Arg* argv, int argc, int first, int step) noexcept nogil:
    cdef int i
    cdef int end = first + step * PREFETCH_MAX
    if end > argc:
        end = argc
    i = first
    while i < end:
        table_prefetch_bucket(&c.db.keys, arg_hash(c.heap, &argv[i]))
        i += step
    i = first
    while i < end:
        table_prefetch_item(&c.db.keys, argv[i].hash)
        i += step
