"""INFO (its figures: engine/info).  Follows Redis 7.0.15: section names in any case; default, all, everything."""

from libc.string cimport strlen

from libkv.engine.args cimport arg_is
from libkv.engine.info cimport INFO_ALL, INFO_DEFAULT, info_write
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_oom, reply_verbatim
from libkv.engine.types cimport Arg, CALL_DONE, Ctx, Reply
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init


cdef int sections_of(Arg* a) noexcept nogil:
    """The bits of a section's name; an unknown one has none."""
    cdef const char** names = [
        b"server", b"clients", b"memory", b"persistence", b"stats", b"replication", b"cpu", b"modules", b"commandstats",
        b"errorstats", b"latencystats", b"cluster", b"keyspace", NULL,
    ]
    cdef int i = 0
    if arg_is(a, b"all", 3) or arg_is(a, b"everything", 10):
        return INFO_ALL
    if arg_is(a, b"default", 7):
        return INFO_DEFAULT
    while names[i] != NULL:
        if arg_is(a, names[i], strlen(names[i])):
            return 1 << i
        i += 1
    return 0


cdef int cmd_info(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Buffer text
    cdef int sections = INFO_DEFAULT if argc == 1 else 0
    cdef int i
    for i in range(1, argc):
        sections |= sections_of(&argv[i])
    buffer_init(&text)
    info_write(c.kv, sections, &text)
    if text.failed:
        reply_oom(r)
    else:
        reply_verbatim(r, b"txt", text.p, text.n)
    buffer_free(&text)
    return CALL_DONE


registry_bind("info", cmd_info)
