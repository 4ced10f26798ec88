# CONFIG REWRITE: brings a store's redis.conf up to date, keeping the user's comments and order.

from libkv.engine.types cimport Kv

# NULL, or why the file could not be written (in the configuration's error text)
# all: what has its default gets a line, too
cdef const char* config_rewrite(Kv* kv, bint all) noexcept nogil
