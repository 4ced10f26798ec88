# Reading the value of a directive: what Redis accepts, how it reads back, and Redis's words when it is wrong.

from libkv.engine.config cimport Config, Directive
from libkv.engine.types cimport Arg
from libkv.structures.buffer cimport Buffer

# appends the value as CONFIG GET shows it; NULL, or the reason (static, or in f.error)
cdef const char* value_read(Config* f, Directive* d, int source, Arg* words, int n, Buffer* out) noexcept nogil
cdef int value_events(const char* p, size_t n) noexcept nogil           # notify-keyspace-events' bits; -1: an unknown letter
cdef int value_events_print(int bits, char* out) noexcept nogil         # its letters, at most 16, no NUL
