"""ACL LOG (contract: acl_log.pxd), as redis-server 7.0.15 keeps it."""

from libc.stdlib cimport strtoll
from libc.string cimport memcmp, memcpy

from libkv.engine.acl cimport Acl, acl_of
from libkv.engine.clock cimport clock_wall
from libkv.engine.config cimport config_id, config_value
from libkv.engine.types cimport S_MULTI, S_SCRIPT
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_free, buffer_init

cdef enum:
    SAME_MS = 60000             # so old may the entry be that an equal one is added to
    LOOK_BACK = 10              # and so many are looked at

cdef int MAX_LEN = config_id(b"acllog-max-len")
cdef acl_describe_session describe = NULL


cdef void acl_log_describe_with(acl_describe_session f) noexcept nogil:
    global describe
    describe = f


cdef size_t entry_size(AclDenied* e) noexcept nogil:
    return sizeof(AclDenied) + e.object_n + e.user_n + e.client_n


cdef AclDenied* take_same(Acl* a, AclDenied* fresh) noexcept nogil:
    """Unlinks the recent entry that tells the same; NULL: none."""
    cdef AclDenied** at = <AclDenied**>&a.log
    cdef AclDenied* e
    cdef int _i
    for _i in range(LOOK_BACK):
        e = at[0]
        if e == NULL:
            return NULL
        if (e.reason == fresh.reason and e.context == fresh.context and fresh.at - e.at <= SAME_MS
                and e.object_n == fresh.object_n and e.user_n == fresh.user_n
                and memcmp(acl_denied_text(e), acl_denied_text(fresh), e.object_n + e.user_n) == 0):
            at[0] = e.next
            return e
        at = &e.next
    return NULL


cdef void acl_log_add(Session* s, int reason, const char* object, size_t object_n, const char* user, size_t user_n,
                      size_t argv_bytes) noexcept nogil:
    cdef Kv* kv = s.kv
    cdef Acl* a = acl_of(kv)
    cdef AclDenied* e
    cdef AclDenied* same
    cdef Buffer client
    buffer_init(&client)
    if describe != NULL:
        describe(s, argv_bytes, &client)
    e = <AclDenied*>heap_alloc(kv.heap, sizeof(AclDenied) + object_n + user_n + client.n)
    if e == NULL:
        buffer_free(&client)
        return
    e.count = 1
    e.at = clock_wall(kv)
    e.reason = reason
    e.context = ACL_IN_SCRIPT if s.flags & S_SCRIPT else ACL_IN_MULTI if s.flags & S_MULTI else ACL_TOPLEVEL
    e.object_n = object_n
    e.user_n = user_n
    e.client_n = client.n
    memcpy(acl_denied_text(e), object, object_n)
    memcpy(acl_denied_text(e) + object_n, user, user_n)
    if client.n:
        memcpy(acl_denied_text(e) + object_n + user_n, client.p, client.n)
    buffer_free(&client)
    same = take_same(a, e)
    if same != NULL:
        e.count += same.count
        a.logged -= 1
        heap_free(kv.heap, same, entry_size(same))
    e.next = <AclDenied*>a.log
    a.log = e
    a.logged += 1
    acl_log_trim(kv, strtoll(config_value(kv, MAX_LEN).p, NULL, 10))


cdef void acl_log_trim(Kv* kv, int64_t keep) noexcept nogil:
    cdef Acl* a = acl_of(kv)
    cdef AclDenied** at = <AclDenied**>&a.log
    cdef AclDenied* e
    cdef int64_t i = 0
    while at[0] != NULL and i < keep:
        at = &at[0].next
        i += 1
    while at[0] != NULL:
        e = at[0]
        at[0] = e.next
        a.logged -= 1
        heap_free(kv.heap, e, entry_size(e))


cdef void acl_log_free(Kv* kv) noexcept nogil:
    acl_log_trim(kv, 0)
