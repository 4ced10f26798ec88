# The subcommands of DEBUG that look at keys, values and tables; argv[2..] are their arguments.

from libkv.engine.types cimport Arg, Ctx, Reply

# a key's value
cdef int debug_object(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
cdef int debug_sdslen(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
cdef int debug_listpack(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
cdef int debug_quicklist(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil

# SHA-1 over everything, over single values
cdef int debug_digest(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
cdef int debug_digest_value(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil

# the key table of a database, the table inside a value, C structures
cdef int debug_htstats(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
cdef int debug_htstats_key(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
cdef int debug_structsize(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil
