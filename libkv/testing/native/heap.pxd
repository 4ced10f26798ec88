# For the tests of structures: what is left in a heap.

from libc.stdint cimport uint64_t

from libkv.structures.alloc cimport SLAB, Heap, Region, Slab


cdef inline uint64_t heap_left(Heap* h) noexcept nogil:
    """Bytes of pieces in use: what `used` counts but for the heap itself and the headers of slabs out of the pool.  0 after
    everything was given back."""
    cdef uint64_t slabs = 0
    cdef Region* r = h.regions
    while r != NULL:
        slabs += r.carved // SLAB
        r = r.next
    return h.used - sizeof(Heap) - (slabs - h.pooled) * sizeof(Slab)
