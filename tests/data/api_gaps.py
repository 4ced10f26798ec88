"""Where libkv.Store's methods differ from redis.Redis's, each with the reason.

`MISSING`: reason -> names of public methods that redis.Redis has and libkv.Store has not.
`DIFFERENT`: name of a method -> why its signature differs.
"""

MISSING = {
    "Redis 7.0 has no such command": """
        arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext arop
        arring arscan arseek arset blmovem client_no_touch client_setinfo delex digest digest_local hexpire hexpireat
        hexpiretime hgetdel hgetex himport_discard himport_discard_all himport_discard_all_internal
        himport_discard_internal himport_prepare himport_prepare_internal himport_registry himport_set hotkeys_get
        hotkeys_reset hotkeys_start hotkeys_stop hpersist hpexpire hpexpireat hpexpiretime hpttl hsetex httl increx
        lmovem msetex sdiffcard stralgo sunioncard vset waitaof xackdel xcfgset xdelex xnack""",
    "what a replica says on its connection": "psync sync",
    "a command of Redis's modules": """
        bf cf cms ft json tdigest topk ts load_external_module""",
    "a command of Sentinel": """
        sentinel sentinel_ckquorum sentinel_failover sentinel_flushconfig sentinel_get_master_addr_by_name
        sentinel_master sentinel_masters sentinel_monitor sentinel_remove sentinel_reset sentinel_sentinels
        sentinel_set sentinel_slaves""",
    "about the connection to a server: a store in the process has none": """
        client_reply from_pool from_url get_cache get_connection_kwargs get_retry set_retry parse_response""",
}

DIFFERENT: dict[str, str] = {}
