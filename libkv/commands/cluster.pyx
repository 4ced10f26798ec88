"""CLUSTER, ASKING, READONLY and READWRITE: the answers of a server whose cluster support is disabled (Redis 7.0.15)."""

from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_error
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply


cdef int cmd_no_cluster(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_error(r, b"ERR This instance has cluster support disabled")
    return CALL_DONE


registry_bind("asking", cmd_no_cluster)
registry_bind("readonly", cmd_no_cluster)
registry_bind("readwrite", cmd_no_cluster)
registry_bind("cluster|addslots", cmd_no_cluster)
registry_bind("cluster|addslotsrange", cmd_no_cluster)
registry_bind("cluster|bumpepoch", cmd_no_cluster)
registry_bind("cluster|count-failure-reports", cmd_no_cluster)
registry_bind("cluster|countkeysinslot", cmd_no_cluster)
registry_bind("cluster|delslots", cmd_no_cluster)
registry_bind("cluster|delslotsrange", cmd_no_cluster)
registry_bind("cluster|failover", cmd_no_cluster)
registry_bind("cluster|flushslots", cmd_no_cluster)
registry_bind("cluster|forget", cmd_no_cluster)
registry_bind("cluster|getkeysinslot", cmd_no_cluster)
registry_bind("cluster|help", cmd_no_cluster)
registry_bind("cluster|info", cmd_no_cluster)
registry_bind("cluster|keyslot", cmd_no_cluster)
registry_bind("cluster|links", cmd_no_cluster)
registry_bind("cluster|meet", cmd_no_cluster)
registry_bind("cluster|myid", cmd_no_cluster)
registry_bind("cluster|nodes", cmd_no_cluster)
registry_bind("cluster|replicas", cmd_no_cluster)
registry_bind("cluster|replicate", cmd_no_cluster)
registry_bind("cluster|reset", cmd_no_cluster)
registry_bind("cluster|saveconfig", cmd_no_cluster)
registry_bind("cluster|set-config-epoch", cmd_no_cluster)
registry_bind("cluster|setslot", cmd_no_cluster)
registry_bind("cluster|shards", cmd_no_cluster)
registry_bind("cluster|slaves", cmd_no_cluster)
registry_bind("cluster|slots", cmd_no_cluster)
