# INFO's section persistence, without its title.

from libkv.engine.types cimport Kv
from libkv.structures.buffer cimport Buffer

cdef void durable_info(Kv* kv, Buffer* out) noexcept nogil
cdef void durable_reset_counters(Kv* kv) noexcept nogil     # CONFIG RESETSTAT; store's lock held
