"""LATENCY and INFO latencystats: shapes and figures as redis-server's, each side's own times behind them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.oracle.conftest import Pair
from tests.resp import command, parse

Ask = Callable[..., Any]


def sides(pair: Pair) -> list[Ask]:
    """redis-server and ours, each as a function from a command to its parsed reply."""
    return [
        lambda *words: parse(pair.real.call(*words))[0],
        lambda *words: parse(pair.ours.feed(command(*words)))[0],
    ]


@pytest.fixture
def monitored(pair: Pair) -> Pair:
    pair.same("LATENCY", "RESET")
    pair.both("CONFIG", "SET", "latency-monitor-threshold", 10, "latency-tracking", "yes")
    pair.both("CONFIG", "SET", "latency-tracking-info-percentiles", "50 99 99.9")
    yield pair
    pair.both("CONFIG", "SET", "latency-monitor-threshold", 0)
    pair.both("CONFIG", "SET", "latency-tracking-info-percentiles", "50 99 99.9", "latency-tracking", "yes")
    pair.both("LATENCY", "RESET")


def test_without_spikes(pair: Pair) -> None:
    pair.both("LATENCY", "RESET")
    for line in (
        "LATEST|HISTORY command|HISTORY|GRAPH command|GRAPH|GRAPH x\x00y|RESET|RESET a b|NOSUCH|DOCTOR x|HISTORY a b|"
        "HISTOGRAM nosuch|HISTOGRAM get|HISTOGRAM client"
    ).split("|"):
        pair.both("CONFIG", "RESETSTAT")
        pair.same("LATENCY", *line.split(" "))
    pair.same("LATENCY")
    pair.resp3()
    pair.same("LATENCY", "HISTOGRAM", "nosuch")
    assert parse(pair.both("LATENCY", "DOCTOR")[1])[0].endswith(b"\n")


def bars(history: list[list[int]], now: int, worst: int) -> bytes:
    """The graph of a history, as docs and servers draw it."""
    values = [ms for _, ms in history]
    low, high = min(values), max(values)
    lines = [f"command - high {high} ms, low {low} ms (all time high {worst} ms)", "-" * 80]
    steps = [min((v - low) * 12 // (high - low or 1), 11) for v in values]
    for row in (3, 2, 1, 0):
        lines.append("".join(" " if s < 3 * row else "|" if s >= 3 * row + 3 else "_o#"[s - 3 * row] for s in steps))
    ages = [f"{now - when}s" for when, _ in history]
    lines.append(" " * len(ages))
    lines += ["".join(age[row : row + 1] or " " for age in ages) for row in range(max(map(len, ages)))]
    lines[-1:] = [lines[-1]]
    return ("\n".join(lines) + "\n").encode()


def test_spikes(monitored: Pair) -> None:
    """The same sleeps on both sides, at the same time."""
    for ms in (20, 60, 35):
        monitored.both("DEBUG", "SLEEP", ms / 1000)
        time.sleep(1.0)
    for ask in sides(monitored):
        history = ask("LATENCY", "HISTORY", "command")
        assert [base <= ms <= base + 200 for (_, ms), base in zip(history, (20, 60, 35), strict=True)] == [True] * 3
        assert history[0][0] < history[1][0] < history[2][0]
        latest = ask("LATENCY", "LATEST")
        assert latest == [[b"command", *history[-1], max(ms for _, ms in history)]]
        for _ in range(3):
            now = int(time.time())
            graph = ask("LATENCY", "GRAPH", "command")
            if int(time.time()) == now:
                break
        assert graph.rstrip(b" \n") == bars(history, now, latest[0][3]).rstrip(b" \n")
        report = ask("LATENCY", "DOCTOR")
        figures = re.search(
            rb"1. command: 3 latency spikes \(average (\d+)ms, mean deviation (\d+)ms, period (\S+) sec\)", report
        )
        assert figures, report
        mean = sum(ms for _, ms in history) // 3
        assert int(figures[1]) == mean
        assert int(figures[2]) == sum(abs(ms - mean) for _, ms in history) // 3
        assert abs(float(figures[3]) - (history[-1][0] - history[0][0]) / 2) < 0.6
        assert f"Worst all time event {latest[0][3]}ms.".encode() in report
    monitored.same("LATENCY", "GRAPH", "COMMAND")
    monitored.same("LATENCY", "RESET", "command", "nosuch")
    monitored.same("LATENCY", "LATEST")


def test_a_second_keeps_its_worst(monitored: Pair) -> None:
    for ask in sides(monitored):
        for _ in range(5):
            ask("LATENCY", "RESET")
            while time.time() % 1 > 0.5:
                time.sleep(0.05)
            for ms in (15, 40, 20):
                ask("DEBUG", "SLEEP", ms / 1000)
            history = ask("LATENCY", "HISTORY", "command")
            if len(history) == 1:
                break
        assert len(history) == 1 and history[0][1] >= 40
        assert ask("LATENCY", "LATEST")[0][3] == history[0][1]


def test_quick_commands_have_an_event_of_their_own(monitored: Pair) -> None:
    """A fast command is slow when much is done by it: here a deletion of many members."""
    members = [f"member:{i}" for i in range(1000)]
    for ask in sides(monitored):
        ask("CONFIG", "SET", "latency-monitor-threshold", 1)
        for at in range(0, 300):
            ask("SADD", "s", *(f"{at}{m}" for m in members))
        events = {row[0] for row in ask("LATENCY", "LATEST")}
        assert events <= {b"command", b"fast-command", b"expire-cycle"}
        ask("LATENCY", "RESET")
        ask("DEBUG", "SLEEP", "0.01")
        assert b"command" in {row[0] for row in ask("LATENCY", "LATEST")}


def test_histograms(monitored: Pair) -> None:
    for ask in sides(monitored):
        ask("CONFIG", "RESETSTAT")
        for _ in range(20):
            ask("SET", "k", "v")
        ask("SET", "k")
        ask("LPUSH", "k", "v")
        ask("DEBUG", "SLEEP", "0.03")
        ask("DEBUG", "SLEEP", "0.07")
        ask("CLIENT", "ID")
        ask("CLIENT", "GETNAME")
        name, told = ask("LATENCY", "HISTOGRAM", "SET")
        assert (name, told[0], told[1], told[2]) == (b"set", b"calls", 20, b"histogram_usec")
        levels = dict(zip(told[3][::2], told[3][1::2], strict=True))
        assert max(levels.values()) == 20 and list(levels.values()) == sorted(levels.values())
        assert set(levels) <= {(129 << (k + 3)) // 1000 for k in range(21)} | {1073741}
        told = ask("LATENCY", "HISTOGRAM", "debug")[1][3]
        assert told in ([33816, 1, 135266, 2], [33816, 1, 67633, 1, 135266, 2], [67633, 1, 135266, 2]), told
        told = ask("LATENCY", "HISTOGRAM", "client", "Client|Id", "nosuch", "lpush")
        assert told[::2] == [b"client|id", b"client|getname", b"client|id", b"lpush"] or set(told[::2]) == {
            b"client|id",
            b"client|getname",
            b"lpush",
        }
        every = ask("LATENCY", "HISTOGRAM")[::2]
        assert {b"set", b"lpush", b"debug", b"client|id", b"client|getname", b"latency|histogram"} <= set(every)


def test_the_longest_times(monitored: Pair) -> None:
    for ask in sides(monitored):
        ask("CONFIG", "RESETSTAT")
        ask("DEBUG", "SLEEP", "0.56")
        assert ask("LATENCY", "HISTOGRAM", "debug")[1][3] == [1073741, 1]
        value = re.search(rb"usec_debug:p50=([\d.]+)", ask("INFO", "latencystats"))
        assert value and 560000 <= float(value[1]) < 1073742


LINE = re.compile(rb"latency_percentiles_usec_([a-z|-]+):(.*)")


@pytest.mark.parametrize("percentiles", ["50 99 99.9", "0 100", "", "50 50", "12.345678901 99.99", "100.0 0.001"])
def test_info(monitored: Pair, percentiles: str) -> None:
    """One line a timed command; each value is the end (for 0 the begin) of a slot of two significant digits."""
    monitored.both("CONFIG", "RESETSTAT")
    monitored.same("CONFIG", "SET", "latency-tracking-info-percentiles", percentiles)
    monitored.same("CONFIG", "GET", "latency-tracking-info-percentiles")
    shapes = []
    for ask in sides(monitored):
        for _ in range(5):
            ask("GET", "k")
        text = ask("INFO", "latencystats")
        assert text.startswith(b"# Latencystats\r\n") and text.endswith(b"\r\n")
        lines = dict(m.groups() for m in map(LINE.match, text.split(b"\r\n")) if m)
        assert {b"get", b"config|set", b"config|get", b"config|resetstat"} <= set(lines)
        shapes.append([part.partition(b"=")[0] for part in lines[b"get"].split(b",")])
        for part in filter(None, lines[b"get"].split(b",")):
            label, _, value = part.partition(b"=")
            ns = round(float(value) * 1000)
            width = max(ns.bit_length() - 8, 0)
            assert len(value.partition(b".")[2]) == 3
            assert ns >> width << width == ns if label == b"p0" else (ns + 1) >> width << width == ns + 1
    assert shapes[0] == shapes[1]


def test_tracking_off(monitored: Pair) -> None:
    for ask in sides(monitored):
        ask("CONFIG", "RESETSTAT")
        ask("GET", "k")
        ask("CONFIG", "SET", "latency-tracking", "no")
        ask("SET", "k", "v")
        assert ask("LATENCY", "HISTOGRAM", "set") == []
        assert ask("INFO", "latencystats") == b"# Latencystats\r\n"
        ask("CONFIG", "SET", "latency-tracking", "yes")
        assert ask("LATENCY", "HISTOGRAM", "get")[1][1] == 1
        assert ask("LATENCY", "HISTOGRAM", "set") == []
        ask("SET", "k", "v")
        assert ask("LATENCY", "HISTOGRAM", "set")[1][1] == 1


def test_calls_inside_a_transaction_are_timed(monitored: Pair) -> None:
    for ask in sides(monitored):
        ask("CONFIG", "RESETSTAT")
        for words in (("MULTI",), ("SET", "k", "v"), ("SET", "k", "v"), ("EXEC",)):
            ask(*words)
        assert ask("LATENCY", "HISTOGRAM", "set")[1][1] == 2
        assert ask("LATENCY", "HISTOGRAM", "exec")[1][1] == 1


def test_embedded_get_and_set_are_timed(pair: Pair) -> None:
    """The short way measures one call in 32, which stands for all of them."""
    for i in range(1000):
        pair.store.set("k", i)
        pair.store.get("k")
    told = pair.store.execute((b"LATENCY", b"HISTOGRAM", b"get", b"set"))
    assert abs(told[b"get"][b"calls"] - 1000) < 32
    assert abs(told[b"set"][b"calls"] - 1000) < 32
