"""RDB files record by record, as Python objects: what libkv.rdb is made of.

A reader makes each value in a store of its own, which holds nothing else, and drops it when it has become a Python
object: a file of any size costs one value and a buffer.
"""

import os

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EIO
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset, strerror

from libkv.engine.access cimport access_refresh
from libkv.engine.entry cimport Entry
from libkv.engine.keyspace cimport keyspace_delete
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.store cimport kv_delete, kv_new
from libkv.engine.types cimport (
    TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET, Arg, Ctx, Kv,
)
from libkv.persistence.durable cimport durable_of
from libkv.persistence.rdb cimport (
    RdbLoad, RdbSave, rdb_error_message, rdb_load, rdb_put_end, rdb_put_entry, rdb_put_header, rdb_save,
)
from libkv.persistence.rdb_decode cimport rdb_type_name
from libkv.persistence.rdb_encode cimport rdb_put_length
from libkv.persistence.rdb_fill cimport FILL_OK, Fill, fill_add, fill_drop, fill_flush
from libkv.persistence.rdb_format cimport (
    RDB_CUT, RDB_IO, RDB_NO_MEMORY, RDB_OK, RDB_OP_SELECTDB, RDB_UNSUPPORTED, RdbError, RdbValue,
)
from libkv.persistence.rdb_read cimport (
    RDB_IS_AUX, RDB_IS_DB, RDB_IS_EMPTY, RDB_IS_END, RDB_IS_KEY, RDB_IS_LIBRARY, RDB_IS_SIZES, RdbReader,
    rdb_reader_close, rdb_reader_next, rdb_reader_open,
)
from libkv.persistence.record_streams cimport record_stream_make, record_stream_take
from libkv.persistence.rio cimport (
    Sink, Source, sink_byte, sink_close, sink_fd_write, sink_open, sink_flush, source_close, source_fd_read,
    source_offset, source_open, source_open_memory,
)
from libkv.store cimport StoreCore
from libkv.structures.cell cimport Cell, Slice
from libkv.structures.hash cimport HASH_SCRATCH, HashIter, hash_iter, hash_new, hash_next, hash_set
from libkv.structures.list cimport ListIter, list_new, list_push, list_seek, list_step, list_value
from libkv.structures.set cimport SetIter, set_add, set_iter, set_new, set_next
from libkv.structures.table cimport table_find
from libkv.structures.zset cimport ZSET_SCRATCH, ZsetIter, zset_add, zset_iter, zset_new, zset_next

from libkv.errors import RdbFileError

cdef enum:
    MANY_DATABASES = 0x7fffffff

TYPE_NAMES = {
    TYPE_STRING: "string", TYPE_LIST: "list", TYPE_SET: "set", TYPE_ZSET: "zset", TYPE_HASH: "hash", TYPE_STREAM: "stream",
}


# ---- what goes wrong

cdef object failure(RdbError* e):
    """The exception for a file that can't be read."""
    cdef char text[1024]
    if e.code == RDB_NO_MEMORY:
        return MemoryError("no memory for a value of an RDB file")
    if e.code == RDB_IO:
        return OSError(e.error, strerror(e.error).decode())
    rdb_error_message(e, text, sizeof(text))
    key = e.key[:min(e.key_n, sizeof(e.key) - 1)] if e.in_key else None
    kind = {RDB_CUT: "truncated", RDB_UNSUPPORTED: "unsupported"}.get(e.code, "damaged")
    return RdbFileError(text.decode("ascii"), offset=e.offset, key=key, database=e.db, kind=kind,
                        reason=e.text.decode("utf-8", "replace"))


# ---- Python's files as sources and sinks

cdef ssize_t python_read(void* arg, char* p, size_t n) noexcept nogil:
    """A source_read_fn on an object with read(n)."""
    cdef Py_ssize_t got
    with gil:
        reader = <Reader>arg
        try:
            data = reader.file.read(n)
            got = len(data)
            if got > <Py_ssize_t>n:
                raise ValueError("read(n) returned more than n bytes")
            memcpy(p, PyBytes_AS_STRING(data), got)
            return got
        except BaseException as error:
            reader.raised = error
            return -EIO


cdef int python_write(void* arg, const char* p, size_t n) noexcept nogil:
    """A sink_write_fn on an object with write(bytes)."""
    with gil:
        writer = <Writer>arg
        try:
            writer.file.write(PyBytes_FromStringAndSize(p, n))
            return 0
        except BaseException as error:
            writer.raised = error
            return EIO


# ---- values as Python objects

cdef object take_list(Cell* cell):
    cdef ListIter it
    cdef Slice s
    cdef char scratch[24]
    cdef list out = []
    list_seek(&it, cell, 0, False)
    while it.at != NULL:
        s = list_value(&it, scratch)
        out.append(PyBytes_FromStringAndSize(s.p, s.n))
        list_step(&it)
    return out


cdef object take_set(Cell* cell):
    cdef SetIter it
    cdef Slice s
    cdef char scratch[24]
    cdef set out = set()
    set_iter(&it, cell)
    while set_next(&it, &s, scratch):
        out.add(PyBytes_FromStringAndSize(s.p, s.n))
    return out


cdef object take_hash(Cell* cell):
    cdef HashIter it
    cdef Slice field
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef dict out = {}
    hash_iter(&it, cell)
    while hash_next(&it, &field, &value, scratch):
        out[PyBytes_FromStringAndSize(field.p, field.n)] = PyBytes_FromStringAndSize(value.p, value.n)
    return out


cdef object take_zset(Cell* cell):
    cdef ZsetIter it
    cdef Slice member
    cdef double score
    cdef char scratch[ZSET_SCRATCH]
    cdef list out = []
    zset_iter(&it, cell, 0, False)
    while zset_next(&it, &member, &score, scratch):
        out.append((PyBytes_FromStringAndSize(member.p, member.n), score))
    return out


cdef object take_value(RdbValue* v):
    if v.type == TYPE_STRING:
        return PyBytes_FromStringAndSize(v.string.p, v.string.n)
    if v.type == TYPE_LIST:
        return take_list(&v.cell)
    if v.type == TYPE_SET:
        return take_set(&v.cell)
    if v.type == TYPE_HASH:
        return take_hash(&v.cell)
    if v.type == TYPE_STREAM:
        return record_stream_take(&v.cell)
    return take_zset(&v.cell)


# ---- reading

cdef class Reader:
    """Iterates over the events of an RDB file.

    source: a path, bytes, or an object with read(n).  skip_unsupported: what a store can't hold is passed over and told
    as "dropped".  values: False to have None in place of values.  An event is a tuple whose first item names it:

        ("aux", name, value)                                        what the file says of itself
        ("library", source text)                                    a function library
        ("database", number)
        ("sizes", keys, keys with an expiry)
        ("key", key, type, value, expire, idle, freq)               type: "string", ...; expire: ms of Unix time, or None
        ("empty", key, encoding), ("dropped", key or None, encoding)
        ("end", checksum kept)

    RdbFileError when the file is damaged, truncated or of a version that can't be read.
    """

    cdef Kv* kv
    cdef Source s
    cdef RdbReader r
    cdef object file
    cdef object owned
    cdef object data
    cdef public object raised
    cdef bint ended
    cdef bint values
    cdef readonly uint64_t size

    def __cinit__(self, source, bint skip_unsupported=False, bint values=True):
        cdef int code
        self.ended = True
        self.values = values
        self.kv = kv_new(1, 1)
        if self.kv == NULL:
            raise MemoryError("no memory for a reader")
        self.attach(source)
        self.ended = False
        code = rdb_reader_open(&self.r, self.kv, &self.s, skip_unsupported)
        self.r.databases = MANY_DATABASES
        if code != RDB_OK:
            self.fail()

    cdef int attach(self, source) except -1:
        cdef uint64_t total = <uint64_t>-1
        if isinstance(source, (bytes, bytearray, memoryview)):
            self.data = bytes(source)
            self.size = len(self.data)
            source_open_memory(&self.s, PyBytes_AS_STRING(self.data), PyBytes_GET_SIZE(self.data), True)
            return 0
        if hasattr(source, "read"):
            self.file = source
        else:
            self.file = self.owned = open(source, "rb", buffering=0)
            total = os.fstat(self.file.fileno()).st_size
            self.size = total
        if source_open(&self.s, python_read, <void*>self, total, True) != 0:
            raise MemoryError("no memory for a reader")
        return 0

    def __dealloc__(self):
        rdb_reader_close(&self.r)
        source_close(&self.s)
        if self.kv != NULL:
            kv_delete(self.kv)

    cdef int fail(self) except -1:
        self.close()
        if self.raised is not None:
            raise self.raised
        raise failure(&self.r.error)

    def close(self):
        """Closes a file that the reader opened."""
        self.ended = True
        if self.owned is not None:
            self.owned.close()
            self.owned = None

    @property
    def version(self):
        """The format's number, 80 for VALKEY080."""
        return self.r.version

    @property
    def offset(self):
        """Of the next byte."""
        return source_offset(&self.s)

    @property
    def record_offset(self):
        """Of the first byte of the last event."""
        return self.r.offset

    @property
    def encoding(self):
        """Of the last record: its type's number and name in the file."""
        name = rdb_type_name(self.r.rdb_type)
        return self.r.rdb_type, name.decode() if name != NULL else "unknown"

    @property
    def database(self):
        """The number of the database that the records are of."""
        return self.r.db

    def __iter__(self):
        return self

    def __next__(self):
        cdef int code
        if self.ended:
            raise StopIteration
        with nogil:
            code = rdb_reader_next(&self.r)
        if code != RDB_OK:
            self.fail()
        return self.event()

    cdef object event(self):
        cdef RdbReader* r = &self.r
        if r.what == RDB_IS_KEY:
            try:
                value = take_value(&r.value) if self.values else None
            finally:
                fill_drop(self.kv, &r.value)
            return ("key", r.key[:r.key_n], TYPE_NAMES[r.value.type], value, None if r.expire < 0 else r.expire,
                    None if r.idle < 0 else r.idle, None if r.freq < 0 else r.freq)
        if r.what == RDB_IS_AUX:
            return ("aux", r.name.p[:r.name.n], r.text.p[:r.text.n])
        if r.what == RDB_IS_DB:
            return ("database", r.db)
        if r.what == RDB_IS_SIZES:
            return ("sizes", r.keys, r.expires)
        if r.what == RDB_IS_LIBRARY:
            return ("library", r.text.p[:r.text.n])
        if r.what == RDB_IS_END:
            self.close()
            return ("end", bool(r.crc_kept))
        key = r.key[:r.key_n] if r.key != NULL else None
        name = rdb_type_name(r.rdb_type)
        encoding = name.decode() if name != NULL else f"opcode {r.rdb_type}"
        return ("empty" if r.what == RDB_IS_EMPTY else "dropped", key, encoding)


# ---- writing

cdef class Writer:
    """Writes an RDB file (version 10) key by key.

    file: an object with write(bytes).  compress: strings of more than 20 bytes as LZF; checksum: a CRC-64 at the end.
    """

    cdef Kv* kv
    cdef Sink s
    cdef Fill fill
    cdef object file
    cdef public object raised
    cdef int64_t db

    def __cinit__(self, file, bint compress=True, bint checksum=True):
        cdef RdbSave o
        self.db = -1
        self.file = file
        self.kv = kv_new(1, 1)
        if self.kv == NULL or sink_open(&self.s, python_write, <void*>self, checksum, compress) != 0:
            raise MemoryError("no memory for a writer")
        memset(&o, 0, sizeof(RdbSave))
        memset(&self.fill, 0, sizeof(Fill))
        self.fill.kv = self.kv
        self.fill.db = self.kv.dbs
        rdb_put_header(self.kv, &self.s, &o)

    def __dealloc__(self):
        sink_close(&self.s)
        if self.kv != NULL:
            kv_delete(self.kv)

    cdef int look(self) except -1:
        if self.raised is not None:
            raise self.raised
        if self.s.error:
            raise OSError(self.s.error, strerror(self.s.error).decode())
        return 0

    def put(self, database, bytes key, str type, value, expire=None):
        """One key.  database: its number; type and value as libkv.rdb.Record has them; expire: ms of Unix time, or None."""
        cdef RdbValue v
        cdef int64_t when = -1 if expire is None else expire
        if not 0 <= database < MANY_DATABASES:
            raise ValueError(f"database is {database!r}, and must be from 0 to 2147483646")
        if expire is not None and when < 0:
            raise ValueError(f"expire is {expire!r}, and must not be negative")
        make_value(self.kv, type, value, &v)
        if self.db != database:
            self.db = database
            sink_byte(&self.s, RDB_OP_SELECTDB)
            rdb_put_length(&self.s, database)
        if fill_add(&self.fill, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), &v, when, 0, 0) != FILL_OK:
            raise MemoryError("no memory for a value")
        if fill_flush(&self.fill) != FILL_OK:
            raise MemoryError("no memory for a value")
        self.put_filled(key)
        self.look()

    cdef int put_filled(self, bytes key) except -1:
        """Writes the one key of the store, and deletes it."""
        cdef Ctx c
        cdef Arg a
        cdef void** slot
        memset(&c, 0, sizeof(Ctx))
        memset(&a, 0, sizeof(Arg))
        c.kv = self.kv
        c.heap = self.kv.heap
        c.db = self.kv.dbs
        a.p = PyBytes_AS_STRING(key)
        a.n = PyBytes_GET_SIZE(key)
        slot = table_find(c.heap, &c.db.keys, a.p, a.n, self.fill.hash[0])
        rdb_put_entry(self.kv, &self.s, <Entry*>slot[0])
        keyspace_delete(&c, c.db, &a)
        return 0

    def finish(self):
        """The end of the file, and its checksum."""
        rdb_put_end(&self.s, True)
        sink_flush(&self.s)
        self.look()


cdef int text_of(value, Slice* s) except -1:
    if type(value) is not bytes:
        raise TypeError(f"{value!r} is {type(value).__name__}, and must be bytes")
    s.p = PyBytes_AS_STRING(value)
    s.n = PyBytes_GET_SIZE(value)
    return 0


cdef int enough(bint done) except -1:
    if not done:
        raise MemoryError("no memory for a value")
    return 0


cdef int make_value(Kv* kv, str kind, value, RdbValue* v) except -1:
    """A Python value as a store's; ValueError when there is no such kind, or it is empty."""
    v.type = {name: number for number, name in TYPE_NAMES.items()}.get(kind, -1)
    if v.type < 0:
        raise ValueError(f"type is {kind!r}, and must be one of {', '.join(TYPE_NAMES.values())}")
    if v.type == TYPE_STRING:
        return text_of(value, &v.string)
    if v.type != TYPE_STREAM:
        value = list(value.items()) if isinstance(value, dict) else list(value)
        if not value:
            raise ValueError(f"an empty {kind} is no value of a key")
    v.cell.ptr = NULL
    try:
        if v.type == TYPE_STREAM:
            record_stream_make(kv, value, &v.cell)
        elif v.type == TYPE_LIST:
            make_list(kv, value, v)
        elif v.type == TYPE_SET:
            make_set(kv, value, v)
        elif v.type == TYPE_HASH:
            make_hash(kv, value, v)
        else:
            make_zset(kv, value, v)
    except BaseException:
        if v.cell.ptr != NULL:
            fill_drop(kv, v)
        raise
    return 0


cdef int make_list(Kv* kv, list values, RdbValue* v) except -1:
    cdef Slice s = Slice(NULL, 0)
    enough(list_new(kv.heap, &v.cell) == 0)
    for value in values:
        text_of(value, &s)
        enough(list_push(kv.heap, &v.cell, s.p, s.n, False, <int>kv.settings.list_max_listpack_size) == 0)
    return 0


cdef int make_set(Kv* kv, list values, RdbValue* v) except -1:
    cdef Slice s = Slice(NULL, 0)
    text_of(values[0], &s)
    enough(set_new(kv.heap, &v.cell, s.p, s.n) == 0)
    for value in values:
        text_of(value, &s)
        enough(set_add(kv.heap, &v.cell, s.p, s.n, 0, kv.settings.set_max_intset_entries) >= 0)
    return 0


cdef int make_hash(Kv* kv, list pairs, RdbValue* v) except -1:
    cdef Slice field = Slice(NULL, 0)
    cdef Slice value = Slice(NULL, 0)
    enough(hash_new(kv.heap, &v.cell) == 0)
    for first, second in pairs:
        text_of(first, &field)
        text_of(second, &value)
        enough(hash_set(kv.heap, &v.cell, field.p, field.n, 0, value.p, value.n, kv.settings.hash_max_listpack_entries,
                        kv.settings.hash_max_listpack_value) >= 0)
    return 0


cdef int make_zset(Kv* kv, list pairs, RdbValue* v) except -1:
    cdef Slice member = Slice(NULL, 0)
    cdef double score
    enough(zset_new(kv.heap, &v.cell) == 0)
    for first, second in pairs:
        text_of(first, &member)
        score = second
        if score != score:
            raise ValueError("a score must not be NaN")
        enough(zset_add(kv.heap, &v.cell, &score, member.p, member.n, 0, 0, kv.settings.zset_max_listpack_entries,
                        kv.settings.zset_max_listpack_value) >= 0)
    return 0


# ---- whole stores

def save_store(StoreCore store, int fd, bint compress=True, bint checksum=True):
    """Writes all data of a store to a file descriptor, under its lock; the number of keys.  OSError."""
    cdef Sink s
    cdef RdbSave o
    cdef int error
    memset(&o, 0, sizeof(RdbSave))
    store.enter()
    try:
        if sink_open(&s, sink_fd_write, <void*><size_t>fd, checksum, compress) != 0:
            raise MemoryError("no memory for a snapshot")
        o.libraries = durable_of(store.kv).libraries
        with nogil:
            lock_take(store.kv)
            access_refresh(store.kv)
            error = rdb_save(store.kv, &s, &o)
            lock_give(store.kv)
        sink_close(&s)
    finally:
        store.leave()
    if error:
        raise OSError(error, strerror(error).decode())
    return o.keys


def load_store(StoreCore store, int fd, bint replace=False, bint skip_unsupported=False, bint keep_expired=False):
    """Adds the keys of an RDB file (a descriptor, from its position on) to a store, under its lock; figures as a dict.

    RdbFileError when the file is damaged; the keys before that place have been added."""
    cdef Source s
    cdef RdbLoad o
    cdef RdbError e
    cdef int code
    cdef uint64_t total = os.fstat(fd).st_size
    memset(&o, 0, sizeof(RdbLoad))
    o.replace = replace
    o.skip_unsupported = skip_unsupported
    o.keep_expired = keep_expired
    store.enter()
    try:
        if source_open(&s, source_fd_read, <void*><size_t>fd, total, True) != 0:
            raise MemoryError("no memory for a reader")
        o.library = durable_of(store.kv).library
        o.library_arg = <void*>&o if replace else durable_of(store.kv).library_arg  # any but NULL: libraries too
        with nogil:
            lock_take(store.kv)
            code = rdb_load(store.kv, &s, &o, &e)
            lock_give(store.kv)
        source_close(&s)
    finally:
        store.leave()
    if code != RDB_OK:
        raise failure(&e)
    return {"keys": o.keys, "expires": o.expires, "expired": o.expired, "empty": o.empty, "unsupported": o.unsupported}
