# The settings that compiled code reads, one field a directive (redis.conf's name with underscores).
# engine/config holds the table of all directives and sets these; nobody else writes them.

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    # maxmemory_policy: the index into the directive's words
    POLICY_VOLATILE_LRU = 0
    POLICY_VOLATILE_LFU = 1
    POLICY_VOLATILE_RANDOM = 2
    POLICY_VOLATILE_TTL = 3
    POLICY_ALLKEYS_LRU = 4
    POLICY_ALLKEYS_LFU = 5
    POLICY_ALLKEYS_RANDOM = 6
    POLICY_NOEVICTION = 7
    # enable_debug_command, enable_protected_configs
    ALLOW_NO = 0
    ALLOW_YES = 1
    ALLOW_LOCAL = 2
    # loglevel
    LOG_DEBUG = 0
    LOG_VERBOSE = 1
    LOG_NOTICE = 2
    LOG_WARNING = 3
    # bits of notify_keyspace_events beside types' EVENT_*
    NOTIFY_KEYSPACE = 1 << 0    # K
    NOTIFY_KEYEVENT = 1 << 1    # E
    NOTIFY_MODULE = 1 << 13     # d

cdef struct Settings:
    int64_t hash_max_listpack_entries
    int64_t hash_max_listpack_value
    int64_t list_max_listpack_size
    int64_t list_compress_depth
    int64_t set_max_intset_entries
    int64_t zset_max_listpack_entries
    int64_t zset_max_listpack_value
    int64_t hll_sparse_max_bytes
    int64_t proto_max_bulk_len
    int64_t client_query_buffer_limit
    int64_t slowlog_log_slower_than     # us; negative = off
    int64_t slowlog_max_len
    int64_t hz                          # 1 .. 500
    int64_t active_expire_effort
    uint64_t maxmemory
    int maxmemory_policy                # POLICY_*
    int64_t maxmemory_samples
    int64_t maxmemory_eviction_tenacity
    int64_t lfu_log_factor
    int64_t lfu_decay_time
    int64_t maxclients
    int64_t databases
    int64_t port                        # as configured; the server knows the one it got for 0
    int64_t tls_port
    int64_t timeout                     # s; 0 = never
    int64_t tcp_keepalive
    int64_t tcp_backlog
    int64_t unixsocketperm              # mode; 0 = leave it
    bint lazyfree_lazy_user_del
    bint lazyfree_lazy_user_flush
    bint lazyfree_lazy_expire
    bint lazyfree_lazy_eviction
    bint lazyfree_lazy_server_del
    bint activerehashing
    bint dynamic_hz
    bint protected_mode
    bint latency_tracking
    int loglevel                        # LOG_*
    int enable_debug_command            # ALLOW_*
    int enable_protected_configs        # ALLOW_*
    int notify_keyspace_events          # EVENT_* and NOTIFY_* bits
    bint has_password                   # clients must say AUTH: the user default has one or is off (engine/acl sets it)
    const char* password                # requirepass: borrowed, until the setting changes
    size_t password_n
    int64_t spin_us                     # libkv-spin: us to poll before blocking; 0 = off
    bint extensions                     # libkv-extensions
    int64_t client_output_hard[3]       # client-output-buffer-limit: normal, replica, pubsub; bytes, 0 = none
    int64_t client_output_soft[3]
    int64_t client_output_soft_seconds[3]
    int64_t latency_monitor_threshold   # ms
    int64_t tracking_table_max_keys
    int64_t stream_node_max_bytes
    int64_t stream_node_max_entries
