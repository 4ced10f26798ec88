"""Figures for Prometheus: of a store in the process, and of examples/server.py --metrics-port."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

import libkv
from tests.servers import OURS, Process, free_port

prometheus = pytest.importorskip("prometheus_client", reason="missing prometheus-client (the extra metrics)")

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from libkv.server.metrics import MetricsServer, StoreCollector  # noqa: E402

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(port: int) -> Samples:
    """What Prometheus reads: (name, labels) -> value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        families = text_string_to_metric_families(reply.read().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_a_stores_figures() -> None:
    with libkv.Store(latency_monitor_threshold=1, enable_debug_command="yes") as store:
        with MetricsServer(store, port=0) as metrics:
            store.mset({"a": 1, "b": 2})
            store.expire("a", 100)
            store.db(3).set("c", 3)
            with pytest.raises(libkv.errors.ResponseError):
                store.lpush("a", 1)
            for _ in range(10):
                store.hset("h", "f", "v")
            store.execute_command("DEBUG", "SLEEP", "0.01")
            found = scrape(metrics.port)
            assert found["redis_up", ()] == 1
            assert found["redis_db_keys", (("db", "db0"),)] == 3
            assert found["redis_db_keys_expiring", (("db", "db0"),)] == 1
            assert 0 <= found["redis_db_avg_ttl_seconds", (("db", "db0"),)] <= 100
            assert found["redis_db_keys", (("db", "db3"),)] == 1
            assert found["redis_commands_total", (("cmd", "hset"),)] == 10
            assert found["redis_commands_failed_calls_total", (("cmd", "lpush"),)] == 1
            assert found["redis_errors_total", (("err", "WRONGTYPE"),)] == 1
            assert found["redis_commands_duration_seconds_total", (("cmd", "debug"),)] >= 0.009
            assert found["redis_commands_latencies_usec_bucket", (("cmd", "hset"), ("le", "+Inf"))] == 10
            assert found["redis_commands_latencies_usec_count", (("cmd", "hset"),)] == 10
            assert found["redis_latency_spike_duration_seconds", (("event_name", "command"),)] >= 0.01
            assert found["redis_memory_used_bytes", ()] > 10000
            assert found["redis_keyspace_hits_total", ()] == store.info("stats")["keyspace_hits"]
            version = next(dict(labels) for name, labels in found if name == "redis_instance_info")
            assert version["redis_version"] == "7.0.15" and version["libkv_version"] == libkv.__version__
        with pytest.raises(OSError):
            scrape(metrics.port)


def test_beside_an_applications_own_figures() -> None:
    with libkv.Store() as store:
        registry = prometheus.CollectorRegistry()
        registry.register(StoreCollector(store))
        own = prometheus.Counter("own", "mine", registry=registry)
        own.inc()
        text = prometheus.generate_latest(registry).decode()
        assert "own_total 1.0" in text and "redis_up 1.0" in text


def test_the_program(tmp_path: Path) -> None:
    port = free_port()
    server = Process(OURS, tmp_path, "--metrics-port", str(port), "--hz", "20").wait_ready()
    try:
        server.ask(b"SET k v\r\nGET k\r\n")
        found = scrape(port)
        assert found["redis_commands_total", (("cmd", "get"),)] == 1
        assert found["redis_db_keys", (("db", "db0"),)] == 1
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("words", [["--metrics-port"], ["--metrics-port", "many"], ["--metrics-port", "70000"]])
def test_a_bad_port(tmp_path: Path, words: list[str]) -> None:
    server = Process([*OURS, *words], tmp_path)
    assert server.popen.wait(20) == 1
    assert "--metrics-port needs a port" in server.log()
