"""Every directive of redis.conf 7.0.15 as data: the one source for CONFIG, the file parser's checks and the docs page.

Follows Redis 7.0.15 (`CONFIG GET *`, and the answers of its redis-server to good and bad values).  A row says what a
value may look like, what it is by default, whether it may change while the store runs, and what it does in libkv; a
directive without effect says why.  engine/config reads the rows once into C arrays; docs/configuration.md is printed
from them.

Three directives are libkv's own: libkv-spin, libkv-extensions and libkv-script-memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

INT_MIN, INT_MAX, UINT_MAX = -(2**31), 2**31 - 1, 2**32 - 1
I64_MAX, U64_MAX = 2**63 - 1, 2**64 - 1
KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive of redis.conf.

    kind: bool, enum, flags (several words of an enum), integer, octal, memory (bytes, with kb, mb, gb), percent
    (memory or N%), string, or the name of a form of its own (save, output-limit, oom-values, percentiles, bind, events,
    dir, replicaof, title, hostname, filename, defrag).
    default: as CONFIG GET shows it.  low, high: limits of a number, both inclusive.  words: an enum's, in order; the
    index is the value in engine/settings.
    immutable: only in the file or on the command line.  protected: needs enable-protected-configs.  hidden: CONFIG GET
    shows it only by its full name.  multi: takes several words.  secret: kept out of the slow log.
    no_effect: why it does nothing in libkv; "" when it does what it says.
    """

    name: str
    section: str
    kind: str
    default: str
    about: str
    low: int = 0
    high: int = 0
    words: tuple[str, ...] = ()
    alias: str = ""
    immutable: bool = False
    protected: bool = False
    hidden: bool = False
    multi: bool = False
    secret: bool = False
    no_effect: str = ""


# why a directive has no effect, said once
_CHECKED = "what is loaded is always checked in depth"
_OWN_PACE = "loading lets others in by its own measure"
_NO_REPLICATION = "the store has no replicas and follows no master"
_NO_CLUSTER = "cluster mode is not part of libkv"
_OWN_MEMORY = "memory comes from libkv's own slabs"
_NO_MODULES = "modules of redis-server can't be loaded"
_NO_CPU_LISTS = "threads are not pinned; use taskset"
_NO_OOM = "a library leaves its process's OOM score alone"
_IN_SLICES = "large values are always freed in slices"
_NO_CRASH = "crashes are the interpreter's; use faulthandler"
_TLS_SESSIONS = "sessions are cached as Python's ssl module does it"


def _flag(name: str, default: bool, about: str, **more: object) -> Directive:
    return Directive(name, "", "bool", "yes" if default else "no", about, **more)  # type: ignore[arg-type]


def _number(name: str, default: int, about: str, low: int = 0, high: int = INT_MAX, **more: object) -> Directive:
    return Directive(name, "", "integer", str(default), about, low, high, **more)  # type: ignore[arg-type]


def _bytes(name: str, default: int, about: str, low: int = 0, high: int = I64_MAX, **more: object) -> Directive:
    return Directive(name, "", "memory", str(default), about, low, high, **more)  # type: ignore[arg-type]


def _words(name: str, default: str, words: str, about: str, **more: object) -> Directive:
    return Directive(name, "", "enum", default, about, words=tuple(words.split()), **more)  # type: ignore[arg-type]


def _text(name: str, default: str, about: str, **more: object) -> Directive:
    return Directive(name, "", "string", default, about, **more)  # type: ignore[arg-type]


def _form(name: str, kind: str, default: str, about: str, **more: object) -> Directive:
    return Directive(name, "", kind, default, about, **more)  # type: ignore[arg-type]


_SHUTDOWN_WORDS = ("default", "save", "nosave", "now", "force")
_EVERYTHING_OR_LOCAL = "no yes local"

_SECTIONS: dict[str, tuple[Directive, ...]] = {
    "Network": (
        _form("bind", "bind", "* -::*", "addresses to listen on; a leading - lets one be missing", multi=True),
        _number("port", 6379, "TCP port; 0 listens on none", 0, 65535),
        _flag("protected-mode", True, "without a password, only loopback and unix sockets are served"),
        _number("tcp-backlog", 511, "connections that may wait to be accepted", immutable=True),
        _text("unixsocket", "", "path of a unix socket to listen on", immutable=True),
        _form(
            "unixsocketperm",
            "octal",
            "0",
            "mode of the unix socket, octal; 0 leaves it",
            low=0,
            high=0o777,
            immutable=True,
        ),
        _number("timeout", 0, "seconds of silence after which a client is closed; 0 never"),
        _number("tcp-keepalive", 300, "seconds between TCP keep-alive probes; 0 off"),
        _text("bind-source-addr", "", "address that connections to a master come from", no_effect=_NO_REPLICATION),
        _number(
            "socket-mark-id",
            0,
            "mark (SO_MARK) put on listening sockets",
            0,
            UINT_MAX,
            immutable=True,
            no_effect="sockets are not marked",
        ),
        _number("maxclients", 10000, "connections served at a time", 1, UINT_MAX),
    ),
    "TLS": (
        _number("tls-port", 0, "TCP port of TLS; 0 listens on none", 0, 65535),
        _text("tls-cert-file", "", "the server's certificate, PEM"),
        _text("tls-key-file", "", "the certificate's private key, PEM"),
        _text("tls-key-file-pass", "", "the private key's pass phrase", secret=True),
        _text("tls-client-cert-file", "", "certificate shown to a master", no_effect=_NO_REPLICATION),
        _text("tls-client-key-file", "", "private key of that certificate", no_effect=_NO_REPLICATION),
        _text("tls-client-key-file-pass", "", "pass phrase of that key", secret=True, no_effect=_NO_REPLICATION),
        _text("tls-dh-params-file", "", "Diffie-Hellman parameters, PEM"),
        _text("tls-ca-cert-file", "", "certificates that may sign a client's"),
        _text("tls-ca-cert-dir", "", "a directory of such certificates"),
        _words("tls-auth-clients", "yes", "no yes optional", "whether clients must show a certificate"),
        _flag("tls-replication", False, "TLS to a master", no_effect=_NO_REPLICATION),
        _flag("tls-cluster", False, "TLS on the cluster's bus", no_effect=_NO_CLUSTER),
        _text("tls-protocols", "", 'versions to speak, e.g. "TLSv1.2 TLSv1.3"'),
        _text("tls-ciphers", "", "ciphers of TLS 1.2 and before"),
        _text("tls-ciphersuites", "", "cipher suites of TLS 1.3", no_effect="Python's ssl module fixes them"),
        _flag("tls-prefer-server-ciphers", False, "the server's order of ciphers decides"),
        _flag("tls-session-caching", True, "sessions may be resumed", no_effect=_TLS_SESSIONS),
        _number("tls-session-cache-size", 20480, "sessions kept for that", no_effect=_TLS_SESSIONS),
        _number("tls-session-cache-timeout", 300, "seconds a session is kept", no_effect=_TLS_SESSIONS),
    ),
    "General": (
        _flag("daemonize", False, "the server goes to the background", immutable=True),
        _words(
            "supervised",
            "no",
            "upstart systemd auto no",
            "which supervisor is told that the server is ready",
            immutable=True,
        ),
        _text("pidfile", "", "file that holds the server's PID while it runs", immutable=True),
        _words("loglevel", "notice", "debug verbose notice warning", "least important line that is logged"),
        _text("logfile", "", "file of the log; empty is standard output", immutable=True),
        _flag("syslog-enabled", False, "log to syslog", immutable=True),
        _text("syslog-ident", "redis", "name in syslog", immutable=True),
        _words(
            "syslog-facility",
            "local0",
            "user local0 local1 local2 local3 local4 local5 local6 local7",
            "facility in syslog",
            immutable=True,
        ),
        _flag("crash-log-enabled", True, "report of a crash in the log", no_effect=_NO_CRASH),
        _flag("crash-memcheck-enabled", True, "test of the memory after a crash", no_effect=_NO_CRASH),
        _number("databases", 16, "databases, numbered from 0", 1, immutable=True),
        _flag("always-show-logo", False, "the banner at start even when the log is not a terminal", immutable=True),
        _flag("set-proc-title", True, "the process's title says what it is", immutable=True),
        _form("proc-title-template", "title", "{title} {listen-addr} {server-mode}", "how the process's title reads"),
        _text(
            "ignore-warnings",
            "",
            "warnings of the start that are not wanted (ARM64-COW-BUG)",
            no_effect="the start has no such warnings",
        ),
        _text("server_cpulist", "", "CPUs of the serving thread", immutable=True, no_effect=_NO_CPU_LISTS),
        _text("bio_cpulist", "", "CPUs of background threads", immutable=True, no_effect=_NO_CPU_LISTS),
        _text("aof_rewrite_cpulist", "", "CPUs of the AOF's rewriting", immutable=True, no_effect=_NO_CPU_LISTS),
        _text("bgsave_cpulist", "", "CPUs of the snapshot child", immutable=True, no_effect=_NO_CPU_LISTS),
        _form("dir", "dir", ".", "directory that relative file names start from", protected=True),
    ),
    "Snapshots": (
        _form(
            "save",
            "save",
            "3600 1 300 100 60 10000",
            "seconds and changes after which a snapshot is written",
            multi=True,
        ),
        _flag("stop-writes-on-bgsave-error", True, "no writes after a failed snapshot"),
        _flag("rdbcompression", True, "strings in a snapshot are compressed"),
        _flag("rdbchecksum", True, "a snapshot ends with a checksum", immutable=True),
        _words(
            "sanitize-dump-payload",
            "no",
            "no yes clients",
            "depth of checks on loaded values",
            no_effect=_CHECKED,
        ),
        _form("dbfilename", "filename", "dump.rdb", "the snapshot's file name", protected=True),
        _flag("rdb-del-sync-files", False, "a replica's snapshot is deleted after use", no_effect=_NO_REPLICATION),
        _flag("rdb-save-incremental-fsync", True, "a snapshot goes to disk piece by piece"),
        _number(
            "rdb-key-save-delay",
            0,
            "us to wait after each key saved (tests)",
            INT_MIN,
            hidden=True,
        ),
        _number(
            "key-load-delay",
            0,
            "us to wait after each key loaded (tests)",
            INT_MIN,
            hidden=True,
            no_effect=_OWN_PACE,
        ),
        _number(
            "loading-process-events-interval-bytes",
            2 * MB,
            "bytes loaded between two looks at the clients",
            1024,
            hidden=True,
            no_effect=_OWN_PACE,
        ),
    ),
    "Replication": (
        _form(
            "replicaof",
            "replicaof",
            "",
            "the master to follow: host and port",
            alias="slaveof",
            immutable=True,
            multi=True,
            no_effect=_NO_REPLICATION,
        ),
        _text("masterauth", "", "password for the master", secret=True, no_effect=_NO_REPLICATION),
        _text("masteruser", "", "user for the master", no_effect=_NO_REPLICATION),
        _flag(
            "replica-serve-stale-data",
            True,
            "a replica without its master goes on answering",
            alias="slave-serve-stale-data",
            no_effect=_NO_REPLICATION,
        ),
        _flag(
            "replica-read-only",
            True,
            "clients can't write to a replica",
            alias="slave-read-only",
            no_effect=_NO_REPLICATION,
        ),
        _flag("repl-diskless-sync", True, "a full copy goes straight to the replicas", no_effect=_NO_REPLICATION),
        _number(
            "repl-diskless-sync-delay", 5, "seconds to wait for more replicas before it", no_effect=_NO_REPLICATION
        ),
        _number("repl-diskless-sync-max-replicas", 0, "replicas that end the wait; 0 none", no_effect=_NO_REPLICATION),
        _words(
            "repl-diskless-load",
            "disabled",
            "disabled on-empty-db swapdb",
            "a replica loads without a file",
            no_effect=_NO_REPLICATION,
        ),
        _flag("repl-disable-tcp-nodelay", False, "larger packets to replicas", no_effect=_NO_REPLICATION),
        _number(
            "repl-ping-replica-period",
            10,
            "seconds between a master's pings",
            1,
            alias="repl-ping-slave-period",
            no_effect=_NO_REPLICATION,
        ),
        _number("repl-timeout", 60, "seconds of silence that end a link", 1, no_effect=_NO_REPLICATION),
        _bytes(
            "repl-backlog-size",
            MB,
            "bytes of the stream kept for replicas that come back",
            1,
            no_effect=_NO_REPLICATION,
        ),
        _number(
            "repl-backlog-ttl",
            3600,
            "seconds the backlog outlives the last replica",
            0,
            I64_MAX,
            no_effect=_NO_REPLICATION,
        ),
        _number(
            "replica-priority",
            100,
            "order in which Sentinel promotes; 0 never",
            alias="slave-priority",
            no_effect=_NO_REPLICATION,
        ),
        _flag("replica-announced", True, "Sentinel reports this replica", no_effect=_NO_REPLICATION),
        _number(
            "min-replicas-to-write",
            0,
            "good replicas without which writes are refused",
            alias="min-slaves-to-write",
            no_effect=_NO_REPLICATION,
        ),
        _number(
            "min-replicas-max-lag",
            10,
            "seconds of lag of a good replica",
            alias="min-slaves-max-lag",
            no_effect=_NO_REPLICATION,
        ),
        _text(
            "replica-announce-ip",
            "",
            "address a replica gives its master",
            alias="slave-announce-ip",
            no_effect=_NO_REPLICATION,
        ),
        _number(
            "replica-announce-port",
            0,
            "port a replica gives its master",
            0,
            65535,
            alias="slave-announce-port",
            no_effect=_NO_REPLICATION,
        ),
        _words(
            "propagation-error-behavior",
            "ignore",
            "ignore panic panic-on-replicas",
            "what to do when the stream goes wrong",
            no_effect=_NO_REPLICATION,
        ),
        _flag(
            "replica-ignore-disk-write-errors",
            False,
            "a replica goes on when its disk fails",
            no_effect=_NO_REPLICATION,
        ),
        _flag(
            "replica-ignore-maxmemory",
            True,
            "a replica evicts nothing by itself",
            alias="slave-ignore-maxmemory",
            no_effect=_NO_REPLICATION,
        ),
        _flag(
            "replica-lazy-flush",
            False,
            "a replica drops old data in slices",
            alias="slave-lazy-flush",
            no_effect=_NO_REPLICATION,
        ),
    ),
    "Security": (
        _text("requirepass", "", "password of the default user", secret=True),
        _text("aclfile", "", "file of users", immutable=True),
        _number("acllog-max-len", 128, "entries of ACL LOG", 0, I64_MAX),
        _words(
            "acl-pubsub-default",
            "resetchannels",
            "allchannels resetchannels",
            "channels of a new user",
        ),
        _words(
            "enable-protected-configs",
            "no",
            _EVERYTHING_OR_LOCAL,
            "who may change protected directives",
            immutable=True,
        ),
        _words("enable-debug-command", "no", _EVERYTHING_OR_LOCAL, "who may use DEBUG", immutable=True),
        _words(
            "enable-module-command",
            "no",
            _EVERYTHING_OR_LOCAL,
            "who may use MODULE",
            immutable=True,
            no_effect=_NO_MODULES,
        ),
    ),
    "Clients": (
        _form(
            "client-output-buffer-limit",
            "output-limit",
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
            "a class's hard limit, soft limit (bytes) and seconds above the soft one, of replies not read",
            multi=True,
        ),
        _bytes("client-query-buffer-limit", GB, "bytes of one unfinished command", MB),
        _bytes("proto-max-bulk-len", 512 * MB, "bytes of one argument", MB),
        _form(
            "maxmemory-clients",
            "percent",
            "0",
            "bytes (or part of maxmemory) of all clients' buffers",
        ),
        _number(
            "tracking-table-max-keys",
            1000000,
            "keys remembered for client-side caching",
            0,
            I64_MAX,
        ),
        _number(
            "io-threads",
            1,
            "threads that read and write",
            1,
            128,
            immutable=True,
            no_effect="one thread without the GIL serves all connections",
        ),
        _flag(
            "io-threads-do-reads",
            False,
            "these threads read, too",
            immutable=True,
            no_effect="one thread without the GIL serves all connections",
        ),
    ),
    "Memory": (
        _bytes("maxmemory", 0, "bytes the store may use; 0 no limit", 0, U64_MAX),
        _words(
            "maxmemory-policy",
            "noeviction",
            "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction",
            "which keys go when memory is short",
        ),
        _number("maxmemory-samples", 5, "keys looked at for one that goes", 1),
        _number("maxmemory-eviction-tenacity", 10, "how long an eviction may take, 0 to 100", 0, 100),
        _number("lfu-log-factor", 10, "how slowly the access counter grows"),
        _number("lfu-decay-time", 1, "minutes after which the access counter sinks by one"),
        _number("active-expire-effort", 1, "work spent on expired keys, 1 to 10", 1, 10),
        _flag("lazyfree-lazy-eviction", False, "an eviction is told to replicas and the journal as UNLINK, not DEL"),
        _flag("lazyfree-lazy-expire", False, "expired values are freed in slices", no_effect=_IN_SLICES),
        _flag("lazyfree-lazy-server-del", False, "overwritten values are freed in slices", no_effect=_IN_SLICES),
        _flag("lazyfree-lazy-user-del", False, "DEL frees as UNLINK does", no_effect=_IN_SLICES),
        _flag("lazyfree-lazy-user-flush", False, "FLUSHDB and FLUSHALL are ASYNC unless they say SYNC"),
        _words(
            "oom-score-adj",
            "no",
            "no yes relative absolute",
            "the kernel's OOM killer is told what to spare",
            no_effect=_NO_OOM,
        ),
        _form(
            "oom-score-adj-values",
            "oom-values",
            "0 200 800",
            "scores of master, replica and child",
            multi=True,
            no_effect=_NO_OOM,
        ),
        _flag(
            "disable-thp",
            True,
            "transparent huge pages are turned off",
            immutable=True,
            no_effect="a library leaves its process's memory settings alone",
        ),
        _flag("jemalloc-bg-thread", True, "jemalloc purges in a thread", no_effect=_OWN_MEMORY),
        _form("activedefrag", "defrag", "no", "memory is defragmented while running", no_effect=_OWN_MEMORY),
        _bytes("active-defrag-ignore-bytes", 100 * MB, "waste below which nothing is done", 1, no_effect=_OWN_MEMORY),
        _number(
            "active-defrag-threshold-lower", 10, "percent of waste where it starts", 0, 1000, no_effect=_OWN_MEMORY
        ),
        _number(
            "active-defrag-threshold-upper", 100, "percent of waste of full effort", 0, 1000, no_effect=_OWN_MEMORY
        ),
        _number("active-defrag-cycle-min", 1, "least percent of CPU", 1, 99, no_effect=_OWN_MEMORY),
        _number("active-defrag-cycle-max", 25, "most percent of CPU", 1, 99, no_effect=_OWN_MEMORY),
        _number(
            "active-defrag-max-scan-fields", 1000, "fields looked at in one step", 1, I64_MAX, no_effect=_OWN_MEMORY
        ),
    ),
    "Append-only file": (
        _flag("appendonly", False, "each change is written to a journal"),
        _form(
            "appendfilename",
            "filename",
            "appendonly.aof",
            "the journal's base name",
            immutable=True,
        ),
        _form("appenddirname", "filename", "appendonlydir", "the journal's directory", immutable=True),
        _words("appendfsync", "everysec", "everysec always no", "when the journal is forced to disk"),
        _flag("no-appendfsync-on-rewrite", False, "not while it is rewritten"),
        _number("auto-aof-rewrite-percentage", 100, "growth that starts a rewrite"),
        _bytes("auto-aof-rewrite-min-size", 64 * MB, "size below which none is started"),
        _flag("aof-load-truncated", True, "a journal with a cut end is loaded"),
        _flag("aof-use-rdb-preamble", True, "a rewritten journal starts with a snapshot"),
        _flag("aof-timestamp-enabled", False, "the journal holds times"),
        _flag("aof-rewrite-incremental-fsync", True, "a rewrite goes to disk piece by piece"),
        _flag("aof-disable-auto-gc", False, "old journal files stay"),
    ),
    "Shutdown": (
        _number("shutdown-timeout", 10, "seconds to wait for replicas", no_effect=_NO_REPLICATION),
        _form(
            "shutdown-on-sigint",
            "flags",
            "default",
            "what SIGINT does",
            words=_SHUTDOWN_WORDS,
            multi=True,
        ),
        _form(
            "shutdown-on-sigterm",
            "flags",
            "default",
            "what SIGTERM does",
            words=_SHUTDOWN_WORDS,
            multi=True,
        ),
        _flag(
            "use-exit-on-panic", False, "exit instead of abort", hidden=True, no_effect="the library ends no process"
        ),
        _number("watchdog-period", 0, "ms after which a slow command is traced", hidden=True, no_effect=_NO_CRASH),
    ),
    "Scripts": (
        _number(
            "busy-reply-threshold",
            5000,
            "ms after which a script's clients are told BUSY",
            0,
            I64_MAX,
            alias="lua-time-limit",
        ),
    ),
    "Cluster": (
        _flag("cluster-enabled", False, "the server is a node of a cluster", immutable=True, no_effect=_NO_CLUSTER),
        _text("cluster-config-file", "nodes.conf", "file of the node's view", immutable=True, no_effect=_NO_CLUSTER),
        _number("cluster-node-timeout", 15000, "ms until a node counts as failing", 0, I64_MAX, no_effect=_NO_CLUSTER),
        _number("cluster-port", 0, "port of the bus", 0, 65535, immutable=True, no_effect=_NO_CLUSTER),
        _number(
            "cluster-replica-validity-factor",
            10,
            "how stale a promoted replica may be",
            alias="cluster-slave-validity-factor",
            no_effect=_NO_CLUSTER,
        ),
        _number("cluster-migration-barrier", 1, "replicas a master keeps", no_effect=_NO_CLUSTER),
        _flag("cluster-allow-replica-migration", True, "replicas may change masters", no_effect=_NO_CLUSTER),
        _flag("cluster-require-full-coverage", True, "no slot may be without a node", no_effect=_NO_CLUSTER),
        _flag(
            "cluster-replica-no-failover",
            False,
            "never promoted by itself",
            alias="cluster-slave-no-failover",
            no_effect=_NO_CLUSTER,
        ),
        _flag("cluster-allow-reads-when-down", False, "reads while the cluster is down", no_effect=_NO_CLUSTER),
        _flag("cluster-allow-pubsubshard-when-down", True, "shard channels while it is down", no_effect=_NO_CLUSTER),
        _bytes("cluster-link-sendbuf-limit", 0, "bytes of a bus link's buffer", 0, U64_MAX, no_effect=_NO_CLUSTER),
        _form("cluster-announce-hostname", "hostname", "", "host name told to clients", no_effect=_NO_CLUSTER),
        _words(
            "cluster-preferred-endpoint-type",
            "ip",
            "ip hostname unknown-endpoint",
            "what clients are sent to",
            no_effect=_NO_CLUSTER,
        ),
        _text("cluster-announce-ip", "", "address told to others", no_effect=_NO_CLUSTER),
        _number("cluster-announce-port", 0, "port told to others", 0, 65535, no_effect=_NO_CLUSTER),
        _number("cluster-announce-bus-port", 0, "bus port told to others", 0, 65535, no_effect=_NO_CLUSTER),
        _number("cluster-announce-tls-port", 0, "TLS port told to others", 0, 65535, no_effect=_NO_CLUSTER),
    ),
    "Observation": (
        _number("slowlog-log-slower-than", 10000, "us from which a command is in the slow log; -1 none", -1, I64_MAX),
        _number("slowlog-max-len", 128, "entries of the slow log", 0, I64_MAX),
        _number(
            "latency-monitor-threshold",
            0,
            "ms from which an event is a latency spike; 0 off",
            0,
            I64_MAX,
        ),
        _flag("latency-tracking", True, "a histogram of each command's times"),
        _form(
            "latency-tracking-info-percentiles",
            "percentiles",
            "50 99 99.9",
            "percentiles shown by INFO",
            multi=True,
        ),
        _form(
            "notify-keyspace-events",
            "events",
            "",
            "classes of changes that are published",
        ),
    ),
    "Data structures": (
        _number(
            "hash-max-listpack-entries",
            512,
            "fields of a hash that is kept flat",
            0,
            I64_MAX,
            alias="hash-max-ziplist-entries",
        ),
        _bytes("hash-max-listpack-value", 64, "bytes of a field or value in it", alias="hash-max-ziplist-value"),
        _number(
            "list-max-listpack-size",
            -2,
            "elements (or, negative: a size class) of a list's chunk",
            INT_MIN,
            alias="list-max-ziplist-size",
        ),
        _number(
            "list-compress-depth",
            0,
            "chunks at a list's ends that are not compressed; 0 all",
            no_effect="chunks are never compressed",
        ),
        _number("set-max-intset-entries", 512, "members of a set of integers that is kept flat", 0, I64_MAX),
        _number(
            "zset-max-listpack-entries",
            128,
            "members of a sorted set that is kept flat",
            0,
            I64_MAX,
            alias="zset-max-ziplist-entries",
        ),
        _bytes("zset-max-listpack-value", 64, "bytes of a member in it", alias="zset-max-ziplist-value"),
        _bytes("hll-sparse-max-bytes", 3000, "bytes of a HyperLogLog's sparse form"),
        _bytes("stream-node-max-bytes", 4096, "bytes of a stream's node"),
        _number("stream-node-max-entries", 100, "entries of a stream's node", 0, I64_MAX),
        _flag("activerehashing", True, "tables are rehashed in idle moments"),
        _number("hz", 10, "runs of the background work a second, 1 to 500"),
        _flag("dynamic-hz", True, "more of them with many clients", no_effect="the work is the same with many clients"),
    ),
    "libkv": (
        _number(
            "libkv-spin",
            50,
            "us for which the loop polls before it sleeps, while clients are quick; 0 never",
            0,
            1000000,
        ),
        _number(
            "libkv-script-memory",
            GB,
            "bytes that the interpreter of scripts may take, and that of functions; they fail beyond it",
            16 * MB,
            I64_MAX,
        ),
        _flag("libkv-extensions", False, "commands newer than Redis 7.0.15", no_effect="the store has none"),
    ),
}

#: Every directive, in the order of the docs page and of CONFIG GET *.
DIRECTIVES: tuple[Directive, ...] = tuple(
    replace(row, section=section) for section, rows in _SECTIONS.items() for row in rows
)


@dataclass(frozen=True, slots=True)
class FileWord:
    """A word that a redis.conf line may start with although CONFIG does not know it."""

    name: str
    arguments: str
    about: str
    no_effect: str = ""


#: Words of the file that are no settings.
FILE_WORDS: tuple[FileWord, ...] = (
    FileWord("include", "PATH", "reads another file (or all that match a pattern) in this place"),
    FileWord("rename-command", "NAME NEW", "gives a command another name; an empty one removes it"),
    FileWord("user", "NAME RULE...", "defines a user"),
    FileWord("loadmodule", "PATH ARGUMENT...", "loads a module", _NO_MODULES),
    FileWord("sentinel", "...", "a directive of Sentinel; only in its own mode"),
    FileWord(
        "list-max-ziplist-entries", "NUMBER", "taken and dropped, as Redis does", "replaced by list-max-listpack-size"
    ),
    FileWord(
        "list-max-ziplist-value", "NUMBER", "taken and dropped, as Redis does", "replaced by list-max-listpack-size"
    ),
)


def directive(name: str) -> Directive | None:
    """The row of a directive by its name or alias, in any case; None when there is none."""
    return _BY_NAME.get(name.lower())


_BY_NAME: dict[str, Directive] = {}
for _row in DIRECTIVES:
    _BY_NAME[_row.name] = _row
    if _row.alias:
        _BY_NAME[_row.alias] = _row
