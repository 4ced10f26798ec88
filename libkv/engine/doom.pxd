# Freeing without long pauses: what is large is taken out of the keyspace at once and freed in slices afterwards.

from libc.stdint cimport uint8_t, uint64_t

from libkv.engine.entry cimport Entry
from libkv.engine.types cimport Kv
from libkv.structures.cell cimport Cell
from libkv.structures.order cimport Order
from libkv.structures.table cimport Table

cdef void doom_entry_value(Kv* kv, Entry* e) noexcept nogil         # frees an entry that is in no table any more, and its value
cdef void doom_collection(Kv* kv, int type, Cell* cell) noexcept nogil
cdef void doom_entries(Kv* kv, Table* keys, bint now) noexcept nogil    # a table of entries, with all values
cdef void doom_order(Kv* kv, Order* order, bint now) noexcept nogil
cdef bint doom_step(Kv* kv, uint64_t budget) noexcept nogil         # frees about `budget` pieces; True: more to do
cdef void doom_forget(Kv* kv) noexcept nogil                        # the heap goes as a whole: only the list itself is freed
