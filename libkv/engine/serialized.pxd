# How many bytes a value takes in an RDB file of version 10 (its published format), compression aside: DEBUG OBJECT's
# serializedlength, and an estimate of what a snapshot will write.

from libc.stdint cimport uint64_t

from libkv.engine.entry cimport Entry

cdef uint64_t serialized_size(Entry* e) noexcept nogil      # without key, type and expiry
