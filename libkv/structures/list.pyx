"""Lists (contract and layouts: list.pxd)."""

from libkv.structures.alloc cimport heap_size
from libkv.structures.cell cimport LIST_CHUNKS, LIST_PACKED
from libkv.structures.chunk cimport (
    List, chunk_from, chunk_put, chunk_tidy, chunk_to, chunk_used, chunks_bytes, chunks_check, chunks_copy, chunks_drop,
    chunks_free_some, chunks_of_entries, chunks_push, chunks_remove,
)
from libkv.structures.packed cimport (
    PACKED_EMPTY, PACKED_HEADER, packed_append, packed_bytes, packed_check, packed_copy, packed_delete,
    packed_entry_size, packed_equal, packed_first, packed_free, packed_from_entries, packed_get, packed_index,
    packed_insert_after, packed_insert_before, packed_keep, packed_last, packed_length, packed_needle, packed_new,
    packed_prepend, packed_remove_equal, packed_replace, packed_room,
)


# ---- the two layouts

cdef int list_new(Heap* h, Cell* cell) noexcept nogil:
    """An empty list; 0 or -1."""
    cell.layout = LIST_PACKED
    return packed_new(h, <char**>&cell.ptr)


cdef int list_to_chunks(Heap* h, Cell* cell, bint front) noexcept nogil:
    """Makes a LIST_PACKED a LIST_CHUNKS, with room in front or behind; 0, or -1 with nothing changed."""
    cdef char* b = <char*>cell.ptr
    cdef List* chain = chunks_of_entries(h, b + PACKED_HEADER, packed_bytes(b) - PACKED_EMPTY, packed_length(b), front)
    if chain == NULL:
        return -1
    packed_free(h, b)
    cell.ptr = chain
    cell.layout = LIST_CHUNKS
    return 0


cdef void list_to_packed(Heap* h, Cell* cell) noexcept nogil:
    """Makes a LIST_CHUNKS that became short a LIST_PACKED; without memory it stays."""
    cdef List* chain = <List*>cell.ptr
    cdef char* b = NULL
    if chain.chunks != 1 or chunk_used(chain.head) > LIST_PACKED_BACK:
        return
    if packed_from_entries(h, &b, chunk_from(chain.head), chunk_used(chain.head), chain.count) != 0:
        return
    chunks_free_some(h, chain, 1)
    cell.ptr = b
    cell.layout = LIST_PACKED


cdef bint list_outgrows(Cell* cell, size_t more) noexcept nogil:
    return packed_bytes(<char*>cell.ptr) + more > LIST_PACKED_MAX


cdef int list_copy(Heap* h, Cell* cell, Cell* copy) noexcept nogil:
    """An equal list in copy; 0 or -1."""
    copy.layout = cell.layout
    if cell.layout == LIST_PACKED:
        return packed_copy(h, <char*>cell.ptr, <char**>&copy.ptr)
    copy.ptr = chunks_copy(h, <List*>cell.ptr)
    return 0 if copy.ptr != NULL else -1


cdef uint64_t list_length(Cell* cell) noexcept nogil:
    return packed_length(<char*>cell.ptr) if cell.layout == LIST_PACKED else (<List*>cell.ptr).count


# ---- the ends

cdef int list_push(Heap* h, Cell* cell, const char* p, size_t n, bint front, int fill) noexcept nogil:
    if n > <size_t>0xFFFFFFF0:
        return -1
    if cell.layout == LIST_PACKED:
        if not list_outgrows(cell, packed_entry_size(p, n)):
            if front:
                return packed_prepend(h, <char**>&cell.ptr, p, n)
            return packed_append(h, <char**>&cell.ptr, p, n)
        if list_to_chunks(h, cell, front) != 0:
            return -1
    return chunks_push(h, <List*>cell.ptr, p, n, front, fill)


cdef Slice list_end(Cell* cell, bint front, char* scratch) noexcept nogil:
    cdef char* b = <char*>cell.ptr
    if cell.layout == LIST_PACKED:
        return packed_get(packed_first(b) if front else packed_last(b), scratch)
    if front:
        return packed_get(chunk_from((<List*>b).head), scratch)
    b = chunk_to((<List*>b).tail)
    return packed_get(b - packed_skip_back(b), scratch)


cdef int list_drop(Heap* h, Cell* cell, bint front, uint64_t count) noexcept nogil:
    cdef char* b = <char*>cell.ptr
    cdef char* at
    cdef uint64_t length
    if cell.layout == LIST_CHUNKS:
        chunks_drop(h, <List*>cell.ptr, front, count)
        list_to_packed(h, cell)
        return 0
    length = packed_length(b)
    if count > length:
        count = length
    if count == 0:
        return 0
    at = packed_first(b) if front else packed_index(b, -<int64_t>count)
    return packed_delete(h, <char**>&cell.ptr, &at, count)


cdef int list_trim(Heap* h, Cell* cell, uint64_t first, uint64_t count) noexcept nogil:
    cdef char* b = <char*>cell.ptr
    cdef List* chain
    if cell.layout == LIST_PACKED:
        return packed_keep(h, <char**>&cell.ptr, packed_index(b, first), packed_index(b, first + count))
    chain = <List*>cell.ptr
    chunks_drop(h, chain, True, first)
    chunks_drop(h, chain, False, chain.count - count)
    chunk_tidy(h, chain, chain.head)
    chunk_tidy(h, chain, chain.tail)
    list_to_packed(h, cell)
    return 0


cdef int64_t list_remove(Heap* h, Cell* cell, const char* p, size_t n, int64_t limit, bint backwards) noexcept nogil:
    cdef Needle x
    cdef int64_t removed
    if cell.layout == LIST_PACKED:
        return packed_remove_equal(h, <char**>&cell.ptr, p, n, limit, backwards)
    packed_needle(&x, p, n)
    removed = chunks_remove(h, <List*>cell.ptr, &x, limit, backwards)
    if removed:
        list_to_packed(h, cell)
    return removed


# ---- positions

cdef void list_iter_in(ListIter* it, Chunk* c) noexcept nogil:
    """Onto the first element of c in the iterator's direction; NULL: past the end."""
    it.chunk = c
    if c == NULL:
        it.at = NULL
    elif it.backwards:
        it.stop = chunk_from(c)
        it.at = chunk_to(c) - packed_skip_back(chunk_to(c))
    else:
        it.stop = chunk_to(c)
        it.at = chunk_from(c)


cdef void list_seek(ListIter* it, Cell* cell, int64_t index, bint backwards) noexcept nogil:
    """Onto an element, or past the end when there is no such index."""
    cdef char* b = <char*>cell.ptr
    cdef List* chain
    cdef Chunk* c
    cdef uint64_t i
    it.cell = cell
    it.backwards = backwards
    it.chunk = NULL
    it.at = NULL
    it.stop = NULL
    if cell.layout == LIST_PACKED:
        it.at = packed_index(b, index)
        it.stop = b + PACKED_HEADER if backwards else b + packed_bytes(b) - 1
        return
    chain = <List*>b
    if index < 0:
        index += <int64_t>chain.count
    if index < 0 or <uint64_t>index >= chain.count:
        return
    i = <uint64_t>index
    if i <= chain.count // 2:
        c = chain.head
        while i >= c.count:
            i -= c.count
            c = c.next
    else:
        c = chain.tail
        i = chain.count - i                     # the i-th from the end, 1 = the last
        while i > c.count:
            i -= c.count
            c = c.prev
        i = c.count - i
    it.chunk = c
    it.stop = chunk_from(c) if backwards else chunk_to(c)
    if i <= c.count // 2:
        it.at = chunk_from(c)
        while i:
            it.at += packed_skip(it.at)
            i -= 1
    else:
        it.at = chunk_to(c)
        i = c.count - i
        while i:
            it.at -= packed_skip_back(it.at)
            i -= 1


cdef void list_step_chunk(ListIter* it) noexcept nogil:
    if it.chunk == NULL:
        it.at = NULL
    else:
        list_iter_in(it, it.chunk.prev if it.backwards else it.chunk.next)


cdef bint list_find(ListIter* it, const Needle* x, uint64_t* passed, uint64_t limit) noexcept nogil:
    while it.at != NULL and limit:
        if packed_equal(it.at, x):
            return True
        passed[0] += 1
        limit -= 1
        list_step(it)
    return False


# ---- changes in the middle

cdef int list_iter_to_chunks(Heap* h, ListIter* it) noexcept nogil:
    """Converts the iterator's LIST_PACKED; it stands on the same element then."""
    cdef size_t offset = it.at - <char*>it.cell.ptr - PACKED_HEADER
    if list_to_chunks(h, it.cell, False) != 0:
        return -1
    it.chunk = (<List*>it.cell.ptr).head
    it.at = chunk_from(it.chunk) + offset
    return 0


cdef int list_insert(Heap* h, ListIter* it, const char* p, size_t n, bint after, int fill) noexcept nogil:
    if n > <size_t>0xFFFFFFF0:
        return -1
    if it.cell.layout == LIST_PACKED:
        if not list_outgrows(it.cell, packed_entry_size(p, n)):
            if after:
                return packed_insert_after(h, <char**>&it.cell.ptr, &it.at, p, n)
            return packed_insert_before(h, <char**>&it.cell.ptr, &it.at, p, n)
        if list_iter_to_chunks(h, it) != 0:
            return -1
    return chunk_put(h, <List*>it.cell.ptr, it.chunk, it.at + packed_skip(it.at) if after else it.at, 0, p, n, fill)


cdef int list_set(Heap* h, ListIter* it, const char* p, size_t n, int fill) noexcept nogil:
    if n > <size_t>0xFFFFFFF0:
        return -1
    if it.cell.layout == LIST_PACKED:
        if not list_outgrows(it.cell, packed_entry_size(p, n)):
            return packed_replace(h, <char**>&it.cell.ptr, &it.at, p, n)
        if list_iter_to_chunks(h, it) != 0:
            return -1
    return chunk_put(h, <List*>it.cell.ptr, it.chunk, it.at, packed_skip(it.at), p, n, fill)


# ---- memory and invariants

cdef uint64_t list_bytes(Cell* cell) noexcept nogil:
    if cell.layout == LIST_PACKED:
        return heap_size(packed_room(packed_bytes(<char*>cell.ptr)))
    return chunks_bytes(<List*>cell.ptr)


cdef bint list_free_some(Heap* h, Cell* cell, uint64_t budget) noexcept nogil:
    if cell.layout == LIST_PACKED:
        packed_free(h, <char*>cell.ptr)
    elif not chunks_free_some(h, <List*>cell.ptr, budget):
        return False
    cell.ptr = NULL
    return True


cdef void list_free(Heap* h, Cell* cell) noexcept nogil:
    list_free_some(h, cell, <uint64_t>-1)


cdef int list_check(Cell* cell) noexcept nogil:
    """packed_check's and chunks_check's numbers; 10 a LIST_PACKED is too large, 18 no layout."""
    if cell.layout == LIST_CHUNKS:
        return chunks_check(<List*>cell.ptr)
    if cell.layout != LIST_PACKED:
        return 18
    return 10 if packed_bytes(<char*>cell.ptr) > LIST_PACKED_MAX else packed_check(<char*>cell.ptr)
