"""DEBUG's looks inside: how a key's value is stored, digests of the data, figures of the tables, sizes of structures.

The answers describe insides (OBJECT's pointers, STRUCTSIZE, HTSTATS, SDSLEN), and the insides are ours.

- OBJECT's serializedlength is the size of the value in an RDB file of version 10 without compression.
- LISTPACK prints on the process's standard output, as Redis does.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdio cimport fflush, printf, snprintf, stdout
from libc.string cimport memcpy, memset

from libkv.commands.keys cimport encoding_name
from libkv.engine.args cimport arg_int
from libkv.engine.digest cimport digest_data, digest_entry
from libkv.engine.entry cimport (
    ENTRY_KEY, Entry, STR_HEAP, STR_INT, entry_bytes, entry_cell, entry_clock, entry_int, entry_key, entry_layout,
    entry_string, entry_type, entry_value,
)
from libkv.engine.keyspace cimport arg_hash
from libkv.engine.registry cimport Command
from libkv.engine.reply cimport reply_array, reply_cstring, reply_error, reply_no_key, reply_status, reply_verbatim
from libkv.engine.serialized cimport serialized_size
from libkv.engine.types cimport (
    Arg, CALL_DONE, Ctx, Db, Kv, Reply, Session, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STRING, TYPE_ZSET,
)
from libkv.structures.alloc cimport Heap
from libkv.structures.cell cimport Cell, HASH_PACKED, HASH_TABLE, LIST_PACKED, SET_TABLE, Slice, ZSET_PACKED, ZSET_TREE
from libkv.structures.chunk cimport Chunk, List, chunk_used
from libkv.structures.list cimport list_length
from libkv.structures.packed cimport (
    PACKED_EMPTY, packed_bytes, packed_first, packed_get, packed_length, packed_next, packed_skip,
)
from libkv.structures.sha1 cimport SHA1_BYTES, sha1_hex
from libkv.structures.table cimport Bucket, SLOTS, Table, table_find
from libkv.structures.zset cimport Zset

cdef enum:
    TEXT_MAX = 1024
    SHARED_INTS = 10000         # Redis shares the objects of smaller numbers


# --- values ----------------------------------------------------------------------------------------------------------

cdef Entry* peek(Ctx* c, Arg* key) noexcept nogil:
    """The key's entry without any effect: no statistics, no touching, an expired one still counts."""
    cdef void** slot = table_find(c.heap, &c.db.keys, key.p, key.n, arg_hash(c.heap, key))
    return <Entry*>slot[0] if slot != NULL else NULL


cdef Entry* peek_or_error(Ctx* c, Arg* key, Reply* r) noexcept nogil:
    cdef Entry* e = peek(c, key)
    if e == NULL:
        reply_no_key(r)
    return e


cdef int debug_object(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef char text[TEXT_MAX]
    cdef char more[256]
    cdef Cell cell
    cdef uint64_t nodes = 1
    cdef uint64_t bytes = 0
    cdef Chunk* chunk
    cdef int refcount = 1
    if e == NULL:
        return CALL_DONE
    if entry_type(e) == TYPE_STRING and entry_layout(e) == STR_INT and 0 <= entry_int(e) < SHARED_INTS:
        refcount = 0x7fffffff
    more[0] = 0
    if entry_type(e) == TYPE_LIST:
        entry_cell(e, &cell)
        if cell.layout == LIST_PACKED:
            bytes = packed_bytes(<char*>cell.ptr)
        else:
            nodes = (<List*>cell.ptr).chunks
            chunk = (<List*>cell.ptr).head
            while chunk != NULL:
                bytes += PACKED_EMPTY + chunk_used(chunk)
                chunk = chunk.next
        snprintf(more, sizeof(more), b" ql_nodes:%llu ql_avg_node:%.2f ql_listpack_max:%lld ql_compressed:0 "
                 b"ql_uncompressed_size:%llu", <unsigned long long>nodes, <double>list_length(&cell) / <double>nodes,
                 <long long>c.kv.settings.list_max_listpack_size, <unsigned long long>bytes)
    snprintf(text, sizeof(text), b"Value at:%p refcount:%d encoding:%s serializedlength:%llu lru:%u lru_seconds_idle:%u%s",
             <void*>e, refcount, encoding_name(e), <unsigned long long>serialized_size(e), entry_clock(e),
             (c.kv.lru_clock - entry_clock(e)) & 0xffffff, more)
    reply_status(r, text)
    return CALL_DONE


cdef int debug_sdslen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef char text[TEXT_MAX]
    cdef char scratch[24]
    cdef Slice s
    cdef size_t key_n
    cdef size_t capacity = 0
    if e == NULL:
        return CALL_DONE
    if entry_type(e) != TYPE_STRING or entry_layout(e) == STR_INT:
        reply_error(r, b"ERR Not an sds encoded string.")
        return CALL_DONE
    entry_key(e, &key_n)
    entry_string(e, scratch, &s)
    if entry_layout(e) == STR_HEAP:
        memcpy(&capacity, entry_value(e) + 16, 8)
    snprintf(text, sizeof(text), b"key_sds_len:%zu, key_sds_avail:0, key_zmalloc: %zu, val_sds_len:%zu, val_sds_avail:%zu, "
             b"val_zmalloc: %zu", key_n, entry_bytes(e), s.n, capacity - s.n if capacity else 0, capacity)
    reply_status(r, text)
    return CALL_DONE


cdef int debug_listpack(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef Cell cell
    cdef Slice s
    cdef char scratch[24]
    cdef char* at
    cdef int i = 0
    if e == NULL:
        return CALL_DONE
    if not ((entry_type(e) == TYPE_HASH and entry_layout(e) == HASH_PACKED)
            or (entry_type(e) == TYPE_ZSET and entry_layout(e) == ZSET_PACKED)):
        reply_error(r, b"ERR Not a listpack encoded object.")
        return CALL_DONE
    entry_cell(e, &cell)
    printf(b"{total bytes %zu} {num entries %llu}\n", packed_bytes(<char*>cell.ptr),
           <unsigned long long>packed_length(<char*>cell.ptr))
    at = packed_first(<char*>cell.ptr)
    while at != NULL:
        s = packed_get(at, scratch)
        printf(b"%d: {offset %td, entry bytes %zu} [%.*s]%s\n", i, at - <char*>cell.ptr, packed_skip(at),
               <int>min(s.n, <size_t>40), s.p, b"..." if s.n > 40 else b"")
        at = packed_next(<char*>cell.ptr, at)
        i += 1
    fflush(stdout)
    reply_status(r, b"Listpack structure printed on stdout")
    return CALL_DONE


cdef int debug_quicklist(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """A line for each chunk of a list; how much detail is asked for makes no difference."""
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef Cell cell
    cdef Chunk* chunk
    cdef int i = 0
    if e == NULL:
        return CALL_DONE
    if entry_type(e) != TYPE_LIST:
        reply_error(r, b"ERR Not a quicklist encoded object.")
        return CALL_DONE
    entry_cell(e, &cell)
    printf(b"{count : %llu}\n{nodes : %llu}\n", <unsigned long long>list_length(&cell),
           <unsigned long long>(1 if cell.layout == LIST_PACKED else (<List*>cell.ptr).chunks))
    chunk = NULL if cell.layout == LIST_PACKED else (<List*>cell.ptr).head
    while chunk != NULL:
        printf(b"{node %d: entry bytes %zu}\n", i, <size_t>chunk_used(chunk))
        chunk = chunk.next
        i += 1
    fflush(stdout)
    reply_status(r, b"Quicklist structure printed on stdout")
    return CALL_DONE


# --- digests ---------------------------------------------------------------------------------------------------------

cdef int debug_digest(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t digest[SHA1_BYTES]
    cdef char text[41]
    digest_data(c.kv, digest)
    sha1_hex(digest, text)
    reply_status(r, text)
    return CALL_DONE


cdef int debug_digest_value(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef uint8_t digest[SHA1_BYTES]
    cdef char text[41]
    cdef Entry* e
    cdef int i
    reply_array(r, argc - 2)
    for i in range(2, argc):
        memset(digest, 0, SHA1_BYTES)
        e = peek(c, &argv[i])
        if e != NULL:
            digest_entry(e, digest)
        sha1_hex(digest, text)
        reply_status(r, text)
    return CALL_DONE


# --- tables ----------------------------------------------------------------------------------------------------------

cdef int print_table(char* text, size_t room, Table* t) noexcept nogil:
    """A few lines about a table; as many characters as were written (or would have been)."""
    cdef uint64_t buckets = t.mask[0] + 1 if t.buckets[0] != NULL else 0
    if t.used == 0:
        return snprintf(text, room, b"No stats available for empty dictionaries\n")
    if t.rehash < 0:
        return snprintf(text, room, b" buckets: %llu of %d places\n number of elements: %llu\n further buckets: %llu\n",
                        <unsigned long long>buckets, <int>SLOTS, <unsigned long long>t.used, <unsigned long long>t.links)
    return snprintf(text, room, b" buckets: %llu of %d places, moving to %llu, bucket %lld is next\n number of elements: %llu\n"
                    b" further buckets: %llu\n", <unsigned long long>buckets, <int>SLOTS,
                    <unsigned long long>(t.mask[1] + 1), <long long>t.rehash, <unsigned long long>t.used,
                    <unsigned long long>t.links)


cdef int debug_htstats(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[TEXT_MAX]
    cdef int64_t id
    cdef int n
    cdef Db* db
    if not arg_int(&argv[2], &id, r):
        return CALL_DONE
    if not 0 <= id < c.kv.n_dbs:
        reply_error(r, b"ERR Out of range database")
        return CALL_DONE
    db = &c.kv.dbs[id]
    n = snprintf(text, sizeof(text), b"[Dictionary HT]\n")
    n += print_table(text + n, sizeof(text) - n, &db.keys)
    n += snprintf(text + n, sizeof(text) - n, b"[Expires, in order]\n number of elements: %llu\n",
                  <unsigned long long>db.expires.used)
    reply_verbatim(r, b"txt", text, n)
    return CALL_DONE


cdef int debug_htstats_key(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Entry* e = peek_or_error(c, &argv[2], r)
    cdef Table* t = NULL
    cdef char text[TEXT_MAX]
    cdef Cell cell
    if e == NULL:
        return CALL_DONE
    if entry_type(e) != TYPE_STRING:
        entry_cell(e, &cell)
        if entry_type(e) == TYPE_ZSET and cell.layout == ZSET_TREE:
            t = &(<Zset*>cell.ptr).members
        elif (entry_type(e) == TYPE_HASH and cell.layout == HASH_TABLE) or (
                entry_type(e) == TYPE_SET and cell.layout == SET_TABLE):
            t = <Table*>cell.ptr
    if t == NULL:
        reply_error(r, b"ERR The value stored at the specified key is not represented using an hash table")
        return CALL_DONE
    reply_verbatim(r, b"txt", text, print_table(text, sizeof(text), t))
    return CALL_DONE


cdef int debug_structsize(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char text[TEXT_MAX]
    snprintf(text, sizeof(text), b"bits:%d entry:%d bucket:%zu table:%zu chunk:%zu cell:%zu db:%zu session:%zu command:%zu "
             b"heap:%zu store:%zu", <int>(8 * sizeof(void*)), <int>ENTRY_KEY, sizeof(Bucket), sizeof(Table), sizeof(Chunk),
             sizeof(Cell), sizeof(Db), sizeof(Session), sizeof(Command), sizeof(Heap), sizeof(Kv))
    reply_cstring(r, text)
    return CALL_DONE
