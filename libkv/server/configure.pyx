"""What a program that reads redis.conf tells a store, and what a host of clients asks it."""

from libkv.engine.config cimport config_file_set, config_put
from libkv.engine.lock cimport lock_give, lock_take
from libkv.store cimport StoreCore

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
