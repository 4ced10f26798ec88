"""What a program that reads redis.conf tells a store, and what a host of clients asks it."""

from libkv.engine.config cimport (
    Directive, config_count, config_directive, config_file_set, config_put, config_value,
)
from libkv.engine.lock cimport lock_give, lock_take
from libkv.store cimport StoreCore
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init

from libkv.errors import StoreClosed


cdef int check_open(StoreCore store) except -1:
    if store.closed or store.kv == NULL:
        raise StoreClosed("the store is closed")
    return 0


def put_directive(StoreCore store not None, name, list words):
    """Sets one directive as a line of redis.conf does; before the store is served.

    words: its arguments (bytes or str).  Returns None, or why it can't be, in redis-server's words.
    """
    check_open(store)
    return config_put(store.kv, name, words)


def read_config(StoreCore store not None):
    """The present value of every directive as text, by name."""
    cdef dict values = {}
    cdef Directive* d
    cdef Buffer text
    cdef int i
    check_open(store)
    buffer_init(&text)
    try:
        for i in range(config_count()):
            d = config_directive(i)
            text.n = 0
            with nogil:
                lock_take(store.kv)
                buffer_add(&text, config_value(store.kv, i).p, config_value(store.kv, i).n)
                lock_give(store.kv)
            values[d.name[:d.name_n].decode()] = text.p[:text.n].decode("utf-8", "surrogateescape") if text.n else ""
        if text.failed:
            raise MemoryError
        return values
    finally:
        buffer_free(&text)


def set_config_file(StoreCore store not None, bytes path):
    """Names the file that CONFIG REWRITE writes; an absolute path."""
    cdef const char* p = path
    cdef int failed
    check_open(store)
    with nogil:
        lock_take(store.kv)
        failed = config_file_set(store.kv, p)
        lock_give(store.kv)
    if failed:
        raise MemoryError


def limits(StoreCore store not None):
    """What a host of clients has to keep, from the store's configuration: a dict.

    maxclients; timeout (seconds, 0 none); tcp_keepalive (seconds); protected (whether only loopback is served);
    query (bytes of an unfinished command); output (hard bytes, soft bytes, seconds; 0 none).
    """
    check_open(store)
    s = store.kv.settings
    return {
        "maxclients": s.maxclients,
        "timeout": s.timeout,
        "tcp_keepalive": s.tcp_keepalive,
        "protected": s.protected_mode and not s.has_password,
        "query": s.client_query_buffer_limit,
        "output": (s.client_output_hard[0], s.client_output_soft[0], s.client_output_soft_seconds[0]),
    }
