"""The pure parts of the checks: the machine's times and verdicts, and each kind's conversation, byte by byte."""

import hashlib

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libipvs.checks import (
    CheckMachine,
    DnsCheck,
    FileCheck,
    HttpCheck,
    MiscCheck,
    Outcome,
    PingCheck,
    SmtpCheck,
    Target,
    TcpCheck,
    Timing,
    UdpCheck,
    Url,
)
from libipvs.checks.http import status_codes
from libipvs.checks.machine import FOREVER, Event, Order, State
from libipvs.errors import InvalidRequest

HERE = Target("127.0.0.1", 80)
GOOD, BAD = Outcome(True, "good"), Outcome(False, "bad")


def attempt(machine, outcome):
    """Run the attempt that is due; (its start, orders of its answer)."""
    start = machine.next_deadline
    assert machine.step(Event.DEADLINE, start) == [Order.START]
    return start, machine.step(Event.ANSWER, start + 0.01, machine.attempt, outcome)


def test_retries_then_down_then_up():
    machine = CheckMachine(Timing(delay_loop=10, retry=2, delay_before_retry=1), 100.0)
    assert attempt(machine, GOOD) == (100.0, [])
    assert attempt(machine, BAD) == (110.0, [])
    assert attempt(machine, BAD) == (111.01, [])
    start, orders = attempt(machine, BAD)
    assert (round(start, 2), orders) == (112.02, [Order.REPORT])
    assert (machine.verdict.up, machine.verdict.reason) == (False, "bad")
    start, orders = attempt(machine, BAD)  # no retries while down
    assert (round(start, 2), orders) == (122.02, [])
    start, orders = attempt(machine, GOOD)
    assert (round(start, 2), orders, machine.verdict.up) == (132.02, [Order.REPORT], True)
    for outcome in (BAD, BAD, GOOD, BAD, BAD, GOOD):  # a success in between forgets the failures
        assert attempt(machine, outcome)[1] == []


def test_alpha_and_parts_need_all_to_come_up():
    timing = Timing(delay_loop=5, alpha=True)
    machine = CheckMachine(timing, 0.0, parts=3)
    assert not machine.verdict.up
    parts = []
    for outcome in (GOOD, GOOD, BAD, GOOD, GOOD):
        parts.append(machine.part)
        assert attempt(machine, outcome)[1] == []
    assert parts == [0, 1, 2, 0, 1]
    assert attempt(machine, GOOD)[1] == [Order.REPORT]
    quick = CheckMachine(timing, 0.0, parts=3, quick=True)
    assert attempt(quick, GOOD)[1] == [Order.REPORT]


def test_timeouts_late_answers_and_postponing():
    machine = CheckMachine(Timing(connect_timeout=3, retry=0, delay_before_retry=2), 0.0)
    assert machine.step(Event.DEADLINE, 0.0) == [Order.START]
    assert machine.next_deadline == 3.0
    machine.step(Event.CONNECTED, 2.0, 1)
    assert machine.next_deadline == 5.0
    assert machine.step(Event.DEADLINE, 4.0) == []
    assert machine.step(Event.DEADLINE, 5.0) == [Order.EXPIRE]
    assert machine.step(Event.ANSWER, 5.0, 1, Outcome(False, "timeout")) == [Order.REPORT]
    assert machine.step(Event.ANSWER, 5.1, 1, GOOD) == []  # too late
    assert machine.next_deadline == 60.0
    assert machine.step(Event.DEADLINE, 60.0) == [Order.START]
    assert machine.step(Event.POSTPONE, 60.0, 2) == []
    assert (machine.next_deadline, machine.verdict.up) == (62.0, False)


def test_suspending():
    machine = CheckMachine(Timing(), 0.0)
    machine.step(Event.DEADLINE, 0.0)
    assert machine.step(Event.SUSPEND, 1.0) == [Order.STOP]
    assert (machine.next_deadline, machine.state) == (FOREVER, State.SUSPENDED)
    assert machine.step(Event.ANSWER, 2.0, 1, BAD) == []
    assert machine.step(Event.SUSPEND, 2.0) == []
    machine.step(Event.RESUME, 9.0)
    assert machine.step(Event.DEADLINE, 9.0) == [Order.START]
    machine.step(Event.RESUME, 9.5)
    assert machine.state is State.ASKING


@given(
    st.lists(st.sampled_from(["deadline", "connected", "good", "bad", "suspend", "resume", "stale", "postpone"])),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_any_events_keep_it_sound(events, retry, parts):
    """One attempt at a time, never a deadline in the past while asking, down only after retry + 1 failures."""
    machine = CheckMachine(Timing(delay_loop=5, retry=retry), 0.0, parts)
    now, failures = 0.0, 0
    for name in events:
        now += 0.5
        before = machine.verdict
        number = machine.attempt
        asking = machine.state is State.ASKING
        if name == "deadline":
            now = max(now, machine.next_deadline if machine.next_deadline != FOREVER else now)
            orders = machine.step(Event.DEADLINE, now)
            if Order.EXPIRE in orders:
                orders = machine.step(Event.ANSWER, now, number, BAD)
                failures += 1
        elif name in ("good", "bad"):
            failures = 0 if name == "good" and asking else failures + (name == "bad" and asking)
            orders = machine.step(Event.ANSWER, now, number, GOOD if name == "good" else BAD)
        elif name == "stale":
            orders = machine.step(Event.ANSWER, now, number - 1, BAD)
            assert orders == []
        else:
            kind = {"connected": Event.CONNECTED, "suspend": Event.SUSPEND, "resume": Event.RESUME}
            orders = machine.step(kind.get(name, Event.POSTPONE), now, number)
        assert (Order.REPORT in orders) == (machine.verdict.up != before.up)
        assert (Order.START in orders) <= (not asking)
        if before.up and not machine.verdict.up:
            assert failures >= retry + 1
        if machine.state is State.ASKING:
            assert machine.next_deadline >= now
        if machine.state is State.SUSPENDED:
            assert machine.next_deadline == FOREVER


def test_a_changed_weight_is_reported():
    machine = CheckMachine(Timing(), 0.0)
    assert attempt(machine, Outcome(True, "", 5))[1] == [Order.REPORT]
    assert attempt(machine, Outcome(True, "", 5))[1] == []
    assert attempt(machine, Outcome(True, "", 6))[1] == [Order.REPORT]


# ---- conversations


def talk(probe, *pieces, end=False):
    """What the probe says to each piece; the outcome."""
    said = [probe.connected()]
    for piece in pieces:
        if probe.outcome is None:
            said.append(probe.received(piece))
    if end and probe.outcome is None:
        probe.closed()
    return said, probe.outcome


def bytewise(data):
    return [data[i : i + 1] for i in range(len(data))]


def http(answer, end=True, cut=None, **options):
    check = HttpCheck(HERE, urls=(Url("/x", **options),), virtualhost="www.example")
    pieces = [answer] if cut is None else bytewise(answer)
    return talk(check.probe(0), *pieces, end=end)[1]


PAGE = b"<h1>fine</h1>"
OK = b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n" + PAGE
MD5 = hashlib.md5(PAGE).hexdigest()


def test_http_requests():
    said, _ = talk(HttpCheck(HERE, urls=(Url("/a?b=c", virtualhost="v"),), protocol="1.1").probe(0))
    assert said == [b"GET /a?b=c HTTP/1.1\r\nUser-Agent: libipvs\r\nConnection: close\r\nHost: v\r\n\r\n"]
    said, _ = talk(HttpCheck(Target("fd00::1", 80)).probe(0))
    assert said == [b"GET / HTTP/1.0\r\nUser-Agent: libipvs\r\nHost: [fd00::1]\r\n\r\n"]
    said, _ = talk(HttpCheck(HERE, protocol="1.0C", virtualhost="w").probe(0))
    assert said == [b"GET / HTTP/1.0\r\nUser-Agent: libipvs\r\nConnection: close\r\nHost: w\r\n\r\n"]


@pytest.mark.parametrize("cut", [None, 1])
def test_http_answers(cut):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<h1>f\r\n8\r\nine</h1>\r\n0\r\n\r\n"
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + PAGE
    for answer, end in ((OK, True), (chunked, False), (sized, False)):
        assert http(answer, end, cut).ok
        assert http(answer, end, cut, digest=MD5).ok
        assert not http(answer, end, cut, digest=MD5[::-1]).ok
        assert http(answer, end, cut, regex="f.ne").ok
        assert not http(answer, end, cut, regex="bad").ok
        assert http(answer, end, cut, regex="bad", regex_no_match=True).ok
        assert not http(answer, end, cut, regex="fine", regex_min_offset=6).ok
        assert http(answer, end, cut, regex="fine", regex_min_offset=4, regex_max_offset=4).ok
        assert not http(answer, end, cut, regex="fine", regex_max_offset=3).ok
        assert not http(answer, end, cut, status=(404, (300, 399))).ok
    assert http(OK.replace(b"200", b"302"), True, cut, status=(404, (300, 399))).ok
    assert http(OK.replace(b"200", b"503"), True, cut).reason == "HTTP status 503"


@pytest.mark.parametrize("cut", [None, 1])
def test_http_lies(cut):
    assert not http(b"", True, cut).ok
    assert not http(b"220 smtp ready\r\n\r\n", True, cut).ok
    assert not http(b"HTTP/1.0 200 OK\r\nServer", True, cut).ok
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + PAGE
    assert not http(short, True, cut, digest=MD5).ok
    assert http(b"HTTP/1.0 200 OK\r\nX: " + b"a" * 100_000, False) is not None  # a head without end
    assert http(OK, False, cut, digest=MD5) is None  # HTTP/1.0 ends with the connection


def test_endless_body_is_cut(monkeypatch):
    monkeypatch.setattr("libipvs.checks.http.BODY_LIMIT", 1000)
    assert "above" in http(OK + b"x" * 1100, False, digest=MD5).reason


@given(st.binary(max_size=300))
def test_http_noise(noise):
    outcome = http(noise, True)
    assert outcome is not None and not outcome.ok


def test_smtp():
    good = b"220-first\r\n220 mail ESMTP\r\n250 hello\r\n221 bye\r\n"
    said, outcome = talk(SmtpCheck(HERE, helo_name="me").probe(0), *bytewise(good))
    assert outcome.ok
    assert b"".join(said) == b"HELO me\r\nQUIT\r\n"
    assert not talk(SmtpCheck(HERE).probe(0), b"554 no\r\n")[1].ok
    assert not talk(SmtpCheck(HERE).probe(0), b"220 hi\r\n", b"500 what\r\n")[1].ok
    assert not talk(SmtpCheck(HERE).probe(0), b"220 hi\r\n", end=True)[1].ok
    assert talk(SmtpCheck(HERE).probe(0), b"220 hi\r\n", b"250 ok\r\n", end=True)[1].ok
    assert not talk(SmtpCheck(HERE).probe(0), b"x" * 70000)[1].ok


def test_dns():
    def answer(probe, **changes):
        query = dns.message.from_wire(probe.connected())
        reply = dns.message.make_response(query)
        for name, value in changes.items():
            setattr(reply, name, value)
        return reply

    probe = DnsCheck(HERE, name="example.org", type="MX").probe(0)
    wrong = answer(probe, id=(probe.query.id + 1) % 65536)
    assert talk(probe, b"noise", wrong.to_wire())[1] is None
    assert talk(probe, answer(probe).to_wire())[1].ok
    probe = DnsCheck(HERE).probe(0)
    refused = answer(probe)
    refused.set_rcode(dns.rcode.SERVFAIL)
    assert talk(probe, refused.to_wire())[1].reason == "DNS answer SERVFAIL"
    probe = DnsCheck(HERE).probe(0)
    echo = probe.connected()  # a mirror is no server
    assert talk(probe, echo)[1] is None


def test_udp():
    plain = UdpCheck(HERE, payload=b"\1\2").probe(0)
    assert talk(plain)[0] == [b"\1\2"]
    plain.expired()
    assert plain.outcome.ok
    wanted = UdpCheck(HERE, require_reply=True, reply="01xx03", min_reply_length=3, max_reply_length=4)
    assert talk(wanted.probe(0), b"\1\xff\3")[1].ok
    assert not talk(wanted.probe(0), b"\1\xff\4")[1].ok
    assert not talk(wanted.probe(0), b"\1\xff")[1].ok
    assert not talk(wanted.probe(0), b"\1\xff\3\4\5")[1].ok
    silent = wanted.probe(0)
    silent.expired()
    assert not silent.outcome.ok


def test_scripts_files_and_the_rest(tmp_path):
    scripts = [(0, False, True, None), (1, True, False, None), (2, True, True, 0), (12, True, True, 10)]
    for status, dynamic, ok, weight in [*scripts, (12, False, False, None), (-9, True, False, None)]:
        probe = MiscCheck(command="check --it", dynamic=dynamic).probe(0)
        probe.exited(status)
        assert (probe.outcome.ok, probe.outcome.weight) == (ok, weight)
    assert MiscCheck(command="a 'b c'").probe(0).command == ("a", "b c")
    path = tmp_path / "track"
    for text, weight, ok, change in (("5\n", 2, True, 10), ("-127", 2, False, 0), ("", 2, True, 0), ("1", 0, False, 0),
                                     ("0", 0, True, 0), ("x", 1, True, 0)):  # fmt: skip
        path.write_text(text)
        probe = FileCheck(path=path, weight=weight).probe(0)
        probe.look(path.read_text)
        assert (probe.outcome.ok, probe.outcome.weight_change) == (ok, change)
    assert talk(TcpCheck(HERE).probe(0))[1].ok
    assert talk(PingCheck(HERE).probe(0), b"x")[1].ok
    assert str(TcpCheck(Target("fd00::1", 80))) == "TCP [fd00::1]:80"
    assert str(MiscCheck(command="x")) == "MISC"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timing(delay_loop=0),
        lambda: Timing(retry=-1),
        lambda: Timing(connect_timeout=-1),
        lambda: Target("x"),
        lambda: Target("10.0.0.1", 70000),
        lambda: Target("10.0.0.1", bindto="::1"),
        lambda: Url("x"),
        lambda: Url("/a b"),
        lambda: Url(digest="x"),
        lambda: Url(regex="("),
        lambda: HttpCheck(HERE, urls=()),
        lambda: HttpCheck(HERE, protocol="2"),
        lambda: DnsCheck(HERE, type="AXFR"),
        lambda: UdpCheck(HERE, require_reply=True, reply="zz"),
        lambda: UdpCheck(HERE, reply="00"),
        lambda: MiscCheck(command=""),
        lambda: MiscCheck(command=("x", "a\0")),
        lambda: DnsCheck(HERE, name="a..b"),
        lambda: DnsCheck(HERE, name="a" * 70),
        lambda: status_codes(["2xx"]),
    ],
)
def test_bad_configuration_is_refused(make):
    with pytest.raises(InvalidRequest):
        make()


def test_status_codes():
    assert status_codes(["200", "300-399"]) == (200, (300, 399))
