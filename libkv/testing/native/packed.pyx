"""The flat buffer from Python, for its tests: one buffer on a heap of its own."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from libkv.structures.alloc cimport Heap, heap_check, heap_delete, heap_fail_after, heap_new
from libkv.structures.cell cimport Slice
from libkv.structures.packed cimport (
    PACKED_SCRATCH, packed_append, packed_append_int, packed_bytes, packed_check, packed_copy, packed_delete,
    packed_entry_size, packed_find, packed_first, packed_free, packed_get, packed_index, packed_insert,
    packed_insert_after, packed_insert_before, packed_keep, packed_last, packed_length, packed_new, packed_next,
    packed_prepend, packed_prev, packed_read, packed_remove_equal, packed_replace, packed_validate,
)


def validate(bytes data, bint deep=True) -> bool:
    """packed_validate of untrusted bytes, given to it in a piece of exactly their size."""
    cdef size_t n = len(data)
    cdef char* p = <char*>malloc(n if n else 1)
    cdef size_t i
    for i in range(n):
        p[i] = (<char*>data)[i]
    try:
        return packed_validate(p, n, deep)
    finally:
        free(p)


def entry_size(bytes value) -> int:
    """Bytes that a value takes in a buffer."""
    return packed_entry_size(value, len(value))


cdef class Packed:
    """One flat buffer.  Methods raise MemoryError where the C function returns -1."""

    cdef Heap* h
    cdef char* b

    def __cinit__(self, bytes data=None):
        self.h = heap_new(1, 2)
        if self.h == NULL:
            raise MemoryError
        if data is None:
            self.done(packed_new(self.h, &self.b))
        elif packed_validate(data, len(data), True):
            self.done(packed_copy(self.h, data, &self.b))
        else:
            raise ValueError("not a packed buffer")

    def __dealloc__(self):
        if self.h != NULL:
            packed_free(self.h, self.b)
        heap_delete(self.h)

    cdef done(self, int result):
        if result != 0:
            raise MemoryError

    cdef object value(self, char* at):
        cdef char scratch[PACKED_SCRATCH]
        cdef Slice s
        if at == NULL:
            return None
        s = packed_get(at, scratch)
        return s.p[:s.n]

    cdef char* at(self, int64_t i) except NULL:
        cdef char* at = packed_index(self.b, i)
        if at == NULL:
            raise IndexError(i)
        return at

    def append(self, bytes value):
        self.done(packed_append(self.h, &self.b, value, len(value)))

    def append_int(self, int64_t value):
        self.done(packed_append_int(self.h, &self.b, value))

    def prepend(self, bytes value):
        self.done(packed_prepend(self.h, &self.b, value, len(value)))

    def insert(self, i, list values):
        """Before index i, or at the end (None); returns the first inserted value as it is read back."""
        cdef Slice* s = <Slice*>malloc(sizeof(Slice) * (len(values) + 1))
        cdef uint32_t k
        cdef char* at = NULL
        try:
            for k in range(len(values)):
                s[k].p = values[k]
                s[k].n = len(values[k])
            if i is not None:
                at = self.at(i)
            self.done(packed_insert(self.h, &self.b, &at, s, len(values)))
        finally:
            free(s)
        return self.value(at)

    def insert_before(self, int64_t i, bytes value):
        cdef char* at = self.at(i)
        self.done(packed_insert_before(self.h, &self.b, &at, value, len(value)))
        return self.value(at)

    def insert_after(self, int64_t i, bytes value):
        cdef char* at = self.at(i)
        self.done(packed_insert_after(self.h, &self.b, &at, value, len(value)))
        return self.value(at)

    def replace(self, int64_t i, bytes value):
        cdef char* at = self.at(i)
        self.done(packed_replace(self.h, &self.b, &at, value, len(value)))
        return self.value(at)

    def delete(self, int64_t i, uint64_t count=1):
        """Returns the value that follows, or None."""
        cdef char* at = self.at(i)
        self.done(packed_delete(self.h, &self.b, &at, count))
        return self.value(at)

    def keep(self, int64_t first, int64_t end):
        self.done(packed_keep(self.h, &self.b, self.at(first), packed_index(self.b, end)))

    def remove_equal(self, bytes value, int64_t limit, bint backwards=False):
        cdef int64_t n = packed_remove_equal(self.h, &self.b, value, len(value), limit, backwards)
        if n < 0:
            raise MemoryError
        return n

    def index(self, int64_t i):
        return self.value(packed_index(self.b, i))

    def find(self, bytes value, int64_t start=0, uint32_t skip=0):
        """The index of the entry found, or -1."""
        cdef char* found = packed_find(self.b, packed_index(self.b, start), value, len(value), skip)
        cdef char* at = packed_first(self.b)
        cdef int i = 0
        while at != NULL:
            if at == found:
                return i
            at = packed_next(self.b, at)
            i += 1
        return -1

    def values(self, bint backwards=False):
        cdef char* at = packed_last(self.b) if backwards else packed_first(self.b)
        values = []
        while at != NULL:
            values.append(self.value(at))
            at = packed_prev(self.b, at) if backwards else packed_next(self.b, at)
        return values

    def ints(self):
        """The entries that are kept as integers, as int, the others as bytes."""
        cdef char* at = packed_first(self.b)
        cdef Slice s
        cdef int64_t v
        values = []
        while at != NULL:
            values.append(v if packed_read(at, &s, &v) else s.p[:s.n])
            at = packed_next(self.b, at)
        return values

    def raw(self) -> bytes:
        return self.b[:packed_bytes(self.b)]

    def check(self) -> int:
        return packed_check(self.b) or heap_check(self.h) * 100

    def used(self) -> int:
        return self.h.used

    def fail_after(self, int64_t n):
        heap_fail_after(self.h, n)

    def __len__(self):
        return packed_length(self.b)
