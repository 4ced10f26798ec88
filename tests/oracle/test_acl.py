"""Users and their rights side by side with redis-server: rules, checks, the log, AUTH.  Files are in test_acl_files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import libkv
from tests.oracle.acl_listing import sorted_commands
from tests.oracle.commands import Generator
from tests.oracle.conftest import Pair
from tests.resp import Wire, command, parse

USER = "acl-user"
ALL = ["reset", "on", "nopass", "allkeys", "allchannels", "+@all"]


class Both:
    """One more client of redis-server, and one of the store."""

    def __init__(self, pair: Pair, redis_socket: str) -> None:
        self.wire = Wire(redis_socket)
        self.ours = pair.store.new_session()

    def both(self, *words: Any) -> tuple[bytes, bytes]:
        return self.wire.call(*words), self.ours.feed(command(*words))

    def same(self, *words: Any) -> bytes:
        theirs, ours = self.both(*words)
        assert ours == theirs, f"{words}\nredis {theirs!r}\nours  {ours!r}"
        return ours

    def close(self) -> None:
        self.wire.close()
        self.ours.close()


@pytest.fixture
def acl(pair: Pair) -> Iterator[Pair]:
    """The pair; its redis-server gets its users and settings back afterwards."""
    pair.same("ACL", "SETUSER", "default", *ALL)
    yield pair
    wire = pair.real
    assert wire.call("ACL", "SETUSER", "default", *ALL) == b"+OK\r\n"
    for name in parse(wire.call("ACL", "USERS"))[0]:
        if name != b"default":
            wire.call("ACL", "DELUSER", name)
    wire.call("ACL", "LOG", "RESET")
    wire.call("CONFIG", "SET", "requirepass", "", "acl-pubsub-default", "resetchannels", "acllog-max-len", "128")


@pytest.fixture
def client(acl: Pair, redis_socket: str) -> Iterator[Both]:
    other = Both(acl, redis_socket)
    yield other
    other.close()


def shown(pair: Pair) -> None:
    """ACL LIST and GETUSER agree."""
    theirs, ours = (parse(reply)[0] for reply in pair.both("ACL", "LIST"))
    assert [sorted_commands(u) for u in ours] == [sorted_commands(u) for u in theirs]
    theirs, ours = (parse(reply)[0] for reply in pair.both("ACL", "GETUSER", USER))
    assert plain(ours) == plain(theirs)


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return sorted_commands(value)
    return [plain(v) for v in value] if isinstance(value, list) else value


RULES = """
+foo +@foo -foo foo |> > #abc <x !abc %R %~a %RW~* %R~* %RR~a %r~a %X~a +get|x +select|0 +select| +| + - ~ & %
+config|get +config|foo +config|get|x -config|foo -select|0 -get|x ( () (+get (+get) ) (%R~a +GET +@READ +@all -@all
ALLKEYS NoPass on OFF resetpass reset (on) (>x) (nopass) clearselectors sanitize-payload skip-sanitize-payload ~a %R~a
%W~a &c &* allchannels resetchannels resetkeys +select|0|1 +config| (reset) (+foo) +@ -@ %RW~ %WR~b nocommands allcommands
+Select|ABC -@dangerous +@stream +client|LIST -client +acl +@admin -acl|setuser +@pubsub ~* >secret <secret
""".split()


@pytest.mark.parametrize("before", [[], ["+@all", "~k*", "&c*"], ["-@all", "allkeys", "allchannels", ">secret"]])
def test_each_rule(acl: Pair, before: list[str]) -> None:
    words = [*RULES, "", "~a b", "&a b", "( +get ~a )", "(~a +get %R~b &c)", "!" + "a" * 64, "#" + "b" * 64]
    for rule in words:
        acl.same("ACL", "SETUSER", USER, "reset", *before)
        acl.same("ACL", "SETUSER", USER, rule)
        shown(acl)


@pytest.mark.parametrize(
    "words",
    [
        ("SETUSER", "a b", "on"),
        ("SETUSER", "", "on"),
        ("DELUSER", ""),
        ("DELUSER", "default"),
        ("DELUSER", "nobody", "default"),
        ("DELUSER", "nobody"),
        ("GETUSER", "nobody"),
        ("GETUSER", "default"),
        ("CAT",),
        ("CAT", "x"),
        ("CAT", "a", "b"),
        ("GENPASS", "0"),
        ("GENPASS", "x"),
        ("GENPASS", "4097"),
        ("GENPASS", "-1"),
        ("GENPASS", "1", "2"),
        ("LOG", "x"),
        ("LOG", "-1"),
        ("LOG", "RESET"),
        ("LOG", "1", "2"),
        ("LOG",),
        ("SAVE",),
        ("LOAD",),
        ("FOO",),
        (),
        ("USERS",),
        ("LIST",),
        ("WHOAMI",),
        ("DRYRUN", "nobody", "get"),
        ("DRYRUN", "default", "foo"),
        ("DRYRUN", "default", "get"),
        ("DRYRUN", "default", "get", "x"),
        ("DRYRUN", "default", "config", "foo"),
        ("DRYRUN", "default", "config"),
        ("DRYRUN", "default", "config", "get"),
    ],
)
def test_replies(acl: Pair, words: tuple[str, ...]) -> None:
    acl.same("ACL", *words)
    acl.resp3()
    acl.same("ACL", *words)
    acl.resp2()


def test_categories_hold_the_same_commands(acl: Pair) -> None:
    for category in parse(acl.same("ACL", "CAT"))[0]:
        acl.same_set("ACL", "CAT", category)


def test_parentheses_over_several_words(acl: Pair) -> None:
    for words in (["(~a", "+get)", "(~b)"], ["(~a", "+get"], ["(+get)", "x"], ["on", "(", "+get", ")"], ["(~a", "x)"]):
        acl.same("ACL", "SETUSER", USER, *words)
        acl.same("ACL", "SETUSER", USER, "off")
        shown(acl)


def test_genpass_has_so_many_digits() -> None:
    session = libkv.Store().new_session()
    for bits, digits in ((None, 64), (1, 1), (4, 1), (5, 2), (4096, 1024)):
        words = ["ACL", "GENPASS"] + ([str(bits)] if bits else [])
        text = parse(session.feed(command(*words)))[0]
        assert re.fullmatch(rb"[0-9a-f]{%d}" % digits, text)
    assert len({session.feed(command("ACL", "GENPASS")) for _ in range(20)}) == 20


# ---- random rules

WORD = st.sampled_from(
    [
        *(r for r in RULES if not r.startswith("(")),
        *(
            f"{sign}@{c}"
            for sign in "+-"
            for c in "read write keyspace fast slow dangerous admin connection set".split()
        ),
        *(f"{sign}{c}" for sign in "+-" for c in "get set del mget config client object|encoding eval sort".split()),
        *"~k* ~k1 %R~r* %W~w* %RW~x* &c* &d".split(),
    ]
)
SELECTOR = st.lists(WORD.filter(lambda w: ")" not in w), max_size=4).map(lambda words: f"({' '.join(words)})")
ODD = st.text(st.sampled_from("+-@~&%()|<>#!RWx*get "), max_size=8).filter(
    lambda t: not re.search(r"\(.*\(|\).*\)|^[^(]*\)", t)
)


@settings(max_examples=300)
@given(rules=st.lists(st.one_of(WORD, WORD, WORD, SELECTOR, ODD), min_size=1, max_size=8))
def test_random_rules(redis_socket: str, rules: list[str]) -> None:
    pair = shared_pair(redis_socket)
    assert pair.real.call("ACL", "SETUSER", USER, "reset") == pair.ours.feed(command("ACL", "SETUSER", USER, "reset"))
    for rule in rules:
        pair.same("ACL", "SETUSER", USER, rule)
    shown(pair)


PAIRS: dict[str, Pair] = {}


def shared_pair(redis_socket: str) -> Pair:
    """One pair for all examples of a test that hypothesis repeats."""
    if redis_socket not in PAIRS:
        PAIRS[redis_socket] = Pair(redis_socket)
        PAIRS[redis_socket].same("ACL", "SETUSER", "default", *ALL)
    PAIRS[redis_socket].log.clear()
    return PAIRS[redis_socket]


@pytest.fixture(scope="module", autouse=True)
def end_shared_pairs(redis_socket: str) -> Iterator[None]:
    yield
    for pair in PAIRS.values():
        pair.real.call("ACL", "DELUSER", USER)
        pair.close()
    PAIRS.clear()


KEY_RULES = "~a* ~s* ~*0 ~*1 %R~* %W~* %R~s* %W~h* %R~?0 %W~*2 %RW~z* ~l* ~[a-h]* %R~e* ~k*".split()
COMMAND_RULES = [
    *"+@all -@write +@read +@write -@fast +@string +@hash +set -set +get +select|0 +object|encoding -object".split(),
    *"-@dangerous +mget +copy -@keyspace +zunionstore +sort".split(),
]


@pytest.mark.parametrize("seed", range(6))
def test_random_commands_are_judged_alike(acl: Pair, seed: int) -> None:
    """DRYRUN of random commands under random rules, several selectors among them."""
    random = Random(seed)
    commands = [c for unit in Generator(seed).program(1500) for c in unit if c and c[0]]
    for some in batches(commands, 60):
        rules = ["reset", *random.choices(COMMAND_RULES, k=4), *random.choices(KEY_RULES, k=3)]
        for _ in range(random.randrange(3)):
            chosen = random.choices(COMMAND_RULES, k=3) + random.choices(KEY_RULES, k=2)
            rules.append(f"({' '.join(chosen)})")
        acl.same("ACL", "SETUSER", USER, *rules)
        for words in some:
            acl.same("ACL", "DRYRUN", USER, *words)


def batches(items: list[Any], n: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), n):
        yield items[at : at + n]


# ---- sessions


def limited(acl: Pair, *rules: str) -> None:
    acl.same("ACL", "SETUSER", USER, "reset", "on", ">pw", *rules)


def test_a_limited_user(acl: Pair, client: Both) -> None:
    limited(acl, "~a*", "%R~r*", "%W~w*", "+@all", "-@admin", "-acl", "+acl|whoami", "-select", "+select|3")
    client.same("AUTH", USER, "wrong")
    client.same("AUTH", "wrong")
    client.same("AUTH", "nobody", "pw")
    client.same("HELLO", "2", "AUTH", USER, "x")
    client.same("AUTH", USER, "pw")
    for words in (
        "ACL WHOAMI|CONFIG SET maxmemory 1|CONFIG GET maxmemory|config foo|GET b|GET rx|GET wx|SET rx 1|SET wx 1|"
        "SET wx 1 GET|select 3|SELECT 5|del a|COPY rx wx|COPY wx rx|EXISTS rx|EXISTS wx|EXISTS zz|MGET ax rx bx|nosuch|"
        "object encoding b|object freq a|object|MULTI|GET b|EXEC|MULTI|GET a|SET a 1|EXEC|ACL LIST|RESET|ACL WHOAMI"
    ).split("|"):
        client.same(*words.split())
    client.same("SET", "zz", "1")


def test_exec_looks_again(acl: Pair, client: Both) -> None:
    for change in (["-get"], ["resetkeys", "~z"], ["-set"], ["+get", "~*"]):
        limited(acl, "~k*", "+@all")
        client.same("AUTH", USER, "pw")
        for words in ("MULTI", "GET k", "SET k v", "PING"):
            client.same(*words.split())
        acl.same("ACL", "SETUSER", USER, *change)
        client.same("EXEC")


def test_what_is_left_of_a_user(acl: Pair, client: Both) -> None:
    """Off: sessions go on, but nobody new comes; deleted: they end."""
    limited(acl, "~*", "+@all")
    client.same("AUTH", USER, "pw")
    acl.same("ACL", "SETUSER", USER, "off")
    client.same("GET", "k")
    client.same("AUTH", USER, "pw")
    acl.same("ACL", "DELUSER", USER)
    with pytest.raises((OSError, AssertionError, IndexError)):
        client.wire.call("GET", "k")
    with pytest.raises(libkv.errors.StoreClosed):
        client.ours.feed(command("GET", "k"))
        client.ours.feed(command("GET", "k"))


def test_exec_and_other_commands_of_a_transaction_may_be_denied(acl: Pair, client: Both) -> None:
    for without in ("-exec", "-discard", "-multi", "-watch", "-get", "-quit"):
        limited(acl, "~*", "+@all", without)
        client.same("AUTH", USER, "pw")
        for words in ("WATCH k", "MULTI", "SET k v", "GET k", "EXEC", "DISCARD", "GET k", "MULTI", "DISCARD", "RESET"):
            client.same(*words.split())
    theirs, ours = (parse(reply)[0] for reply in acl.both("INFO", "errorstats"))
    assert ours == theirs


def entries(reply: bytes) -> list[dict[bytes, Any]]:
    """ACL LOG's entries without age and the client's line, and of that what it was doing."""
    out = []
    for flat in parse(reply)[0]:
        flat = flat[1] if isinstance(flat, tuple) else flat
        entry = dict(zip(flat[::2], flat[1::2], strict=True))
        del entry[b"age-seconds"]
        line = entry.pop(b"client-info")
        found = re.search(rb" argv-mem=(\d+) .* cmd=(\S+) user=(\S+) ", line)
        assert found is not None
        entry[b"argv"], entry[b"cmd"], entry[b"user"] = found.groups()
        out.append(entry)
    return out


def test_log(acl: Pair, client: Both) -> None:
    limited(acl, "~a*", "+@all", "-acl", "-@scripting")
    for words in (
        "AUTH nobody x|AUTH acl-user x|HELLO 2 AUTH acl-user y|AUTH acl-user pw|GET b|GET b|GET c|ACL LIST|MULTI|GET b|"
        "EXEC|GET b|mget a b c|ACL WHOAMI|object freq d|GET d"
    ).split("|"):
        client.same(*words.split())
    theirs, ours = (entries(reply) for reply in acl.both("ACL", "LOG", "100"))
    assert ours == theirs and len(ours) > 8
    theirs, ours = (entries(reply) for reply in acl.both("ACL", "LOG"))
    assert ours == theirs and len(ours) == min(10, len(theirs))
    acl.resp3()
    theirs, ours = (entries(reply) for reply in acl.both("ACL", "LOG", "3"))
    assert ours == theirs and len(ours) == 3
    acl.resp2()
    acl.same("CONFIG", "SET", "acllog-max-len", "2")
    client.same("GET", "zz")
    theirs, ours = (entries(reply) for reply in acl.both("ACL", "LOG", "100"))
    assert ours == theirs and len(ours) == 2
    acl.same("ACL", "LOG", "RESET")
    acl.same("ACL", "LOG")


def test_scripts_run_with_their_caller_s_rights(acl: Pair, client: Both) -> None:
    limited(acl, "~a*", "%R~r*", "&c", "+@all", "-del", "-config")
    client.same("AUTH", USER, "pw")
    for script, *keys in (
        ("return redis.call('get', KEYS[1])", "1", "ab"),
        ("return redis.call('get', KEYS[1])", "1", "b"),
        ("return redis.pcall('get', ARGV[1])", "0", "b"),
        ("return redis.pcall('set', ARGV[1], 'x')", "0", "rx"),
        ("return redis.pcall('del', 'a')", "0"),
        ("return redis.call('del', 'a')", "0"),
        ("return redis.pcall('publish', 'd', 'x')", "0"),
        ("return redis.pcall('publish', 'c', 'x')", "0"),
        (
            "return {redis.acl_check_cmd('get', 'a'), redis.acl_check_cmd('get', 'b'), redis.acl_check_cmd('del', 'a')}",
            "0",
        ),
        ("return {redis.acl_check_cmd('config', 'get'), redis.acl_check_cmd('get')}", "0"),
        ("return redis.acl_check_cmd('nosuch')", "0"),
        ("return redis.acl_check_cmd()", "0"),
    ):
        client.same("EVAL", script, *keys)
    theirs, ours = (entries(reply) for reply in acl.both("ACL", "LOG", "100"))
    for entry in theirs + ours:
        del entry[b"argv"]
    assert ours == theirs and {e[b"context"] for e in ours} == {b"lua", b"toplevel"}
    assert {e[b"cmd"] for e in ours} == {b"eval"}


def test_sort_by_and_get_need_all_keys(acl: Pair, client: Both) -> None:
    acl.same("RPUSH", "a", "2", "1")
    for rules in (["~a*"], ["~a*", "%R~*"], ["~a*", "(%R~* +sort)"], ["~a*", "%W~*"], ["allkeys"], ["~*"]):
        limited(acl, "+@all", *rules)
        client.same("AUTH", USER, "pw")
        for words in ("SORT a", "SORT a BY x*", "SORT a GET x*", "SORT a BY nosort GET #", "SORT a STORE ad"):
            client.same(*words.split())


def test_subscribers_that_may_not_listen_any_more_are_disconnected(acl: Pair, redis_socket: str) -> None:
    def hear(change: list[str]) -> list[bool]:
        """Whether a subscriber's connection is there after a change of its user."""
        alive = []
        for kind, name in (("SUBSCRIBE", "c1"), ("PSUBSCRIBE", "c*"), ("SSUBSCRIBE", "c2")):
            limited(acl, "+@all", "&c*")
            theirs, ours = Wire(redis_socket), acl.store.new_session()
            for words in (("AUTH", USER, "pw"), (kind, name)):
                assert theirs.call(*words) == ours.feed(command(*words))
            acl.same("ACL", "SETUSER", USER, *change)
            try:
                there = theirs.call("PING") != b""
            except (OSError, AssertionError, IndexError):
                there = False
            try:
                assert (ours.feed(command("PING")) != b"") == there
            except libkv.errors.StoreClosed:
                assert not there
            alive.append(there)
            theirs.close()
        return alive

    assert hear(["on"]) == [True, True, True]
    assert hear(["allchannels"]) == [True, True, True]
    assert hear(["resetchannels", "&c1"]) == [True, False, False]
    assert hear(["resetchannels", "&d"]) == [False, False, False]
    assert hear(["resetchannels", "(&c*)"]) == [True, True, True]


def test_client_list_and_kill_by_user(acl: Pair, client: Both) -> None:
    limited(acl, "~*", "+@all")
    client.same("AUTH", USER, "pw")
    for side in client.both("CLIENT", "LIST"):
        assert b" user=acl-user " in side
    acl.same("CLIENT", "KILL", "USER", "nobody")
    client.same("CLIENT", "KILL", "USER", "acl-user")


def test_default_user_and_requirepass(acl: Pair) -> None:
    steps = """
    CONFIG SET requirepass foo|ACL LIST|AUTH foo|AUTH bar|AUTH default foo|CONFIG SET requirepass foo|ACL LIST
    ACL SETUSER default >second|ACL LIST|AUTH second|CONFIG GET requirepass|CONFIG SET requirepass bar|ACL LIST
    CONFIG SET requirepass third|AUTH third|CONFIG SET requirepass|ACL LIST|AUTH x
    ACL SETUSER default -get resetkeys ~a|GET a|SET b 1|SET a 1|ACL SETUSER default +@all allkeys|GET a
    """
    acl.same("AUTH", "default", "")
    for step in steps.strip().replace("\n", "|").split("|"):
        words = step.split()
        acl.same(*words, *([""] if words == ["CONFIG", "SET", "requirepass"] else []))


def test_pubsub_default(acl: Pair) -> None:
    acl.same("CONFIG", "SET", "acl-pubsub-default", "allchannels")
    acl.same("ACL", "SETUSER", USER, "on")
    acl.same("ACL", "SETUSER", USER, "(~x)")
    shown(acl)
    acl.same("CONFIG", "SET", "acl-pubsub-default", "resetchannels")
    acl.same("ACL", "SETUSER", USER, "reset", "(~x)")
    shown(acl)


def test_channels_by_dryrun(acl: Pair) -> None:
    acl.same("ACL", "SETUSER", USER, "reset", "+@all", "~*", "&c*", "&d?")
    for name in ("SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "PUBLISH", "SPUBLISH", "UNSUBSCRIBE"):
        if parse(acl.ours.feed(command("COMMAND", "INFO", name)))[0][0] is None:
            continue
        for channels in (["c1"], ["d"], ["dx", "c", "x"], ["c*"], ["c1*"]):
            rest = [channels[0], "m"] if "PUBLISH" in name else channels
            acl.same("ACL", "DRYRUN", USER, name, *rest)


def test_too_little_memory_changes_nothing() -> None:
    """Each allocation of ACL SETUSER fails in turn."""
    store = libkv.Store()
    session = store.new_session()
    assert session.feed(command("ACL", "SETUSER", "u", "on", ">p", "~a", "&b", "+select|0", "(~c +get)")) == b"+OK\r\n"
    before = session.feed(command("ACL", "LIST"))
    change = command("ACL", "SETUSER", "u", ">q", "~aa", "%R~bb", "&cc", "+select|1", "(~dd +get &ee)", "off")
    failures = 0
    while True:
        store.fail_allocations_after(failures)
        reply = session.feed(change)
        store.fail_allocations_after(-1)
        if reply == b"+OK\r\n":
            break
        assert reply.startswith(b"-OOM"), reply
        assert session.feed(command("ACL", "LIST")) == before
        failures += 1
    assert failures > 10
    store.check()
