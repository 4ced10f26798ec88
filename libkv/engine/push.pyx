"""What a session gets out of turn (contract: push.pxd)."""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from libkv.engine.lock cimport lock_give, lock_take
from libkv.engine.monitor cimport monitor_feed, monitor_feed_script, monitor_remove
from libkv.engine.pubsub cimport CHANNEL_KEY_AT
from libkv.engine.registry cimport CMD_READONLY, CMD_SKIP_MONITOR
from libkv.engine.tracking cimport tracking_command_end, tracking_read, tracking_request_end
from libkv.engine.types cimport (
    S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, S_LISTENS, S_MONITOR, S_MULTI, S_PUBSUB, S_REPLICA, S_REPLY_OFF, S_REPLY_SKIP,
    S_SCRIPT, S_TRACKING,
)
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init, buffer_trim
from libkv.structures.table cimport table_init

cdef enum:
    LATER_KEEP = 65536          # bytes of `later` that are kept


cdef int push_new(Kv* kv) noexcept nogil:
    cdef Push* p = <Push*>calloc(1, sizeof(Push))
    cdef int i
    if p == NULL:
        return -1
    buffer_init(&p.later)
    buffer_init(&p.message)
    for i in range(3):
        table_init(&p.channels[i], CHANNEL_KEY_AT)
    kv.pubsub = p
    return 0


cdef void push_delete(Kv* kv) noexcept nogil:
    """The channels lie in the heap, which goes as a whole."""
    cdef Push* p = <Push*>kv.pubsub
    if p == NULL:
        return
    buffer_free(&p.later)
    buffer_free(&p.message)
    free(p.monitors)
    free(p)
    kv.pubsub = NULL


cdef void push_forget(Session* s) noexcept nogil:
    cdef Push* p = <Push*>s.kv.pubsub
    if s.flags & S_MONITOR:
        monitor_remove(s)
    if p.at_work == s:
        p.at_work = NULL
        p.later.n = 0
    if p.current == s:
        p.current = NULL


# ---- output

cdef int push_class(Session* s) noexcept nogil:
    if s.flags & S_REPLICA:
        return OUTPUT_REPLICA
    return OUTPUT_PUBSUB if s.flags & S_PUBSUB else OUTPUT_NORMAL


cdef void push_listen(Session* s) noexcept nogil:
    if not s.flags & S_LISTENS:
        lock_take(s.kv)
        s.flags |= S_LISTENS
        lock_give(s.kv)


cdef Buffer* push_begin(Session* s) noexcept nogil:
    cdef Push* p = <Push*>s.kv.pubsub
    if s.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER) or s.flags & (S_EMBEDDED | S_LISTENS) == S_EMBEDDED:
        return NULL
    if p.at_work == s:
        if s.out.n != p.mark or s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
            return &p.later
        p.before = True
    return &s.out


cdef void push_end(Session* s) noexcept nogil:
    """A session of this process has no limit but the one for subscribers: its reader may never come."""
    cdef Push* p = <Push*>s.kv.pubsub
    cdef int kind = push_class(s)
    cdef int64_t hard = s.kv.settings.client_output_hard[kind]
    cdef size_t pending = s.out.n
    if s.transport != NULL:
        pending += (<size_t*>s.transport)[0]        # Transport.in_flight
    if s.out.failed or (hard > 0 and pending >= <size_t>hard and (kind == OUTPUT_PUBSUB or not s.flags & S_EMBEDDED)):
        s.flags |= S_CLOSE_ASAP                     # its transport logs why
    if p.before and p.at_work == s:
        p.mark = s.out.n                            # the reply begins behind it
        p.before = False
    if s.kick != NULL:
        s.kick(s)


cdef void push_bytes(Session* s, const char* p, size_t n) noexcept nogil:
    cdef Buffer* out = push_begin(s)
    if out != NULL:
        buffer_add(out, p, n)
        push_end(s)


cdef Buffer* push_own(Ctx* c, Reply* r) noexcept nogil:
    if r.out == &c.session.out and c.session.flags & (S_REPLY_OFF | S_REPLY_SKIP):
        return &(<Push*>c.kv.pubsub).later
    return r.out


# ---- around a command

cdef void push_enter(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r, size_t mark, PushFrame* frame) noexcept nogil:
    cdef Push* p = <Push*>c.kv.pubsub
    frame.on = True
    frame.at_work = p.at_work
    frame.mark = p.mark
    frame.current = p.current
    p.at_work = c.session if r.out == &c.session.out else NULL
    p.mark = mark
    if not c.session.flags & S_SCRIPT:
        p.current = c.session
    if c.kv.n_monitors and cmd.flags & CMD_SKIP_MONITOR and not c.replay and not frame.again:
        monitor_feed_script(c, cmd, argv, argc)


cdef void flush_later(Push* p, Session* s) noexcept nogil:
    if p.later.n:
        buffer_add(&s.out, p.later.p, p.later.n)
    if p.later.failed:
        s.out.failed = True
    buffer_trim(&p.later, LATER_KEEP)


cdef void push_leave(Ctx* c, Command* cmd, Arg* argv, int argc, PushFrame* frame) noexcept nogil:
    cdef Push* p = <Push*>c.kv.pubsub
    cdef Session* s = c.session
    cdef Session* reader = s if not s.flags & S_SCRIPT else p.current
    cdef bint outermost = c.kv.in_exec == 0 and not s.flags & S_SCRIPT
    if p.at_work == s and not s.flags & (S_REPLY_OFF | S_REPLY_SKIP):
        flush_later(p, s)
        p.mark = s.out.n            # its reply is out: what comes now follows it
    if c.kv.n_monitors and not c.replay and not frame.again:
        monitor_feed(c, cmd, argv, argc)
    if c.kv.n_tracking:
        if cmd.flags & CMD_READONLY and reader != NULL and reader.flags & S_TRACKING:
            tracking_read(c, reader, cmd, argv, argc)
        if s.flags & S_TRACKING and not s.flags & S_MULTI:
            tracking_command_end(s, cmd)
        if outermost:
            tracking_request_end(s)
    if frame.on:
        p.at_work = frame.at_work
        p.mark = frame.mark
        p.current = frame.current
    elif outermost:
        p.at_work = p.current = NULL


cdef void push_after_reply(Session* s) noexcept nogil:
    cdef Push* p = <Push*>s.kv.pubsub
    if p.later.n:
        flush_later(p, s)
