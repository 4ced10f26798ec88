"""Where libkv.Store's methods differ from redis.Redis's, each with the reason.

`MISSING`: reason -> names of public methods that redis.Redis has and libkv.Store has not.
`DIFFERENT`: name of a method -> why its signature differs.
"""

MISSING = {
    "streams are not in the store yet": """
        xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex xgroup_create xgroup_createconsumer
        xgroup_delconsumer xgroup_destroy xgroup_setid xinfo_consumers xinfo_groups xinfo_stream xlen xnack xpending
        xpending_range xrange xread xreadgroup xrevrange xtrim""",
    "geo commands are not in the store yet": """
        geoadd geodist geohash geopos georadius georadiusbymember geosearch geosearchstore""",
    "publish and subscribe are not in the store yet": """
        publish pubsub pubsub_channels pubsub_numpat pubsub_numsub pubsub_shardchannels pubsub_shardnumsub spublish
        monitor keyspace_notifications""",
    "scripts and functions are not in the store yet": """
        eval eval_ro evalsha evalsha_ro register_script script_debug script_exists script_flush script_kill
        script_load fcall fcall_ro function_delete function_dump function_flush function_kill function_list
        function_load function_restore function_stats""",
    "commands that wait are not in the store yet": """
        blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin client_pause client_unpause client_unblock
        wait""",
    "needs the value format of RDB files": "dump restore migrate",
    "sorting is not in the store yet": "sort sort_ro",
    "persistence is not in the store yet": "bgrewriteaof bgsave save lastsave",
    "replication is not in the store yet": "failover psync replicaof role slaveof sync",
    "access control lists are not in the store yet": """
        acl_cat acl_deluser acl_dryrun acl_genpass acl_getuser acl_help acl_list acl_load acl_log acl_log_reset
        acl_save acl_setuser acl_users acl_whoami""",
    "eviction of clients and client tracking are not in the store yet": """
        client_no_evict client_getredir client_tracking client_tracking_off client_tracking_on client_trackinginfo""",
    "the latency monitor and MEMORY are not in the store yet": """
        latency_doctor latency_graph latency_histogram latency_history latency_latest latency_reset memory_doctor
        memory_help memory_malloc_stats memory_purge memory_stats memory_usage""",
    "needs a cluster": "cluster readonly readwrite",
    "Redis 7.0 has no such command": """
        arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext arop
        arring arscan arseek arset blmovem client_no_touch client_setinfo delex digest digest_local hexpire hexpireat
        hexpiretime hgetdel hgetex himport_discard himport_discard_all himport_discard_all_internal
        himport_discard_internal himport_prepare himport_prepare_internal himport_registry himport_set hotkeys_get
        hotkeys_reset hotkeys_start hotkeys_stop hpersist hpexpire hpexpireat hpexpiretime hpttl hsetex httl increx
        lmovem msetex sdiffcard stralgo sunioncard vset waitaof""",
    "a command of Redis's modules": """
        bf cf cms ft json module_list module_load module_loadex module_unload tdigest topk ts load_external_module""",
    "a command of Sentinel": """
        sentinel sentinel_ckquorum sentinel_failover sentinel_flushconfig sentinel_get_master_addr_by_name
        sentinel_master sentinel_masters sentinel_monitor sentinel_remove sentinel_reset sentinel_sentinels
        sentinel_set sentinel_slaves""",
    "about the connection to a server: a store in the process has none": """
        client_reply from_pool from_url get_cache get_connection_kwargs get_retry set_retry parse_response""",
}

DIFFERENT: dict[str, str] = {}
