# What follows from a change of a key: the one place where those who care for keys are told.

from libkv.engine.types cimport Arg, Ctx, Db

cdef void changes_tell(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil
    # by changed() while kv.hooks is not 0; event_class 0: no notification
