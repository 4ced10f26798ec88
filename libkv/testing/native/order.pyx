"""The ordered index as a Python class, for the tests: it owns a heap and the items."""

from libc.stdint cimport int64_t, uint64_t

from libkv.structures.alloc cimport Heap, heap_alloc, heap_check, heap_delete, heap_fail_after, heap_free, heap_new
from libkv.structures.order cimport (
    ORDER_BY_MEMBER, ORDER_BY_POINTER, Order, OrderIter, order_at, order_bytes, order_check, order_find, order_first,
    order_free_some, order_init, order_insert, order_last, order_lower, order_lower_lex, order_lower_member, order_move,
    order_next, order_prev, order_rank, order_remove, order_remove_range, order_replace, order_upper, order_upper_lex,
    order_upper_member,
)
from libkv.structures.prefixed cimport prefixed_read, prefixed_size, prefixed_write
from libkv.testing.native.heap cimport heap_left


cdef class OrderedIndex:
    """Pairs (score, member bytes).  With pointer=True an item is a number instead of bytes, never dereferenced."""

    cdef Heap* heap
    cdef Order order
    cdef dict items             # member -> address, for members

    def __cinit__(self, pointer=False):
        self.heap = heap_new(1, 2)
        if self.heap == NULL:
            raise MemoryError
        order_init(&self.order, ORDER_BY_POINTER if pointer else ORDER_BY_MEMBER)
        self.items = {}

    def __dealloc__(self):
        heap_delete(self.heap)

    cdef void* item_new(self, bytes member) except NULL:
        cdef size_t n = 8 + prefixed_size(len(member))
        cdef char* item = <char*>heap_alloc(self.heap, n)
        if item == NULL:
            raise MemoryError
        prefixed_write(item + 8, member, len(member))
        return item

    cdef object key(self, void* item):
        cdef size_t n
        cdef const char* p
        if self.order.tie == ORDER_BY_POINTER:
            return <uint64_t>item
        p = prefixed_read(<const char*>item + 8, &n)
        return p[:n]

    cdef void* address(self, key) except? NULL:
        if self.order.tie == ORDER_BY_POINTER:
            return <void*><uint64_t>key
        return <void*><uint64_t>self.items[key]

    cdef object pair(self, OrderIter* it):
        return (it.leaf.score[it.i], self.key(it.leaf.item[it.i]))

    cdef object rest(self, OrderIter* it, bint backwards):
        found = []
        while it.leaf != NULL:
            found.append(self.pair(it))
            if backwards:
                order_prev(it)
            else:
                order_next(it)
        return found

    def insert(self, double score, key):
        cdef void* item
        if self.order.tie == ORDER_BY_POINTER:
            item = <void*><uint64_t>key
        else:
            item = self.item_new(key)
        if order_insert(self.heap, &self.order, score, item) != 0:
            if self.order.tie == ORDER_BY_MEMBER:
                heap_free(self.heap, item, 8 + prefixed_size(len(key)))
            raise MemoryError
        if self.order.tie == ORDER_BY_MEMBER:
            self.items[key] = <uint64_t>item

    def remove(self, double score, key):
        cdef void* item = self.address(key)
        if not order_remove(self.heap, &self.order, score, item):
            return False
        if self.order.tie == ORDER_BY_MEMBER:
            heap_free(self.heap, <void*><uint64_t>self.items.pop(key), 8 + prefixed_size(len(key)))
        return True

    def replace(self, double score, old, new=None):
        """Moves the item to a new address (by member: a fresh copy; by pointer: the one given)."""
        cdef void* item = self.address(old)
        cdef void* moved = self.address(new) if new is not None else self.item_new(old)
        if order_replace(self.heap, &self.order, score, item, moved) != 0:
            if new is None:
                heap_free(self.heap, moved, 8 + prefixed_size(len(old)))
            raise MemoryError
        if new is None:
            heap_free(self.heap, item, 8 + prefixed_size(len(old)))
            self.items[old] = <uint64_t>moved

    def move(self, double score, key, double to):
        if order_move(self.heap, &self.order, score, self.address(key), to) != 0:
            raise MemoryError

    def remove_range(self, uint64_t rank, uint64_t count):
        if self.order.tie == ORDER_BY_MEMBER:
            for _, key in self.pairs()[rank:rank + count]:
                heap_free(self.heap, <void*><uint64_t>self.items.pop(key), 8 + prefixed_size(len(key)))
        order_remove_range(self.heap, &self.order, rank, count)

    def rank(self, double score, key):
        cdef uint64_t rank
        cdef OrderIter it
        cdef bint found = order_rank(&self.order, score, self.address(key), &rank)
        if found != order_find(&self.order, score, self.address(key), &it):
            raise AssertionError("order_rank and order_find disagree")
        if found and self.pair(&it) != (score, key):
            raise AssertionError("order_find found another pair")
        return rank if found else None

    def at(self, uint64_t rank):
        cdef OrderIter it
        return self.pair(&it) if order_at(&self.order, rank, &it) else None

    def pairs(self, backwards=False):
        cdef OrderIter it
        if backwards:
            order_last(&self.order, &it)
        else:
            order_first(&self.order, &it)
        return self.rest(&it, backwards)

    def bound(self, str kind, score, bytes member=b""):
        """(rank, first pair behind the bound or None) of order_<kind>."""
        cdef OrderIter it
        cdef uint64_t rank
        if kind == "lower":
            rank = order_lower(&self.order, score, &it)
        elif kind == "upper":
            rank = order_upper(&self.order, score, &it)
        elif kind == "lower_member":
            rank = order_lower_member(&self.order, score, member, len(member), &it)
        elif kind == "upper_member":
            rank = order_upper_member(&self.order, score, member, len(member), &it)
        elif kind == "lower_lex":
            rank = order_lower_lex(&self.order, member, len(member), &it)
        elif kind == "upper_lex":
            rank = order_upper_lex(&self.order, member, len(member), &it)
        else:
            raise ValueError(kind)
        return rank, None if it.leaf == NULL else self.pair(&it)

    def free_some(self, uint64_t budget):
        return order_free_some(self.heap, &self.order, budget)

    def fail_after(self, int64_t n):
        heap_fail_after(self.heap, n)

    def bytes(self):
        return order_bytes(&self.order)

    def used(self):
        return self.heap.used

    def left(self):
        return heap_left(self.heap)

    def check(self):
        return order_check(&self.order) or heap_check(self.heap) * 100

    def __len__(self):
        return self.order.used
