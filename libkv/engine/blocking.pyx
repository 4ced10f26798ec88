"""Sessions that wait (contract: blocking.pxd; https://redis.io/docs/latest/commands/blpop/,
https://redis.io/docs/latest/commands/client-pause/).

Who is served, and when, is Redis 7.0's rule: after the outermost command (an EXEC or a script as a whole), key by key in the
order in which they came into being, and for each key those who wait for it, first come first served.  What serving
makes ready in turn (BLMOVE) goes to the end of that line.  A key is signalled when it comes into being; one that is
overwritten in place by another type (SORT STORE, ZUNIONSTORE) is not, as in Redis 7.0.

Deviation: CLIENT UNBLOCK of a session that CLIENT PAUSE holds up answers 0 (7.0.15 crashes).
"""

from libc.math cimport ceill
from libc.stdint cimport INT64_MAX, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset, strcmp

from libkv.engine.blocking_queues cimport (
    BLOCKED_KEY_AT, NO_PLACE, deadline_drop, deadline_rise, deadline_room, queue_drop, queue_entry, queue_find, queue_signal,
    queues_check, wait_join, wait_leave,
)
from libkv.engine.call cimport call_count_error, propagate, propagate_unit_end
from libkv.engine.clock cimport clock_monotonic, ticks, ticks_ns
from libkv.engine.entry cimport Entry, entry_type
from libkv.engine.latency cimport latency_count
from libkv.engine.push cimport PushFrame, push_enter, push_leave
from libkv.engine.registry cimport CMD_MAY_REPLICATE, CMD_SKIP_SLOWLOG, CMD_WRITE, Command
from libkv.engine.reply cimport reply_error, reply_nil, reply_nil_array, reply_oom
from libkv.engine.session cimport session_after_reply
from libkv.engine.slowlog cimport slowlog_add
from libkv.engine.types cimport (
    CALL_BLOCK, CALL_DONE, EFFECT_VERBATIM, HOOK_BLOCKED, HOOK_PAUSED, S_BLOCKED, S_CLOSE_AFTER, S_CLOSE_ASAP,
    S_DENY_BLOCKING, S_MASTER, S_PAUSED, S_REPLICA, S_RESUME, S_SCRIPT, TYPE_LIST, TYPE_STREAM, TYPE_ZSET,
)
from libkv.structures.number cimport number_parse_i64, number_parse_long_double
from libkv.structures.table cimport TableIter, table_init, table_iter, table_next

ctypedef int (*again_fn)(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil


cdef int blocking_new(Kv* kv) noexcept nogil:
    cdef Blocking* b = <Blocking*>calloc(1, sizeof(Blocking))
    if b == NULL:
        return -1
    table_init(&b.keys, BLOCKED_KEY_AT)
    kv.blocking = b
    return 0


cdef void blocking_delete(Kv* kv) noexcept nogil:
    """All sessions are gone; the keys' queues went with them."""
    if kv.blocking != NULL:
        free((<Blocking*>kv.blocking).heap)
        free(kv.blocking)
        kv.blocking = NULL


# ---- beginning and ending to wait

cdef void blocking_count(Blocking* k, Blocked* b, int by) noexcept nogil:
    k.on_keys += by
    if b.type == TYPE_LIST:
        k.lists += by
    elif b.type == TYPE_ZSET:
        k.zsets += by
    elif b.type == TYPE_STREAM:
        k.streams += by


cdef Blocked* blocked_new(Ctx* c, int kind, Arg* argv, int argc, int n_waits) noexcept nogil:
    """With a copy of the command; the session does not wait yet."""
    cdef size_t bytes = sizeof(Blocked) + argc * sizeof(Arg) + n_waits * sizeof(Wait)
    cdef size_t text = 0
    cdef char* at
    cdef Blocked* b
    cdef int i
    for i in range(argc):
        text += argv[i].n
    b = <Blocked*>malloc(bytes + text)
    if b == NULL:
        return NULL
    memset(b, 0, bytes)
    b.session = c.session
    b.kind = kind
    b.type = -1
    b.place = NO_PLACE
    b.cmd = c.cmd
    b.bytes = bytes + text
    b.waits = <Wait*>(b + 1)
    b.argv = <Arg*>(b.waits + n_waits)
    b.argc = argc
    at = <char*>(b.argv + argc)
    for i in range(argc):
        b.argv[i].p = at
        b.argv[i].n = argv[i].n
        memcpy(at, argv[i].p, argv[i].n)
        at += argv[i].n
    return b


cdef void blocked_begin(Kv* kv, Blocked* b, int64_t timeout_ms) noexcept nogil:
    """The session waits from now on; deadline_room has been made when there is a timeout."""
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef Session* s = b.session
    cdef int i
    s.blocked = b
    s.flags &= ~<uint32_t>S_RESUME
    s.flags |= S_PAUSED if b.kind == BLOCKED_PAUSED else S_BLOCKED
    kv.n_blocked += 1
    for i in range(b.argc):
        s.argv_bytes += b.argv[i].n
    if b.kind == BLOCKED_ON_KEYS:
        blocking_count(k, b, 1)
        kv.hooks |= HOOK_BLOCKED
    if timeout_ms > 0:
        b.deadline = clock_monotonic(kv)
        b.deadline += timeout_ms * 1000 if timeout_ms < (INT64_MAX - b.deadline) // 1000 else INT64_MAX - b.deadline
        k.heap_n += 1
        deadline_rise(k, k.heap_n - 1, b)


cdef void line_join(Blocked** first, Blocked** last, Blocked* b) noexcept nogil:
    b.prev = last[0]
    if last[0] != NULL:
        last[0].next = b
    else:
        first[0] = b
    last[0] = b


cdef void line_leave(Blocked** first, Blocked** last, Blocked* b) noexcept nogil:
    if b.prev != NULL:
        b.prev.next = b.next
    else:
        first[0] = b.next
    if b.next != NULL:
        b.next.prev = b.prev
    else:
        last[0] = b.prev


cdef void blocked_end(Blocked* b) noexcept nogil:
    """The session does not wait any more; b is freed."""
    cdef Session* s = b.session
    cdef Kv* kv = s.kv
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef int i
    for i in range(b.n_waits):
        wait_leave(kv, &b.waits[i])
    deadline_drop(k, b)
    kv.n_blocked -= 1
    if b.kind == BLOCKED_ON_KEYS:
        blocking_count(k, b, -1)
        if k.on_keys == 0:
            kv.hooks &= ~<uint32_t>HOOK_BLOCKED
    elif b.kind == BLOCKED_IDLE:
        line_leave(&k.idle, &k.idle_last, b)
    else:
        line_leave(&k.paused, &k.paused_last, b)
    s.blocked = NULL
    s.argv_bytes = 0
    s.flags &= ~<uint32_t>(S_BLOCKED | S_PAUSED)
    free(b)


cdef void blocked_resume(Session* s) noexcept nogil:
    """Its transport may send the reply, and run what has come meanwhile."""
    s.flags |= S_RESUME
    if s.kick != NULL:
        s.kick(s)


cdef void reply_late(Reply* r, int late) noexcept nogil:
    if late == LATE_NIL:
        reply_nil(r)
    else:
        reply_nil_array(r)


cdef int block_on_keys(Ctx* c, Arg* argv, int argc, Arg* keys, int n_keys, int type, int64_t timeout_ms, int late, bint gone,
                       Reply* r) noexcept nogil:
    cdef Blocked* b
    cdef int i
    if c.ready_key != NULL:
        return CALL_BLOCK
    if c.session.flags & S_DENY_BLOCKING or c.replay or c.kv.in_exec:
        reply_late(r, late)
        return CALL_DONE
    b = blocked_new(c, BLOCKED_ON_KEYS, argv, argc, n_keys)
    if b == NULL or (timeout_ms > 0 and not deadline_room(<Blocking*>c.kv.blocking)):
        free(b)
        reply_oom(r)
        return CALL_DONE
    b.type = type
    # in Redis 7.0 a time that is over is an empty array for every command, although BLMOVE in MULTI answers with null
    b.late = LATE_NIL_ARRAY
    b.gone = gone
    for i in range(n_keys):
        if not wait_join(c.kv, b, &b.waits[i], c.db, &keys[i]):
            while i > 0:
                i -= 1
                wait_leave(c.kv, &b.waits[i])
            free(b)
            reply_oom(r)
            return CALL_DONE
        b.n_waits = i + 1
    blocked_begin(c.kv, b, timeout_ms)
    return CALL_BLOCK


cdef int block_idle(Ctx* c, Arg* argv, int argc, int64_t timeout_ms, Reply* r) noexcept nogil:
    cdef Blocking* k = <Blocking*>c.kv.blocking
    cdef Blocked* b
    if c.session.blocked != NULL:
        return CALL_BLOCK               # called again, and still not satisfied
    b = blocked_new(c, BLOCKED_IDLE, argv, argc, 0)
    if b == NULL or (timeout_ms > 0 and not deadline_room(k)):
        free(b)
        reply_oom(r)
        return CALL_DONE
    b.late = LATE_AGAIN
    line_join(&k.idle, &k.idle_last, b)
    blocked_begin(c.kv, b, timeout_ms)
    return CALL_BLOCK


cdef bint arg_timeout(Arg* a, bint seconds, int64_t* ms, Reply* r) noexcept nogil:
    cdef long double v
    if seconds:
        if not number_parse_long_double(a.p, a.n, &v):
            reply_error(r, b"ERR timeout is not a float or out of range")
            return False
        v = ceill(v * 1000)
        # what is too large for a 64-bit number is called negative, as by Redis
        ms[0] = <int64_t>v if -9223372036854775808.0 <= v < 9223372036854775808.0 else -1
    elif not number_parse_i64(a.p, a.n, ms):
        reply_error(r, b"ERR timeout is not an integer or out of range")
        return False
    if ms[0] < 0:
        reply_error(r, b"ERR timeout is negative")
        return False
    return True


# ---- keys that may be ready

cdef inline bint replaces(const char* event) noexcept nogil:
    """Events of commands that delete what is there before they put the new value: it comes into being again."""
    return event != NULL and (strcmp(event, b"rename_to") == 0 or strcmp(event, b"copy_to") == 0
                              or strcmp(event, b"restore") == 0)


cdef void queue_look(Kv* kv, KeyQueue* q, bint anew) noexcept nogil:
    """Signals the queue when its key comes into being as something that anybody waits for, perhaps for another key: what
    it is when those in the queue are served is looked at then."""
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef Arg key
    cdef Entry* e = queue_entry(kv, q, &key)
    cdef bint was = q.present and not anew
    cdef int type = entry_type(e) if e != NULL else -1
    q.present = e != NULL
    if type == TYPE_STREAM:
        if k.streams:
            queue_signal(kv, q)
    elif q.gone or (not was and ((type == TYPE_LIST and k.lists) or (type == TYPE_ZSET and k.zsets))):
        queue_signal(kv, q)


cdef void blocking_tell(Ctx* c, Db* db, Arg* key, int event_class, const char* event) noexcept nogil:
    cdef KeyQueue* q = queue_find(c.kv, db, key)
    if q != NULL:
        queue_look(c.kv, q, replaces(event))


cdef void blocking_tell_all(Kv* kv, Db* db) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef TableIter it
    cdef BlockedKey* item
    cdef KeyQueue* q
    if k.on_keys == 0:
        return
    table_iter(&it, &k.keys)
    while True:
        item = <BlockedKey*>table_next(&it)
        if item == NULL:
            return
        q = item.first
        while q != NULL:
            if q.db == db:
                queue_look(kv, q, True)
            q = q.next_db


# ---- serving

cdef void again_context(Blocked* b, Ctx* c, Reply* r) noexcept nogil:
    cdef Session* s = b.session
    memset(c, 0, sizeof(Ctx))
    memset(r, 0, sizeof(Reply))
    c.kv = s.kv
    c.heap = s.kv.heap
    c.session = s
    c.db = &s.kv.dbs[s.db]
    c.cmd = b.cmd
    c.now = s.kv.now
    c.dirty0 = s.kv.dirty
    c.effect = EFFECT_VERBATIM
    r.out = &s.out
    r.proto = s.proto
    r.push = s.proto == 3


cdef bint blocked_serve(Blocked* b, Arg* key) noexcept nogil:
    """Calls the command again (key NULL: one without keys); True: it is done, the session waits no longer, b is gone."""
    cdef Session* s = b.session
    cdef Kv* kv = s.kv
    cdef Command* cmd = <Command*>b.cmd
    cdef Ctx c
    cdef Reply r
    cdef size_t mark = s.out.n
    cdef uint64_t start = ticks()
    cdef double ns
    cdef int status
    cdef PushFrame frame
    again_context(b, &c, &r)
    c.ready_key = key
    frame.again = True
    push_enter(&c, cmd, b.argv, b.argc, &r, mark, &frame)
    status = (<again_fn>cmd.fn)(&c, b.argv, b.argc, &r)
    push_leave(&c, cmd, b.argv, b.argc, &frame)
    if status == CALL_BLOCK:
        return False
    ns = ticks_ns(ticks() - start)
    kv.command_stats[cmd.id].usec_x1000 += <uint64_t>ns
    latency_count(kv, cmd.id, <uint64_t>ns, 1)
    if r.errors:
        kv.command_stats[cmd.id].failed += 1
        call_count_error(kv, r.out, mark)
    if (kv.settings.slowlog_log_slower_than >= 0 and ns >= <double>kv.settings.slowlog_log_slower_than * 1000.0
            and not cmd.flags & CMD_SKIP_SLOWLOG):
        slowlog_add(kv, s, b.argv, b.argc, <int64_t>(ns / 1000.0))
    if kv.effects_on:
        if c.effect == EFFECT_VERBATIM and kv.dirty != c.dirty0:
            propagate(&c, c.db, b.argc, b.argv)
        propagate_unit_end(kv)
    session_after_reply(s, mark)
    blocked_end(b)
    blocked_resume(s)
    return True


cdef inline bint served_by(Blocked* b, Entry* e) noexcept nogil:
    """Whether what the key is now concerns this session."""
    if b.held or b.session.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER):
        return False
    if e != NULL and entry_type(e) == b.type:
        return True
    return b.gone


cdef void queue_serve(Kv* kv, KeyQueue* q) noexcept nogil:
    """Those who wait for one key, in order, as long as there is something for them."""
    cdef Wait* w = q.first
    cdef Wait* after
    cdef Entry* e
    cdef Arg key
    q.serving = True
    while w != NULL:
        after = w.next                  # of another session: being served does not end its wait
        e = queue_entry(kv, q, &key)
        if e == NULL and q.gone == 0:
            break
        if served_by(w.of, e):
            blocked_serve(w.of, &key)
        w = after
    q.serving = False
    queue_drop(kv, q)


cdef void blocking_serve(Kv* kv) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef KeyQueue* q
    if kv.in_exec:
        return
    while k.ready != NULL:
        q = k.ready
        k.ready = q.next_ready
        if k.ready == NULL:
            k.ready_last = NULL
        q.next_ready = NULL
        q.ready = False
        queue_serve(kv, q)
    kv.ready = False


cdef void blocking_retry_idle(Kv* kv) noexcept nogil:
    cdef Blocked* b = (<Blocking*>kv.blocking).idle
    cdef Blocked* after
    while b != NULL:
        after = b.next
        if not b.held and not b.session.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER):
            blocked_serve(b, NULL)
        b = after


# ---- other ends

cdef void blocked_finish(Blocked* b, const char* error) noexcept nogil:
    """Replies that the time is over, or the error."""
    cdef Session* s = b.session
    cdef size_t mark = s.out.n
    cdef uint32_t denied = s.flags & S_DENY_BLOCKING
    cdef Ctx c
    cdef Reply r
    again_context(b, &c, &r)
    if error != NULL:
        reply_error(&r, error)
        call_count_error(s.kv, r.out, mark)
    elif b.late == LATE_AGAIN:
        s.flags |= S_DENY_BLOCKING
        (<again_fn>(<Command*>b.cmd).fn)(&c, b.argv, b.argc, &r)
        s.flags = (s.flags & ~<uint32_t>S_DENY_BLOCKING) | denied
    else:
        reply_late(&r, b.late)
    session_after_reply(s, mark)
    blocked_end(b)
    blocked_resume(s)


cdef bint blocking_unblock(Session* s, const char* error) noexcept nogil:
    cdef Blocked* b = <Blocked*>s.blocked
    if not s.flags & S_BLOCKED or s.flags & (S_CLOSE_ASAP | S_CLOSE_AFTER):
        return False
    s.kv.command_stats[(<Command*>b.cmd).id].failed += 1
    blocked_finish(b, error)
    return True


cdef void blocking_refuse_all(Kv* kv, const char* error) noexcept nogil:
    cdef Session* s = kv.sessions
    while s != NULL:
        if s.flags & S_BLOCKED:
            blocked_finish(<Blocked*>s.blocked, error)
            s.flags |= S_CLOSE_AFTER
        s = s.next


cdef void blocking_forget(Session* s) noexcept nogil:
    if s.blocked != NULL:
        blocked_end(<Blocked*>s.blocked)


cdef int64_t blocking_expire(Kv* kv) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef int64_t now
    cdef int64_t soonest = 0
    if k.heap_n == 0 and kv.pause_until == 0:
        return 0
    now = clock_monotonic(kv)
    while k.heap_n and k.heap[0].deadline <= now:
        blocked_finish(k.heap[0], NULL)
    if kv.pause_until and kv.pause_until <= now // 1000:
        pause_end(kv)
    if k.heap_n:
        soonest = k.heap[0].deadline
    if kv.pause_until and (soonest == 0 or kv.pause_until < soonest // 1000):
        soonest = kv.pause_until * 1000 if kv.pause_until < INT64_MAX // 1000 else INT64_MAX
    return soonest


cdef void blocking_shift(Kv* kv, int64_t us) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef uint32_t i
    for i in range(k.heap_n):           # their order stays
        if k.heap[i].deadline < INT64_MAX - (us if us > 0 else 0):
            k.heap[i].deadline += us
    if kv.pause_until and kv.pause_until < INT64_MAX // 2:
        kv.pause_until += us // 1000


cdef void blocking_hold(Session* s) noexcept nogil:
    if s.blocked != NULL:
        (<Blocked*>s.blocked).held = True


cdef void blocking_release(Session* s) noexcept nogil:
    """What came meanwhile may have been left to nobody: its keys are looked at again."""
    cdef Blocked* b = <Blocked*>s.blocked
    cdef Arg key
    cdef int i
    if b == NULL:
        return
    b.held = False
    for i in range(b.n_waits):
        if b.waits[i].queue != NULL and served_by(b, queue_entry(s.kv, b.waits[i].queue, &key)):
            queue_signal(s.kv, b.waits[i].queue)
    if s.kv.ready:
        blocking_serve(s.kv)


# ---- CLIENT PAUSE

cdef void pause_start(Kv* kv, int64_t until_ms, bint all_commands) noexcept nogil:
    kv.pause_all = all_commands
    if until_ms > kv.pause_until:
        kv.pause_until = until_ms
    kv.hooks |= HOOK_PAUSED


cdef void pause_end(Kv* kv) noexcept nogil:
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef Session* s
    kv.pause_until = 0
    kv.pause_all = False
    kv.hooks &= ~<uint32_t>HOOK_PAUSED
    while k.paused != NULL:
        s = k.paused.session
        blocked_end(k.paused)
        blocked_resume(s)


cdef bint pause_holds(Ctx* c, void* command) noexcept nogil:
    cdef Command* cmd = <Command*>command
    cdef Session* s = c.session
    cdef uint32_t writes = CMD_WRITE | CMD_MAY_REPLICATE
    cdef int i
    if clock_monotonic(c.kv) // 1000 >= c.kv.pause_until:
        pause_end(c.kv)
        return False
    if s.flags & (S_REPLICA | S_MASTER | S_SCRIPT | S_DENY_BLOCKING) or c.kv.in_exec:
        return False
    if c.kv.pause_all or cmd.flags & writes:
        return True
    if strcmp(cmd.full, b"exec") == 0:
        for i in range(s.queued):
            if (<Command*>s.queue[i].cmd).flags & writes:
                return True
    return False


cdef int blocking_pause(Session* s) noexcept nogil:
    cdef Blocking* k = <Blocking*>s.kv.blocking
    cdef Ctx c
    cdef Blocked* b
    memset(&c, 0, sizeof(Ctx))
    c.session = s
    c.cmd = s.last_cmd
    b = blocked_new(&c, BLOCKED_PAUSED, NULL, 0, 0)
    if b == NULL:
        return -1
    line_join(&k.paused, &k.paused_last, b)
    blocked_begin(s.kv, b, 0)
    return 0


# ---- for tests

cdef int blocking_check(Kv* kv) noexcept nogil:
    """10 + n a queue, 20 the heap's order, 21 a place in it, 30 the flags of a session, 31 a count of sessions, 32 the
    hook, 33 keys are left ready outside a command."""
    cdef Blocking* k = <Blocking*>kv.blocking
    cdef Session* s = kv.sessions
    cdef uint32_t n = 0, on_keys = 0
    cdef int broken = queues_check(kv)
    if broken:
        return broken
    while s != NULL:
        if (s.blocked != NULL) != ((s.flags & (S_BLOCKED | S_PAUSED)) != 0):
            return 30
        if s.blocked != NULL:
            n += 1
            on_keys += (<Blocked*>s.blocked).kind == BLOCKED_ON_KEYS
        s = s.next
    if n != kv.n_blocked or on_keys != k.on_keys or k.lists + k.zsets + k.streams != on_keys:
        return 31
    if ((kv.hooks & HOOK_BLOCKED) != 0) != (k.on_keys != 0) or ((kv.hooks & HOOK_PAUSED) != 0) != (kv.pause_until != 0):
        return 32
    if kv.ready and kv.in_exec == 0:
        return 33
    return 0
