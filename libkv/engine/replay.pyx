"""Applying an effect stream (contract: replay.pxd).

Commands run with Ctx.replay set: nothing expires by itself (the stream says DEL), nothing is counted, nothing is told
again.  MULTI and EXEC in the stream only group; a unit is applied command by command under one hold of the lock.
"""

from libc.string cimport memset

from libkv.engine.access cimport access_refresh
from libkv.engine.args cimport arg_is
from libkv.engine.call cimport call_execute
from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.parser cimport PARSE_COMMAND, PARSE_NOTHING, Parser, parser_free, parser_init, parser_next
from libkv.engine.registry cimport CMD_CONTAINER, Command, command_sub
from libkv.engine.renames cimport command_named
from libkv.engine.session cimport session_free, session_new
from libkv.engine.types cimport S_EMBEDDED, Arg, Ctx, Reply, Session
from libkv.structures.buffer cimport Buffer, buffer_free, buffer_init


cdef bint apply(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Command* cmd = command_named(c.session, argv[0].p, argv[0].n)
    if arg_is(&argv[0], b"multi", 5) or arg_is(&argv[0], b"exec", 4):
        return True
    if cmd != NULL and cmd.flags & CMD_CONTAINER and argc > 1:
        cmd = command_sub(cmd, argv[1].p, argv[1].n)
    if cmd == NULL or cmd.fn == NULL or (cmd.arity > 0 and argc != cmd.arity) or argc < -cmd.arity:
        return False
    call_execute(c, cmd, argv, argc, r)
    return r.errors == 0


cdef size_t replay_effects(Kv* kv, const char* p, size_t n) noexcept nogil:
    cdef Session* s = session_new(kv, b"", b"", -1, S_EMBEDDED)
    cdef Parser ps
    cdef Buffer out
    cdef Reply r
    cdef Ctx c
    cdef Arg* argv
    cdef int argc
    cdef int state
    cdef size_t at = 0
    if s == NULL:
        return 0
    parser_init(&ps)
    buffer_init(&out)
    memset(&r, 0, sizeof(Reply))
    r.out = &out
    r.proto = 2
    lock_take(kv)
    access_refresh(kv)
    memset(&c, 0, sizeof(Ctx))
    c.kv = kv
    c.heap = kv.heap
    c.session = s
    c.db = &kv.dbs[0]
    c.now = kv.now
    c.replay = True
    while at < n:
        state = parser_next(&ps, p + at, n - at, NULL, 0, &argv, &argc)
        if state == PARSE_COMMAND:
            if not apply(&c, argv, argc, &r):
                break
        elif state != PARSE_NOTHING:
            break
        at += ps.pos
        out.n = 0
    lock_give(kv)
    parser_free(&ps)
    buffer_free(&out)
    session_free(s)
    return at
