# What follows from a change of a key: the one place where those who care for keys are told.

from libkv.engine.types cimport Arg, Ctx, Db

cdef void changes_tell(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil
    # by changed() while kv.hooks is not 0; event_class 0: no notification
# no changes, but notifications of their own (classes n and m); while kv.hooks has HOOK_NOTIFY
cdef void changes_tell_new(Ctx* c, Db* db, Arg* key) noexcept nogil     # a key that was not there is being made
cdef void changes_tell_miss(Ctx* c, Db* db, Arg* key) noexcept nogil    # a key that is read is not there
