"""A store's figures for Prometheus, over HTTP.

with libkv.Store() as store, MetricsServer(store, port=9121) as metrics:
    urllib.request.urlopen(f"http://127.0.0.1:{metrics.port}/metrics")

Needs prometheus-client (the extra "metrics").  The figures are those of INFO and LATENCY, read when they are asked for.
Their names are those of redis_exporter (https://github.com/oliver006/redis_exporter), so that its dashboards work.
Whoever can connect may read them: listen where only Prometheus does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from libkv.api.replies import info
from libkv.store import StoreCore

#: name here -> field of INFO
GAUGES = {
    "uptime_in_seconds": "uptime_in_seconds",
    "connected_clients": "connected_clients",
    "blocked_clients": "blocked_clients",
    "tracking_clients": "tracking_clients",
    "pubsub_channels": "pubsub_channels",
    "pubsub_patterns": "pubsub_patterns",
    "config_maxclients": "maxclients",
    "memory_used_bytes": "used_memory",
    "memory_used_rss_bytes": "used_memory_rss",
    "memory_used_peak_bytes": "used_memory_peak",
    "memory_used_overhead_bytes": "used_memory_overhead",
    "memory_used_dataset_bytes": "used_memory_dataset",
    "memory_max_bytes": "maxmemory",
    "mem_clients_normal": "mem_clients_normal",
    "lazyfree_pending_objects": "lazyfree_pending_objects",
    "loading_dump_file": "loading",
    "rdb_changes_since_last_save": "rdb_changes_since_last_save",
    "rdb_last_save_timestamp_seconds": "rdb_last_save_time",
    "rdb_bgsave_in_progress": "rdb_bgsave_in_progress",
    "aof_enabled": "aof_enabled",
    "aof_rewrite_in_progress": "aof_rewrite_in_progress",
    "connected_slaves": "connected_slaves",
    "instantaneous_ops_per_sec": "instantaneous_ops_per_sec",
}
COUNTERS = {
    "commands_processed": "total_commands_processed",
    "connections_received": "total_connections_received",
    "rejected_connections": "rejected_connections",
    "net_input_bytes": "total_net_input_bytes",
    "net_output_bytes": "total_net_output_bytes",
    "keyspace_hits": "keyspace_hits",
    "keyspace_misses": "keyspace_misses",
    "expired_keys": "expired_keys",
    "evicted_keys": "evicted_keys",
    "evicted_clients": "evicted_clients",
    "total_error_replies": "total_error_replies",
    "total_reads_processed": "total_reads_processed",
    "total_writes_processed": "total_writes_processed",
    "cpu_sys_seconds": "used_cpu_sys",
    "cpu_user_seconds": "used_cpu_user",
}


class StoreCollector(Collector):
    """Reads a store's figures each time a registry is asked for its metrics.

    Register it in a registry of your own to tell a store's figures beside your application's.
    """

    def __init__(self, store: StoreCore) -> None:
        self.store = store

    def ask(self, *words: str) -> Any:
        return self.store.execute(tuple(word.encode() for word in words))

    def collect(self) -> Iterator[Metric]:
        """The metrics: prometheus_client calls it."""
        figures = info(self.ask("INFO", "everything"))
        yield GaugeMetricFamily("redis_up", "Whether the store answers", 1)
        told = (
            "redis_version",
            "libkv_version",
            "redis_mode",
            "role",
            "os",
            "process_id",
            "run_id",
            "maxmemory_policy",
        )
        about = {name: str(figures[name]) for name in told if name in figures}
        yield InfoMetricFamily("redis_instance", "What it is", about)
        for name, field in GAUGES.items():
            if field in figures:
                yield GaugeMetricFamily(f"redis_{name}", f"INFO's {field}", float(figures[field]))
        for name, field in COUNTERS.items():
            if field in figures:
                yield CounterMetricFamily(f"redis_{name}", f"INFO's {field}", float(figures[field]))
        yield from self.keyspace(figures)
        yield from self.commands(figures)
        yield from self.latency()

    def keyspace(self, figures: dict[str, Any]) -> Iterable[Metric]:
        keys = GaugeMetricFamily("redis_db_keys", "Keys of a database", labels=["db"])
        expiring = GaugeMetricFamily("redis_db_keys_expiring", "Keys with a time to live", labels=["db"])
        ttl = GaugeMetricFamily("redis_db_avg_ttl_seconds", "Their mean time to live", labels=["db"])
        for name, values in figures.items():
            if name.startswith("db") and name[2:].isdigit():
                keys.add_metric([name], values["keys"])
                expiring.add_metric([name], values["expires"])
                ttl.add_metric([name], values["avg_ttl"] / 1000)
        return keys, expiring, ttl

    def commands(self, figures: dict[str, Any]) -> Iterable[Metric]:
        calls = CounterMetricFamily("redis_commands", "Calls of a command", labels=["cmd"])
        seconds = CounterMetricFamily("redis_commands_duration_seconds", "Time in a command", labels=["cmd"])
        rejected = CounterMetricFamily("redis_commands_rejected_calls", "Calls refused before they ran", labels=["cmd"])
        failed = CounterMetricFamily("redis_commands_failed_calls", "Calls that ended in an error", labels=["cmd"])
        errors = CounterMetricFamily("redis_errors", "Error replies by their code", labels=["err"])
        for name, values in figures.items():
            if name.startswith("cmdstat_"):
                label = [name.removeprefix("cmdstat_")]
                calls.add_metric(label, values["calls"])
                seconds.add_metric(label, values["usec"] / 1e6)
                rejected.add_metric(label, values["rejected_calls"])
                failed.add_metric(label, values["failed_calls"])
            elif name.startswith("errorstat_"):
                errors.add_metric([name.removeprefix("errorstat_")], values["count"])
        times = HistogramMetricFamily(
            "redis_commands_latencies_usec", "Times of a command in microseconds", labels=["cmd"]
        )
        for name, told in self.ask("LATENCY", "HISTOGRAM").items():
            cmd = name.decode()
            buckets = [(str(us), count) for us, count in told[b"histogram_usec"].items()]
            total = figures.get(f"cmdstat_{cmd}", {}).get("usec", 0)
            times.add_metric([cmd], [*buckets, ("+Inf", told[b"calls"])], total)
        return calls, seconds, rejected, failed, errors, times

    def latency(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("redis_slowlog_length", "Entries of the slow log", self.ask("SLOWLOG", "LEN"))
        last = GaugeMetricFamily("redis_latency_spike_last", "When an event's last spike was", labels=["event_name"])
        duration = GaugeMetricFamily("redis_latency_spike_duration_seconds", "How long it was", labels=["event_name"])
        for event, when, ms, _worst in self.ask("LATENCY", "LATEST"):
            last.add_metric([event.decode()], when)
            duration.add_metric([event.decode()], ms / 1000)
        yield last
        yield duration


class MetricsServer:
    """Answers GET /metrics with a store's figures.

    host: the address to listen at.  port: TCP port, 0: a free one (see `port`).  start() raises OSError.
    """

    def __init__(self, store: StoreCore, port: int = 9121, host: str = "127.0.0.1") -> None:
        self.store = store
        self.host = host
        self.port = port
        self._running: tuple[Any, Any] | None = None

    def start(self) -> MetricsServer:
        """Listens, and answers in threads of Python's; returns itself."""
        registry = CollectorRegistry()
        registry.register(StoreCollector(self.store))
        self._running = start_http_server(self.port, self.host, registry)
        self.port = self._running[0].server_port
        return self

    def stop(self) -> None:
        """Gives the address back.  Twice does no harm."""
        if self._running is not None:
            server, thread = self._running
            self._running = None
            server.shutdown()
            server.server_close()
            thread.join()

    def __enter__(self) -> MetricsServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
