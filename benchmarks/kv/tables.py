"""libkv's figures as tables."""

from __future__ import annotations

from typing import Any

from benchmarks.kv.subjects import OURS, REDIS
from benchmarks.table import Table, verdict


def throughput(figures: dict[str, Any]) -> list[Table]:
    means = []
    for m in figures["means"]:
        target = m["target"]
        aim = ["", ""] if target is None else [f">= {target}", verdict(m["cpu_ratio"] >= target)]
        means.append([m["variant"], str(m["depth"]), f"{m['cpu_ratio']:.2f}", *aim])
    tables = [
        Table(
            "Server CPU time a command: geometric means",
            "Redis's CPU time divided by ours: above 1, ours is cheaper. P: commands a client sends at a time.",
            ["keys, values", "P", "Redis / ours", "target", ""],
            means,
        )
    ]
    for variant in dict.fromkeys(r["variant"] for r in figures["rows"]):
        rows = []
        for r in figures["rows"]:
            if r["variant"] != variant:
                continue
            o, d = r["ours"], r["redis"]
            rows.append(
                [
                    str(r["depth"]),
                    r["command"],
                    f"{o['cpu_ns']:.0f}",
                    f"{d['cpu_ns']:.0f}",
                    f"{r['cpu_ratio']:.2f}",
                    f">= {r['target']}",
                    verdict(r["cpu_ratio"] >= r["target"]),
                    f"{o['rps'] / 1000:.0f}k",
                    f"{d['rps'] / 1000:.0f}k",
                    f"{r['wall_ratio']:.2f}",
                ]
            )
        tables.append(
            Table(
                f"Commands: {variant}",
                "CPU: nanoseconds of server CPU time a command. Rate: commands a second, by the wall clock.",
                [
                    "P",
                    "command",
                    "CPU ours",
                    "CPU Redis",
                    "Redis / ours",
                    "target",
                    "",
                    "rate ours",
                    "rate Redis",
                    "ours / Redis",
                ],
                rows,
            )
        )
    tables.append(
        Table(
            "redis-benchmark, P=1, 50 clients, random keys",
            "Commands a second as redis-benchmark counts them; it keeps its own CPU as busy as the server's.",
            ["command", "ours", "Redis", "ours / Redis", "target", ""],
            [
                [
                    r["command"],
                    f"{r['ours_rps']:.0f}",
                    f"{r['redis_rps']:.0f}",
                    f"{r['ratio']:.2f}",
                    f">= {r['target']}",
                    verdict(r["ratio"] >= r["target"]),
                ]
                for r in figures["redis_benchmark"]
            ],
        )
    )
    one = figures["latency"]
    tables.append(
        Table(
            "A single client's median time from request to reply",
            "GET over loopback, one request at a time; microseconds.",
            ["ours", "Redis", "ours / Redis", "target", ""],
            [
                [
                    f"{one['ours_us']:.1f}",
                    f"{one['redis_us']:.1f}",
                    f"{one['ratio']:.2f}",
                    f"<= {one['target']}",
                    verdict(one["ratio"] <= one["target"]),
                ]
            ],
        )
    )
    return tables


def memory(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rows"]:
        o, d = r[OURS], r[REDIS]
        rows.append(
            [
                r["row"],
                f"{r['n']:,}",
                f"{o['used']:.1f}",
                f"{d['used']:.1f}",
                f"{r['used_ratio']:.2f}",
                f"<= {r['target']:.1f}",
                verdict(o["used"] <= r["target"]),
                f"{r['valkey']}",
                f"{o['resident']:.1f}",
                f"{d['resident']:.1f}",
                f"{r['resident_ratio']:.2f}",
                f"{r['honest']:.2f}",
            ]
        )
    targets = figures["targets"]
    plain = [r for r in figures["rows"] if r["row"] == figures["rows"][0]["row"]]
    checks = []
    for r in plain:
        for name, key, target in (
            ("resident growth, ours / Redis", "resident_ratio", targets["resident"]),
            ("resident growth / used_memory", "honest", targets["honest"]),
        ):
            checks.append([name, f"{r['n']:,}", f"{r[key]:.2f}", f"<= {target}", verdict(r[key] <= target)])
    return [
        Table(
            "Bytes a key, or an element of a big collection",
            "used: by used_memory. resident: growth of the process's anonymous pages. valkey: 9.1.2's used_memory, "
            "measured on another occasion.",
            [
                "what",
                "n",
                "used ours",
                "used Redis",
                "ours / Redis",
                "target",
                "",
                "valkey",
                "resident ours",
                "resident Redis",
                "ours / Redis",
                "resident / used",
            ],
            rows,
        ),
        Table(f"Resident memory: {plain[0]['row']}", "", ["what", "n", "ratio", "target", ""], checks),
    ]


def pauses(figures: dict[str, Any]) -> list[Table]:
    e, o, r, target = figures["embedded"], figures["ours"], figures["redis"], figures["target_us"]
    return [
        Table(
            f"The worst SET while growing from {figures['start']:,} to {figures['end']:,} keys",
            "Microseconds. In process: thread CPU time of each call, the least of equal runs. SLOWLOG and batches of "
            "16 are by the wall clock and contain what the machine's other processes took.",
            ["measure", "ours", "Redis", "target", ""],
            [
                ["in process, worst", f"{e['worst_us']:.0f}", "", f"<= {target}", verdict(e["worst_us"] <= target)],
                ["in process, 99.99 %", f"{e['p9999_us']:.1f}", "", "", ""],
                ["in process, median", f"{e['p50_us']:.2f}", "", "", ""],
                ["longest in SLOWLOG", f"{o['slowlog_worst_us']}", f"{r['slowlog_worst_us']}", "", ""],
                ["over 100 us in SLOWLOG", f"{o['over_100_us']}", f"{r['over_100_us']}", "", ""],
                ["longest batch of 16, one client", f"{o['batch_worst_us']:.0f}", f"{r['batch_worst_us']:.0f}", "", ""],
            ],
        )
    ]


def us(ns: float | None) -> str:
    return "" if ns is None else f"{ns / 1000:.1f}"


def embedded(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rows"]:
        target = r["target"]
        rows.append(
            [
                r["operation"],
                r["keys"],
                f"{r['store_ns']:.0f}",
                f"{r['dict_ns']:.0f}",
                f"{r['multiple']:.1f}",
                f"<= {target:.0f}" if target else "",
                verdict(r["multiple"] <= target) if target else "",
                us(r["redis_py_ns"]),
                us(r["fakeredis_ns"]),
            ]
        )
    return [
        Table(
            "In process",
            "Nanoseconds a call of libkv.Store, and as a multiple of a look-up in a dict by the same loop. Beside it, "
            "in microseconds: redis-py over a unix socket to redis-server, and fakeredis.",
            ["method", "keys", "store, ns", "dict, ns", "multiple", "target", "", "redis-py, us", "fakeredis, us"],
            rows,
        )
    ]


def threads(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rows"]:
        target = r["target"]
        rows.append(
            [
                r["place"],
                f"{r['alone_rps'] / 1000:.0f}k",
                f"{r['mixed_rps'] / 1000:.0f}k",
                f"{r['kept']:.2f}",
                f">= {target}",
                verdict(r["kept"] >= target),
                f"{r['python_calls_per_second'] / 1000:.0f}k",
            ]
        )
    return [
        Table(
            "A server beside a Python thread of its own process that loops on store.get",
            "GETs a second, P=1, 50 clients; the load generator is on CPU 1. shared: server and Python thread on "
            "CPU 0. apart: server on CPU 0, Python thread on CPU 1. free: both on either.",
            ["where", "alone", "beside the loop", "kept", "target", "", "calls of the loop a second"],
            rows,
        )
    ]


def split(figures: dict[str, Any]) -> list[Table]:
    rows = [
        [
            r["command"],
            f"{r['split_ns']:.0f}",
            f"{r['one_ns']:.0f}",
            f"{100 * r['cost']:+.1f} %",
        ]
        for r in figures["rows"]
    ]
    mean, target = figures["cost"], figures["target"]
    rows.append(
        ["geometric mean", "", "", f"{100 * mean:+.1f} % (target < {100 * target:.0f} %: {verdict(mean < target)})"]
    )
    return [
        Table(
            "The core as many modules, against one translation unit",
            figures["note"],
            ["command", "modules, ns", "one unit, ns", "cost of the split"],
            rows,
        )
    ]


def commands(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rows"]:
        cells = [f"{r['ours_ns']:.0f}", f"{r['redis_ns']:.0f}", f"{r['ratio']:.2f}", f">= {r['target']}"]
        rows.append([r["command"], *cells, verdict(r["ratio"] >= r["target"])])
    return [
        Table(
            "Server CPU time of larger commands",
            "16-byte values, 16 commands at a time (MULTI: 4 transactions). busy: our server thread's time in a "
            "process whose Python thread loops all the time.",
            ["command", "ours, ns", "Redis, ns", "Redis / ours", "target", ""],
            rows,
        )
    ]


def rdb(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["rows"]:
        for what, target in (("save", 0.5), ("load", 0.6)):
            ratio = r[f"{what}_ratio"]
            rows.append(
                [
                    r["name"],
                    what,
                    f"{r[f'{what}_{OURS}']:.2f} s",
                    f"{r[f'{what}_{REDIS}']:.2f} s",
                    f"{ratio:.2f}",
                    f"<= {target}",
                    verdict(ratio <= target),
                    f"{r[f'{OURS}_bytes'] / 2**20:.0f} MB",
                    f"{r[f'{REDIS}_bytes'] / 2**20:.0f} MB",
                ]
            )
    return [
        Table(
            "dump.rdb",
            "CPU time of the server: for SAVE, and for a start with the file less a start without one.",
            ["data", "", "ours", "Redis", "ours / Redis", "target", "", "our file", "Redis's"],
            rows,
        )
    ]


def journal(figures: dict[str, Any]) -> list[Table]:
    rows = []
    for r in figures["modes"]:
        ours, redis = r[f"{OURS}_cpu_ns"], r[f"{REDIS}_cpu_ns"]
        target = judged = ""
        if r["mode"] == "everysec" and r["depth"] == 16:
            target, judged = "CPU <= 0.6", verdict(ours / redis <= 0.6)
        elif r["mode"] == "always" and r["depth"] == 1:
            target = "rate >= Redis's, fsyncs <= Redis's"
            judged = verdict(r[f"{OURS}_rate"] >= r[f"{REDIS}_rate"] and r[f"{OURS}_fsyncs"] <= r[f"{REDIS}_fsyncs"])
        rows.append(
            [
                f"{r['mode']}, P={r['depth']}",
                f"{r[f'{OURS}_rate']:,.0f}",
                f"{r[f'{REDIS}_rate']:,.0f}",
                f"{ours:,.0f}",
                f"{redis:,.0f}",
                f"{ours / redis:.2f}",
                f"{r[f'{OURS}_fsyncs']:.3g}",
                f"{r[f'{REDIS}_fsyncs']:.3g}",
                target,
                judged,
                f"{r['fsync_us']:.0f}",
            ]
        )
    load, fork = figures["loading"], figures["forking"]
    ratio = load[OURS] / load[REDIS]
    return [
        Table(
            "The journal (AOF): SET by 50 clients",
            "A second, and nanoseconds of the server's CPU time a command. fsyncs: of 1,000 SETs. disk: "
            "what a write of 64 bytes with fdatasync takes there, microseconds.",
            [
                "appendfsync",
                *("ours /s", "Redis /s", "ours ns", "Redis ns", "ours / Redis"),
                *("our fsyncs", "Redis's", "target", "", "disk"),
            ],
            rows,
        ),
        Table(
            "The journal and snapshots: loading, forking",
            "Loading: CPU seconds of a start with Redis's journal less one without. Fork: a save under SETs.",
            ["measure", "ours", "Redis", "target", ""],
            [
                [
                    f"loading {load['keys']:,} SETs",
                    f"{load[OURS]:.2f} s",
                    f"{load[REDIS]:.2f} s",
                    f"<= 0.6: {ratio:.2f}",
                    verdict(ratio <= 0.6),
                ],
                [
                    f"fork call, {fork['keys']:,} keys",
                    f"{fork[f'{OURS}_fork_us']} us",
                    f"{fork[f'{REDIS}_fork_us']} us",
                    "",
                    "",
                ],
                [
                    "worst SET meanwhile",
                    f"{fork[f'{OURS}_worst_us']:,.0f} us",
                    f"{fork[f'{REDIS}_worst_us']:,.0f} us",
                    "",
                    "",
                ],
                [
                    "memory copied",
                    f"{fork[f'{OURS}_copied'] / 2**20:.1f} MB",
                    f"{fork[f'{REDIS}_copied'] / 2**20:.1f} MB",
                    "",
                    "",
                ],
            ],
        ),
    ]


TABLES = {
    "throughput": throughput,
    "commands": commands,
    "memory": memory,
    "pauses": pauses,
    "embedded": embedded,
    "threads": threads,
    "rdb": rdb,
    "journal": journal,
    "split": split,
}
