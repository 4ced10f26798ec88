"""What a connection hears of others: CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO; and MONITOR.

Follows the command pages of Redis 7.0, checked against redis-server 7.0.15.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, strlen

from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.broadcast cimport broadcast_add, broadcast_prefix
from libkv.engine.monitor cimport monitor_add
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_error, reply_int, reply_later, reply_later_set, reply_map, reply_ok,
    reply_oom, reply_syntax,
)
from libkv.engine.tracking cimport (
    TRACK_BCAST, TRACK_BROKEN, TRACK_CACHING, TRACK_NOLOOP, TRACK_OPTIN, TRACK_OPTOUT, SessionTracking,
    tracking_of, tracking_off, tracking_on,
)
from libkv.engine.types cimport CALL_DONE, S_DENY_BLOCKING, S_MONITOR, Arg, Ctx, Reply, Session

cdef struct Wish:               # of CLIENT TRACKING
    uint32_t mode
    Session* target
    int first_prefix            # index of the first PREFIX word in argv; 0: none
    int end


# ---- CLIENT TRACKING

cdef Session* session_by_id(Ctx* c, int64_t id) noexcept nogil:
    cdef Session* s = c.kv.sessions
    while s != NULL and <int64_t>s.id != id:
        s = s.next
    return s


cdef bint read_wish(Ctx* c, Arg* argv, int argc, Wish* w, Reply* r) noexcept nogil:
    """False: the error is replied."""
    cdef int i = 3
    cdef int64_t id
    w.mode = 0
    w.target = NULL
    w.first_prefix = 0
    w.end = argc
    while i < argc:
        if arg_is(&argv[i], b"redirect", 8) and i + 1 < argc:
            if w.target != NULL:
                reply_error(r, b"ERR A client can only redirect to a single other client")
                return False
            if not arg_int(&argv[i + 1], &id, r):
                return False
            w.target = session_by_id(c, id)
            if w.target == NULL:
                reply_error(r, b"ERR The client ID you want redirect to does not exist")
                return False
            i += 1
        elif arg_is(&argv[i], b"bcast", 5):
            w.mode |= TRACK_BCAST
        elif arg_is(&argv[i], b"optin", 5):
            w.mode |= TRACK_OPTIN
        elif arg_is(&argv[i], b"optout", 6):
            w.mode |= TRACK_OPTOUT
        elif arg_is(&argv[i], b"noloop", 6):
            w.mode |= TRACK_NOLOOP
        elif arg_is(&argv[i], b"prefix", 6) and i + 1 < argc:
            if w.first_prefix == 0:
                w.first_prefix = i
            i += 1
        else:
            reply_syntax(r)
            return False
        i += 1
    return True


cdef int next_prefix(Wish* w, Arg* argv, int i) noexcept nogil:
    """The index of the next prefix's bytes from argv[i] on, which is an option's word; 0: there is none."""
    while w.first_prefix and i < w.end:
        if arg_is(&argv[i], b"prefix", 6):
            return i + 1
        i += 2 if arg_is(&argv[i], b"redirect", 8) else 1
    return 0


cdef bint overlap(const char* a, size_t a_n, const char* b, size_t b_n) noexcept nogil:
    """Whether one begins with the other."""
    return memcmp(a, b, a_n if a_n < b_n else b_n) == 0


cdef void reply_overlap(Reply* r, Arg* a, const char* how, const char* p, size_t n) noexcept nogil:
    cdef const char* begin = b"ERR Prefix '"
    cdef const char* end = b"'. Prefixes for a single client must not overlap."
    cdef size_t how_n = strlen(how)
    cdef size_t room = strlen(begin) + a.n + how_n + n + strlen(end) + 1
    cdef char* text = <char*>malloc(room)
    cdef size_t at = strlen(begin)
    cdef size_t i
    if text == NULL:
        reply_oom(r)
        return
    memcpy(text, begin, at)
    memcpy(text + at, a.p, a.n)
    at += a.n
    memcpy(text + at, how, how_n)
    at += how_n
    memcpy(text + at, p, n)
    at += n
    memcpy(text + at, end, strlen(end) + 1)
    for i in range(room - 1):
        if text[i] == 13 or text[i] == 10 or text[i] == 0:
            text[i] = 32
    reply_error(r, text)
    free(text)


cdef bint prefixes_fit(Ctx* c, Wish* w, Arg* argv, Reply* r) noexcept nogil:
    """A key is to be told once: no prefix may begin with another.  False: the error is replied."""
    cdef SessionTracking* st = tracking_of(c.session)
    cdef int i = next_prefix(w, argv, w.first_prefix)
    cdef int j
    cdef uint32_t k
    cdef const char* p
    cdef size_t n
    while i:
        for k in range(st.n_prefixes if st != NULL else 0):
            p = broadcast_prefix(st, k, &n)
            if overlap(argv[i].p, argv[i].n, p, n):
                reply_overlap(r, &argv[i], b"' overlaps with an existing prefix '", p, n)
                return False
        j = next_prefix(w, argv, i + 1)
        while j:
            if overlap(argv[i].p, argv[i].n, argv[j].p, argv[j].n):
                reply_overlap(r, &argv[i], b"' overlaps with another provided prefix '", argv[j].p, argv[j].n)
                return False
            j = next_prefix(w, argv, j + 1)
        i = next_prefix(w, argv, i + 1)
    return True


cdef const char* refused(Session* s, Wish* w) noexcept nogil:
    """Why these options can't be had, or not now; NULL: they can."""
    cdef SessionTracking* st = tracking_of(s)
    if w.first_prefix and not w.mode & TRACK_BCAST:
        return b"ERR PREFIX option requires BCAST mode to be enabled"
    if st != NULL and (st.mode ^ w.mode) & TRACK_BCAST:
        return (b"ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
                b"with a different mode.")
    if w.mode & TRACK_BCAST and w.mode & (TRACK_OPTIN | TRACK_OPTOUT):
        return b"ERR OPTIN and OPTOUT are not compatible with BCAST"
    if w.mode & TRACK_OPTIN and w.mode & TRACK_OPTOUT:
        return b"ERR You can't specify both OPTIN mode and OPTOUT mode"
    if st != NULL and ((w.mode & TRACK_OPTIN and st.mode & TRACK_OPTOUT) or (w.mode & TRACK_OPTOUT and st.mode & TRACK_OPTIN)):
        return (b"ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it "
                b"with a different mode.")
    return NULL


cdef bint add_prefixes(Ctx* c, Wish* w, Arg* argv) noexcept nogil:
    """False: no memory."""
    cdef int i = next_prefix(w, argv, w.first_prefix)
    if i == 0:
        return broadcast_add(c.session, b"", 0) == 0
    while i:
        if broadcast_add(c.session, argv[i].p, argv[i].n) != 0:
            return False
        i = next_prefix(w, argv, i + 1)
    return True


cdef int cmd_client_tracking(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Wish w
    cdef const char* why
    if not read_wish(c, argv, argc, &w, r):
        return CALL_DONE
    if arg_is(&argv[2], b"off", 3):
        tracking_off(c.session)
        reply_ok(r)
        return CALL_DONE
    if not arg_is(&argv[2], b"on", 2):
        reply_syntax(r)
        return CALL_DONE
    why = refused(c.session, &w)
    if why != NULL:
        reply_error(r, why)
        return CALL_DONE
    if w.mode & TRACK_BCAST and not prefixes_fit(c, &w, argv, r):
        return CALL_DONE
    if tracking_on(c.session, w.mode, w.target) != 0 or (w.mode & TRACK_BCAST and not add_prefixes(c, &w, argv)):
        tracking_off(c.session)
        reply_oom(r)
        return CALL_DONE
    reply_ok(r)
    return CALL_DONE


cdef int cmd_client_caching(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef SessionTracking* st = tracking_of(c.session)
    if st == NULL or not st.mode & (TRACK_OPTIN | TRACK_OPTOUT):
        reply_error(r, b"ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT "
                       b"mode enabled")
    elif arg_is(&argv[2], b"yes", 3) and not st.mode & TRACK_OPTIN:
        reply_error(r, b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    elif arg_is(&argv[2], b"no", 2) and not st.mode & TRACK_OPTOUT:
        reply_error(r, b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    elif arg_is(&argv[2], b"yes", 3) or arg_is(&argv[2], b"no", 2):
        st.mode |= TRACK_CACHING
        reply_ok(r)
    else:
        reply_syntax(r)
    return CALL_DONE


cdef int cmd_client_getredir(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef SessionTracking* st = tracking_of(c.session)
    reply_int(r, st.redirect if st != NULL else -1)
    return CALL_DONE


cdef int put_flag(Reply* r, bint on, const char* name) noexcept nogil:
    if on:
        reply_cstring(r, name)
    return on


cdef int cmd_client_trackinginfo(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef SessionTracking* st = tracking_of(c.session)
    cdef uint32_t mode = st.mode if st != NULL else 0
    cdef const char* p
    cdef size_t mark
    cdef size_t n
    cdef uint32_t i
    cdef int flags = 1
    reply_map(r, 3)
    reply_cstring(r, b"flags")
    mark = reply_later(r)
    reply_cstring(r, b"on" if st != NULL else b"off")
    flags += put_flag(r, mode & TRACK_BCAST != 0, b"bcast")
    flags += put_flag(r, mode & TRACK_OPTIN != 0, b"optin")
    flags += put_flag(r, mode & TRACK_OPTIN and mode & TRACK_CACHING, b"caching-yes")
    flags += put_flag(r, mode & TRACK_OPTOUT != 0, b"optout")
    flags += put_flag(r, mode & TRACK_OPTOUT and mode & TRACK_CACHING, b"caching-no")
    flags += put_flag(r, mode & TRACK_NOLOOP != 0, b"noloop")
    flags += put_flag(r, mode & TRACK_BROKEN != 0, b"broken_redirect")
    reply_later_set(r, mark, flags)
    reply_cstring(r, b"redirect")
    reply_int(r, st.redirect if st != NULL else -1)
    reply_cstring(r, b"prefixes")
    reply_array(r, st.n_prefixes if st != NULL else 0)
    for i in range(st.n_prefixes if st != NULL else 0):
        p = broadcast_prefix(st, i, &n)
        reply_bulk(r, p, n)
    return CALL_DONE


# ---- MONITOR

cdef int cmd_monitor(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if c.session.flags & S_DENY_BLOCKING:
        reply_error(r, b"ERR MONITOR isn't allowed for DENY BLOCKING client")
        return CALL_DONE
    if c.session.flags & S_MONITOR:
        return CALL_DONE                # Redis answers nothing the second time
    if monitor_add(c.session) != 0:
        reply_oom(r)
    else:
        reply_ok(r)
    return CALL_DONE


registry_bind("client|tracking", cmd_client_tracking)
registry_bind("client|caching", cmd_client_caching)
registry_bind("client|getredir", cmd_client_getredir)
registry_bind("client|trackinginfo", cmd_client_trackinginfo)
registry_bind("monitor", cmd_monitor)
