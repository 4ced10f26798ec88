"""The flags of a script's shebang and of register_function, as redis.io's "Script flags" names them (contract: flags.pxd)."""

from libc.string cimport memcmp, strlen

from libkv.scripting.vm cimport (
    SCRIPT_ALLOW_OOM, SCRIPT_ALLOW_STALE, SCRIPT_CROSS_SLOT, SCRIPT_NO_CLUSTER, SCRIPT_NO_WRITES,
)

cdef struct FlagName:
    const char* name
    uint32_t flag


cdef FlagName FLAGS[SCRIPT_FLAGS]
FLAGS[0] = FlagName(b"no-writes", SCRIPT_NO_WRITES)
FLAGS[1] = FlagName(b"allow-oom", SCRIPT_ALLOW_OOM)
FLAGS[2] = FlagName(b"allow-stale", SCRIPT_ALLOW_STALE)
FLAGS[3] = FlagName(b"no-cluster", SCRIPT_NO_CLUSTER)
FLAGS[4] = FlagName(b"allow-cross-slot-keys", SCRIPT_CROSS_SLOT)


cdef uint32_t script_flag(const char* p, size_t n) noexcept nogil:
    cdef int i
    for i in range(SCRIPT_FLAGS):
        if strlen(FLAGS[i].name) == n and memcmp(FLAGS[i].name, p, n) == 0:
            return FLAGS[i].flag
    return 0


cdef const char* script_flag_name(int i, uint32_t* flag) noexcept nogil:
    flag[0] = FLAGS[i].flag
    return FLAGS[i].name
