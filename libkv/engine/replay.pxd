# Applying an effect stream: what a journal holds, what a replica gets.

from libkv.engine.types cimport Kv

cdef size_t replay_effects(Kv* kv, const char* p, size_t n) noexcept nogil
    # takes the lock itself; bytes applied: less than n when the rest is unfinished or an effect is refused
