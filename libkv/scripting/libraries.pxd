# A store's libraries of functions.

from libkv.engine.types cimport Kv, Reply
from libkv.persistence.rdb_format cimport RdbError
from libkv.scripting.register cimport Function, Library
from libkv.scripting.vm cimport Scripting
from libkv.structures.buffer cimport Buffer

ctypedef int (*library_visit)(void* arg, const char* code, size_t n) noexcept nogil

cdef Function* function_find(Scripting* s, const char* name, size_t n) noexcept nogil       # any case; NULL
cdef Library* library_find(Scripting* s, const char* name, size_t n) noexcept nogil         # NULL
cdef Library* library_compile(Scripting* s, const char* code, size_t n, bint replace, Buffer* why) noexcept nogil
    # not among the store's yet; NULL: `why` says it, without ERR.  replace: one of that name may be there
cdef bint libraries_join(Scripting* s, Library* list, bint replace, bint flush, Buffer* why) noexcept nogil
    # makes a list's libraries the store's, instead of those of the same names (replace) or of all others (flush); False:
    # they clash, nothing is changed, and the list is the caller's still
cdef void libraries_free(Scripting* s, Library* list) noexcept nogil    # that have not joined
cdef void library_remove(Scripting* s, Library* library) noexcept nogil
cdef void libraries_flush(Scripting* s) noexcept nogil

# for files (persistence.rdb)
cdef int libraries_each(Kv* kv, library_visit visit, void* arg) noexcept nogil      # once a library; visit's -1 ends it
cdef int libraries_load(void* arg, Kv* kv, const char* code, size_t n, RdbError* error) noexcept nogil  # RDB_OK or another code
