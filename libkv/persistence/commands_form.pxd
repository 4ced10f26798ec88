# A store as commands that make it: a journal's base with aof-use-rdb-preamble no.

from libkv.engine.types cimport Kv
from libkv.persistence.rdb cimport RdbSave
from libkv.persistence.rio cimport Sink

cdef int commands_save(Kv* kv, Sink* s, RdbSave* o) noexcept nogil     # as rdb_save: 0, or the errno; all is flushed
