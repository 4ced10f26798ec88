"""The figures of INFO (contract: info.pxd).

Field names and their order are those of Redis 7.0.15, whose sections about things a store here does not have (files,
replicas, scripts, a cluster) answer as its server does when none is configured.  Server's section ends with libkv_version.

Deviations: allocator_* repeat the heap's own figure, since its slabs count exactly what is used.
"""

from libc.stdint cimport int64_t
from libc.string cimport strcmp, strlen

from libkv import __version__
from libkv.engine.blocking cimport Blocking
from libkv.engine.clock cimport clock_monotonic, clock_wall_us
from libkv.engine.config cimport (
    Config, RATE_COMMANDS, RATE_IN, RATE_OUT, RATE_SAMPLES, RATES, Rates, config_id, config_of, config_value,
)
from libkv.engine.durability cimport Durability
from libkv.engine.latency cimport latency_info
from libkv.engine.registry cimport Command, command_by_id
from libkv.engine.eviction cimport eviction_exceeded_us, eviction_of
from libkv.engine.session cimport session_memory
from libkv.engine.pubsub cimport PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD
from libkv.engine.push cimport Push
from libkv.engine.tracking cimport Tracking
from libkv.engine.types cimport S_EMBEDDED, CommandStats, Db, ErrorStat, Session
from libkv.scripting.script_engine cimport ScriptFigures, scripting_figures
from libkv.structures.buffer cimport buffer_add
from libkv.structures.number cimport number_print_i64, number_print_u64
from libkv.structures.order cimport order_bytes
from libkv.structures.table cimport table_bytes

cdef extern from *:
    """
    #define KV_TEXT_(x) #x
    #define KV_TEXT(x) KV_TEXT_(x)
    static const char kv_gcc_version[] = KV_TEXT(__GNUC__) "." KV_TEXT(__GNUC_MINOR__) "." KV_TEXT(__GNUC_PATCHLEVEL__);
    """
    const char* GCC_VERSION "kv_gcc_version"

cdef extern from "<unistd.h>" nogil:
    int getpid()
    long sysconf(int)
    ssize_t readlink(const char*, char*, size_t)
    ssize_t read(int, void*, size_t)
    int close(int)
    enum:
        _SC_PAGESIZE
        _SC_PHYS_PAGES

cdef extern from "<fcntl.h>" nogil:
    int open(const char*, int, ...)
    enum:
        O_RDONLY
        O_CLOEXEC

cdef extern from "<sys/utsname.h>" nogil:
    cdef struct utsname:
        char sysname[65]
        char release[65]
        char machine[65]
    int uname(utsname*)

cdef extern from "<sys/resource.h>" nogil:
    cdef struct timeval:
        long tv_sec
        long tv_usec
    cdef struct rusage:
        timeval ru_utime
        timeval ru_stime
    int getrusage(int, rusage*)
    enum:
        RUSAGE_SELF
        RUSAGE_CHILDREN

cdef extern from *:
    """
    #ifndef RUSAGE_THREAD
    #define RUSAGE_THREAD 1
    #endif
    """
    enum:
        RUSAGE_THREAD

cdef bytes version_bytes = __version__.encode()
cdef const char* LIBKV_VERSION = version_bytes
cdef int MAXMEMORY_POLICY = config_id(b"maxmemory-policy")
cdef int BACKLOG_SIZE = config_id(b"repl-backlog-size")


# ---- lines

cdef void put(Buffer* out, const char* text) noexcept nogil:
    buffer_add(out, text, strlen(text))


cdef void put_u64(Buffer* out, uint64_t v) noexcept nogil:
    cdef char[24] text
    buffer_add(out, text, number_print_u64(text, v))


cdef void text_field(Buffer* out, const char* name, const char* value) noexcept nogil:
    put(out, name)
    buffer_add(out, b":", 1)
    put(out, value)
    buffer_add(out, b"\r\n", 2)


cdef void field(Buffer* out, const char* name, uint64_t v) noexcept nogil:
    put(out, name)
    buffer_add(out, b":", 1)
    put_u64(out, v)
    buffer_add(out, b"\r\n", 2)


cdef void signed_field(Buffer* out, const char* name, int64_t v) noexcept nogil:
    cdef char[24] text
    put(out, name)
    buffer_add(out, b":", 1)
    buffer_add(out, text, number_print_i64(text, v))
    buffer_add(out, b"\r\n", 2)


cdef void ratio_field(Buffer* out, const char* name, uint64_t a, uint64_t b, const char* unit) noexcept nogil:
    """a / b with two decimals."""
    put(out, name)
    buffer_add(out, b":", 1)
    info_fraction(out, a, b, 2)
    put(out, unit)
    buffer_add(out, b"\r\n", 2)


cdef void human_field(Buffer* out, const char* name, uint64_t v) noexcept nogil:
    cdef char[24] text
    info_human(v, text)
    text_field(out, name, text)


cdef void script_fields(Kv* kv, Buffer* out) noexcept nogil:
    cdef ScriptFigures f
    scripting_figures(kv, &f)
    field(out, b"used_memory_lua", f.vm_scripts)
    field(out, b"used_memory_vm_eval", f.vm_scripts)
    human_field(out, b"used_memory_lua_human", f.vm_scripts)
    field(out, b"used_memory_scripts_eval", f.scripts_bytes)
    field(out, b"number_of_cached_scripts", f.scripts)
    field(out, b"number_of_functions", f.functions)
    field(out, b"number_of_libraries", f.libraries)
    field(out, b"used_memory_vm_functions", f.vm_functions)
    field(out, b"used_memory_vm_total", f.vm_scripts + f.vm_functions)
    human_field(out, b"used_memory_vm_total_human", f.vm_scripts + f.vm_functions)
    field(out, b"used_memory_functions", f.functions_bytes)
    field(out, b"used_memory_scripts", f.scripts_bytes + f.functions_bytes)
    human_field(out, b"used_memory_scripts_human", f.scripts_bytes + f.functions_bytes)


cdef void info_fraction(Buffer* out, uint64_t a, uint64_t b, int digits) noexcept nogil:
    """Rounded; in numbers of 64 bits, so without the process's locale (a decimal comma) and exact up to 2**53."""
    cdef uint64_t scale = 1
    cdef uint64_t v
    cdef uint64_t rest
    cdef uint64_t place
    cdef int _i
    for _i in range(digits):
        scale *= 10
    v = <uint64_t>(<double>a / <double>b * <double>scale + 0.5) if b else 0
    put_u64(out, v // scale)
    buffer_add(out, b".", 1)
    rest = v % scale
    place = scale // 10
    while place:
        put_u64(out, rest // place % 10)
        place //= 10


cdef int info_human(uint64_t bytes, char* out) noexcept nogil:
    cdef const char* units = b"BKMGTPE"
    cdef int unit = 0
    cdef double v = <double>bytes
    cdef uint64_t hundredths
    cdef int n
    while v >= 1024.0 and unit < 6:
        v /= 1024.0
        unit += 1
    if unit == 0:
        n = number_print_u64(out, bytes)
    else:
        hundredths = <uint64_t>(v * 100.0 + 0.5)
        n = number_print_u64(out, hundredths // 100)
        out[n] = b"."
        out[n + 1] = <char>(48 + hundredths // 10 % 10)
        out[n + 2] = <char>(48 + hundredths % 10)
        n += 3
    out[n] = units[unit]
    out[n + 1] = 0
    return n + 1


# ---- what is measured

cdef uint64_t resident() noexcept nogil:
    """Bytes of the process in memory; 0 when /proc can't be read."""
    cdef char[128] text
    cdef int fd = open(b"/proc/self/statm", O_RDONLY | O_CLOEXEC)
    cdef ssize_t n
    cdef ssize_t i = 0
    cdef uint64_t pages = 0
    if fd < 0:
        return 0
    n = read(fd, text, sizeof(text))
    close(fd)
    while i < n and text[i] != b" ":
        i += 1
    i += 1
    while i < n and 48 <= text[i] <= 57:
        pages = pages * 10 + <uint64_t>(text[i] - 48)
        i += 1
    return pages * <uint64_t>sysconf(_SC_PAGESIZE)


cdef void info_memory(Kv* kv, Memory* m) noexcept nogil:
    cdef Session* s = kv.sessions
    cdef int i
    m.clients = 0
    while s != NULL:
        m.clients += session_memory(s)
        s = s.next
    m.start = config_of(kv).memory_at_start
    m.used = kv.heap.used + m.clients
    m.overhead = m.start + m.clients
    m.keys = 0
    for i in range(kv.n_dbs):
        m.keys += kv.dbs[i].keys.used
        if kv.dbs[i].keys.used:
            m.overhead += table_bytes(&kv.dbs[i].keys) + order_bytes(&kv.dbs[i].expires)
    m.overhead = min(m.overhead, m.used)
    m.dataset = m.used - m.overhead
    kv.stats.peak_memory = max(kv.stats.peak_memory, m.used)
    m.peak = kv.stats.peak_memory
    m.rss = resident()


cdef void info_sample(Kv* kv) noexcept nogil:
    """One sample a 100 ms or more; the clock may be a test's and stand still."""
    cdef Rates* r = &config_of(kv).rates
    cdef int64_t now = clock_monotonic(kv)
    cdef uint64_t[3] counters
    cdef uint64_t gone
    cdef int i
    counters[RATE_COMMANDS] = kv.stats.commands
    counters[RATE_IN] = kv.stats.net_in
    counters[RATE_OUT] = kv.stats.net_out
    if r.at_us and now - r.at_us < 100000:
        return
    for i in range(RATES):
        if r.at_us and counters[i] >= r.last[i]:
            gone = <uint64_t>(now - r.at_us)
            r.samples[i][r.next] = <double>(counters[i] - r.last[i]) * 1e6 / <double>gone
        else:
            r.samples[i][r.next] = 0.0
        r.last[i] = counters[i]
    r.next = (r.next + 1) % RATE_SAMPLES
    r.at_us = now


cdef uint64_t rate(Kv* kv, int which) noexcept nogil:
    cdef double total = 0.0
    cdef int i = 0
    for i in range(RATE_SAMPLES):
        total += config_of(kv).rates.samples[which][i]
    return <uint64_t>(total / <double>RATE_SAMPLES)


# ---- sections

cdef void write_server(Kv* kv, Buffer* out) noexcept nogil:
    cdef utsname name
    cdef char[4096] path
    cdef ssize_t n
    cdef Config* f = config_of(kv)
    cdef int64_t up = (clock_monotonic(kv) - kv.started_mono) // 1000000
    up = max(up, 0)
    put(out, b"# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0\r\n"
        b"redis_mode:standalone\r\nos:")
    if uname(&name) == 0:
        put(out, name.sysname)
        put(out, b" ")
        put(out, name.release)
        put(out, b" ")
        put(out, name.machine)
    put(out, b"\r\n")
    field(out, b"arch_bits", 8 * sizeof(void*))
    put(out, b"monotonic_clock:POSIX clock_gettime\r\nmultiplexing_api:epoll\r\natomicvar_api:c11-builtin\r\n")
    text_field(out, b"gcc_version", GCC_VERSION)
    field(out, b"process_id", <uint64_t>getpid())
    text_field(out, b"process_supervised", b"no")
    text_field(out, b"run_id", kv.run_id)
    field(out, b"tcp_port", <uint64_t>f.settings.port)
    field(out, b"server_time_usec", <uint64_t>clock_wall_us(kv))
    field(out, b"uptime_in_seconds", <uint64_t>up)
    field(out, b"uptime_in_days", <uint64_t>(up // 86400))
    field(out, b"hz", <uint64_t>f.settings.hz)
    field(out, b"configured_hz", <uint64_t>f.settings.hz)
    field(out, b"lru_clock", kv.lru_clock)
    n = readlink(b"/proc/self/exe", path, sizeof(path) - 1)
    path[max(n, 0)] = 0
    text_field(out, b"executable", path)
    if f.file != NULL:
        text_field(out, b"config_file", f.file)
    else:
        text_field(out, b"config_file", b"")
    field(out, b"io_threads_active", 0)
    text_field(out, b"libkv_version", LIBKV_VERSION)


cdef void write_clients(Kv* kv, Buffer* out) noexcept nogil:
    cdef Session* s = kv.sessions
    cdef uint64_t connected = 0
    while s != NULL:
        connected += not s.flags & S_EMBEDDED
        s = s.next
    put(out, b"# Clients\r\n")
    field(out, b"connected_clients", connected)
    field(out, b"cluster_connections", 0)
    field(out, b"maxclients", <uint64_t>kv.settings.maxclients)
    field(out, b"client_recent_max_input_buffer", kv.stats.max_query_buffer)
    field(out, b"client_recent_max_output_buffer", kv.stats.max_output_buffer)
    field(out, b"blocked_clients", kv.n_blocked)
    field(out, b"tracking_clients", kv.n_tracking)
    field(out, b"clients_in_timeout_table", (<Blocking*>kv.blocking).heap_n)


cdef void write_memory(Kv* kv, Buffer* out) noexcept nogil:
    cdef Memory m
    cdef uint64_t system = <uint64_t>sysconf(_SC_PHYS_PAGES) * <uint64_t>sysconf(_SC_PAGESIZE)
    info_memory(kv, &m)
    put(out, b"# Memory\r\n")
    field(out, b"used_memory", m.used)
    human_field(out, b"used_memory_human", m.used)
    field(out, b"used_memory_rss", m.rss)
    human_field(out, b"used_memory_rss_human", m.rss)
    field(out, b"used_memory_peak", m.peak)
    human_field(out, b"used_memory_peak_human", m.peak)
    ratio_field(out, b"used_memory_peak_perc", m.used * 100, m.peak, b"%")
    field(out, b"used_memory_overhead", m.overhead)
    field(out, b"used_memory_startup", m.start)
    field(out, b"used_memory_dataset", m.dataset)
    ratio_field(out, b"used_memory_dataset_perc", m.dataset * 100, m.used - min(m.start, m.used), b"%")
    field(out, b"allocator_allocated", kv.heap.used)
    field(out, b"allocator_active", kv.heap.used)
    field(out, b"allocator_resident", kv.heap.used)
    field(out, b"total_system_memory", system)
    human_field(out, b"total_system_memory_human", system)
    script_fields(kv, out)
    field(out, b"maxmemory", kv.settings.maxmemory)
    human_field(out, b"maxmemory_human", kv.settings.maxmemory)
    text_field(out, b"maxmemory_policy", config_value(kv, MAXMEMORY_POLICY).p)
    put(out, b"allocator_frag_ratio:1.00\r\nallocator_frag_bytes:0\r\nallocator_rss_ratio:1.00\r\nallocator_rss_bytes:0\r\n")
    ratio_field(out, b"rss_overhead_ratio", m.rss, kv.heap.used, b"")
    signed_field(out, b"rss_overhead_bytes", <int64_t>m.rss - <int64_t>kv.heap.used)
    ratio_field(out, b"mem_fragmentation_ratio", m.rss, m.used, b"")
    signed_field(out, b"mem_fragmentation_bytes", <int64_t>m.rss - <int64_t>m.used)
    put(out, b"mem_not_counted_for_evict:0\r\nmem_replication_backlog:0\r\nmem_total_replication_buffers:0\r\n"
        b"mem_clients_slaves:0\r\n")
    field(out, b"mem_clients_normal", m.clients)
    put(out, b"mem_cluster_links:0\r\nmem_aof_buffer:0\r\nmem_allocator:libkv\r\nactive_defrag_running:0\r\n")
    field(out, b"lazyfree_pending_objects", kv.n_doomed)
    field(out, b"lazyfreed_objects", kv.stats.lazyfreed)


cdef void write_persistence(Kv* kv, Buffer* out) noexcept nogil:
    """The durable side's own (libkv.persistence)."""
    cdef Durability* d = <Durability*>kv.journal
    put(out, b"# Persistence\r\n")
    if d != NULL:
        d.info(kv, out)


cdef void write_stats(Kv* kv, Buffer* out) noexcept nogil:
    cdef Durability* d = <Durability*>kv.journal
    put(out, b"# Stats\r\n")
    field(out, b"total_connections_received", kv.stats.connections)
    field(out, b"total_commands_processed", kv.stats.commands)
    field(out, b"instantaneous_ops_per_sec", rate(kv, RATE_COMMANDS))
    field(out, b"total_net_input_bytes", kv.stats.net_in)
    field(out, b"total_net_output_bytes", kv.stats.net_out)
    put(out, b"total_net_repl_input_bytes:0\r\ntotal_net_repl_output_bytes:0\r\n")
    ratio_field(out, b"instantaneous_input_kbps", rate(kv, RATE_IN), 1024, b"")
    ratio_field(out, b"instantaneous_output_kbps", rate(kv, RATE_OUT), 1024, b"")
    put(out, b"instantaneous_input_repl_kbps:0.00\r\ninstantaneous_output_repl_kbps:0.00\r\n")
    field(out, b"rejected_connections", kv.stats.rejected_connections)
    put(out, b"sync_full:0\r\nsync_partial_ok:0\r\nsync_partial_err:0\r\n")
    field(out, b"expired_keys", kv.stats.expired)
    ratio_field(out, b"expired_stale_perc", kv.stats.expired_stale_perc_x100, 100, b"")
    field(out, b"expired_time_cap_reached_count", kv.stats.expire_cap_reached)
    field(out, b"expire_cycle_cpu_milliseconds", kv.stats.expire_cycle_us // 1000)
    field(out, b"evicted_keys", kv.stats.evicted)
    field(out, b"evicted_clients", eviction_of(kv).evicted_clients)
    field(out, b"total_eviction_exceeded_time", (eviction_of(kv).exceeded_us + eviction_exceeded_us(kv)) // 1000)
    field(out, b"current_eviction_exceeded_time", eviction_exceeded_us(kv) // 1000)
    field(out, b"keyspace_hits", kv.stats.hits)
    field(out, b"keyspace_misses", kv.stats.misses)
    field(out, b"pubsub_channels", (<Push*>kv.pubsub).channels[PUBSUB_CHANNEL].used)
    field(out, b"pubsub_patterns", (<Push*>kv.pubsub).channels[PUBSUB_PATTERN].used)
    field(out, b"pubsubshard_channels", (<Push*>kv.pubsub).channels[PUBSUB_SHARD].used)
    field(out, b"latest_fork_usec", <uint64_t>d.fork_us if d != NULL else 0)
    field(out, b"total_forks", d.forks if d != NULL else 0)
    put(out, b"migrate_cached_sockets:0\r\nslave_expires_tracked_keys:0\r\nactive_defrag_hits:0\r\nactive_defrag_misses:0\r\n"
        b"active_defrag_key_hits:0\r\nactive_defrag_key_misses:0\r\ntotal_active_defrag_time:0\r\n"
        b"current_active_defrag_time:0\r\n")
    field(out, b"tracking_total_keys", (<Tracking*>kv.tracking).keys.used)
    field(out, b"tracking_total_items", (<Tracking*>kv.tracking).items)
    field(out, b"tracking_total_prefixes", (<Tracking*>kv.tracking).prefixes.used)
    field(out, b"unexpected_error_replies", kv.stats.unexpected_errors)
    field(out, b"total_error_replies", kv.stats.error_replies)
    put(out, b"dump_payload_sanitizations:0\r\n")
    field(out, b"total_reads_processed", kv.stats.reads_processed)
    field(out, b"total_writes_processed", kv.stats.writes_processed)
    put(out, b"io_threaded_reads_processed:0\r\nio_threaded_writes_processed:0\r\nreply_buffer_shrinks:0\r\n"
        b"reply_buffer_expands:0\r\n")


cdef void write_replication(Kv* kv, Buffer* out) noexcept nogil:
    """A master without replicas; its replication id is the run id read backwards."""
    cdef char[41] id
    cdef int i
    for i in range(40):
        id[i] = kv.run_id[39 - i]
    id[40] = 0
    put(out, b"# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n")
    text_field(out, b"master_replid", id)
    put(out, b"master_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:0\r\nsecond_repl_offset:-1\r\n"
        b"repl_backlog_active:0\r\n")
    text_field(out, b"repl_backlog_size", config_value(kv, BACKLOG_SIZE).p)
    put(out, b"repl_backlog_first_byte_offset:0\r\nrepl_backlog_histlen:0\r\n")


cdef void time_field(Buffer* out, const char* name, timeval* t) noexcept nogil:
    """Seconds with six decimals."""
    cdef int64_t place = 100000
    put(out, name)
    buffer_add(out, b":", 1)
    put_u64(out, <uint64_t>t.tv_sec)
    buffer_add(out, b".", 1)
    while place:
        put_u64(out, <uint64_t>(t.tv_usec // place % 10))
        place //= 10
    buffer_add(out, b"\r\n", 2)


cdef void write_cpu(Buffer* out) noexcept nogil:
    cdef rusage self
    cdef rusage children
    cdef rusage thread
    getrusage(RUSAGE_SELF, &self)
    getrusage(RUSAGE_CHILDREN, &children)
    getrusage(RUSAGE_THREAD, &thread)
    put(out, b"# CPU\r\n")
    time_field(out, b"used_cpu_sys", &self.ru_stime)
    time_field(out, b"used_cpu_user", &self.ru_utime)
    time_field(out, b"used_cpu_sys_children", &children.ru_stime)
    time_field(out, b"used_cpu_user_children", &children.ru_utime)
    time_field(out, b"used_cpu_sys_main_thread", &thread.ru_stime)
    time_field(out, b"used_cpu_user_main_thread", &thread.ru_utime)


cdef void write_commandstats(Kv* kv, Buffer* out) noexcept nogil:
    cdef CommandStats* s
    cdef Command* cmd
    cdef int i
    put(out, b"# Commandstats\r\n")
    for i in range(kv.n_command_stats):
        s = &kv.command_stats[i]
        if s.calls == 0 and s.rejected == 0 and s.failed == 0:
            continue
        cmd = command_by_id(i)
        put(out, b"cmdstat_")
        buffer_add(out, cmd.full, cmd.full_n)
        put(out, b":calls=")
        put_u64(out, s.calls)
        put(out, b",usec=")
        put_u64(out, s.usec_x1000 // 1000)
        put(out, b",usec_per_call=")
        info_fraction(out, s.usec_x1000 // 1000, s.calls, 2)
        put(out, b",rejected_calls=")
        put_u64(out, s.rejected)
        put(out, b",failed_calls=")
        put_u64(out, s.failed)
        put(out, b"\r\n")


cdef void write_errorstats(Kv* kv, Buffer* out) noexcept nogil:
    """In the order of the codes."""
    cdef ErrorStat* after
    cdef const char* last = b""
    cdef int k
    put(out, b"# Errorstats\r\n")
    while True:
        after = NULL
        for k in range(kv.n_errors):
            if strcmp(kv.errors[k].name, last) > 0 and (after == NULL or strcmp(kv.errors[k].name, after.name) < 0):
                after = &kv.errors[k]
        if after == NULL:
            return
        put(out, b"errorstat_")
        put(out, after.name)
        put(out, b":count=")
        put_u64(out, after.count)
        put(out, b"\r\n")
        last = after.name


cdef void write_keyspace(Kv* kv, Buffer* out) noexcept nogil:
    cdef Db* db
    cdef int i
    put(out, b"# Keyspace\r\n")
    for i in range(kv.n_dbs):
        db = &kv.dbs[i]
        if db.keys.used == 0:
            continue
        put(out, b"db")
        put_u64(out, i)
        put(out, b":keys=")
        put_u64(out, db.keys.used)
        put(out, b",expires=")
        put_u64(out, db.expires.used)
        put(out, b",avg_ttl=")
        put_u64(out, <uint64_t>max(db.avg_ttl, <int64_t>0))
        put(out, b"\r\n")


cdef void write_section(Kv* kv, int section, Buffer* out) noexcept nogil:
    if section == INFO_SERVER:
        write_server(kv, out)
    elif section == INFO_CLIENTS:
        write_clients(kv, out)
    elif section == INFO_MEMORY:
        write_memory(kv, out)
    elif section == INFO_PERSISTENCE:
        write_persistence(kv, out)
    elif section == INFO_STATS:
        write_stats(kv, out)
    elif section == INFO_REPLICATION:
        write_replication(kv, out)
    elif section == INFO_CPU:
        write_cpu(out)
    elif section == INFO_MODULES:
        put(out, b"# Modules\r\n")
    elif section == INFO_COMMANDSTATS:
        write_commandstats(kv, out)
    elif section == INFO_ERRORSTATS:
        write_errorstats(kv, out)
    elif section == INFO_LATENCYSTATS:
        put(out, b"# Latencystats\r\n")
        latency_info(kv, out)
    elif section == INFO_CLUSTER:
        put(out, b"# Cluster\r\ncluster_enabled:0\r\n")
    else:
        write_keyspace(kv, out)


cdef void info_write(Kv* kv, int sections, Buffer* out) noexcept nogil:
    cdef bint first = True
    cdef int section = 1
    while section & INFO_ALL:
        if sections & section:
            if not first:
                buffer_add(out, b"\r\n", 2)
            first = False
            write_section(kv, section, out)
        section <<= 1
