# What the engine asks of the part that makes a store durable (libkv.persistence), which it does not know otherwise:
# kv.journal points to a struct that begins with this one, or is NULL.

from libc.stdint cimport int64_t, uint64_t

from libkv.disk.files cimport Files, files_default
from libkv.engine.types cimport Kv
from libkv.structures.buffer cimport Buffer

cdef struct Durability:
    void (*info)(Kv* kv, Buffer* out) noexcept nogil    # INFO's section persistence, without its title
    void (*spikes)(Kv* kv) noexcept nogil   # tells the latency monitor what the disk has taken long for; store's lock held
    Files* files                # where this store's files are
    char refusal[512]           # while kv.refusing_writes: the error that write commands get, "MISCONF ..."
    int64_t fork_us             # what the last fork call took
    uint64_t forks

cdef inline Durability* durability_of(Kv* kv) noexcept nogil:
    return <Durability*>kv.journal

cdef inline Files* durability_files(Kv* kv) noexcept nogil:
    return durability_of(kv).files if kv.journal != NULL else files_default()
