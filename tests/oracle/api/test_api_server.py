"""Scripts, sessions, users, the server, its files: the same on libkv.Store and on a redis-server."""

import datetime

import pytest

from tests.oracle.api.recorder import same, typed


def scripts_and_functions(r):
    library = "#!lua name=x\nredis.register_function('f', function(k, a) return {k, a} end)"
    r.function_flush()
    r.eval("return {1, ARGV[1], {ok='x'}, redis.call('get', KEYS[1])}", 1, "k", "a")
    r.eval("error('x')", 0)
    r.eval_ro("return redis.call('set','a','b')", 0)
    sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    r.script_flush()
    r.evalsha(sha, 0)
    r.script_load("return 1")
    r.evalsha(sha, 0)
    r.evalsha_ro(sha, 0)
    r.script_exists(sha, "x")
    r.script_flush("ASYNC")
    r.script_flush("FOO")
    r.script_kill()
    r.script_debug("YES")
    r.function_load(library)
    r.function_load(library, True)
    r.function_list()
    r.function_list("x", True)
    r.function_stats()
    r.fcall("f", 1, "a", "b")
    r.fcall_ro("f", 0)
    r.function_dump()
    r.function_restore(b"x")
    r.function_kill()
    r.function_delete("x")
    r.function_flush("ASYNC")


def sessions_and_server(r):
    r.ping()
    r.echo("hi")
    r.echo(b"\xff")
    r.client_setname("joe")
    r.client_getname()
    r.client_setname("has space")
    r.client_setname("")
    r.client_getname()
    r.client_kill("1.2.3.4:5")
    r.client_kill_filter(_id="99999")
    r.client_kill_filter(_type="normal", skipme=True, addr="1.2.3.4:5")
    r.client_kill_filter()
    r.client_list("bad")
    r.client_list(client_id=[99999])
    r.client_list("pubsub")
    r.auth("pw")
    r.auth("pw", "user")
    r.config_get("hash-max-listpack-*", "maxmemory")
    r.config_get("no-such-setting")
    r.config_set("maxmemory", "100mb")
    r.config_get("maxmemory")
    r.config_set("maxmemory", 0, "hash-max-listpack-entries", 100)
    r.config_set("hash-max-listpack-entries", 512)
    r.config_set("maxmemory", "lots")
    r.config_set("no-such-setting", 1)
    r.config_resetstat()
    r.config_rewrite()
    r.client_no_evict("ON")
    r.client_no_evict("perhaps")
    r.memory_usage("no such key")
    r.memory_usage("no such key", samples=0)
    r.memory_purge()
    r.memory_doctor()
    r.memory_help()
    r.command_getkeys("MSET", "a", 1, "b", 2)
    r.command_getkeys("PING")
    r.command_getkeysandflags("SET", "a", 1)
    r.command_list(pattern="zrange*")
    r.command_list(category="hash")
    r.command_docs()
    r.command_info()
    r.hello()
    r.debug_segfault()
    r.slowlog_reset()
    r.slowlog_len()
    r.slowlog_get()
    r.slowlog_get(0)
    r.lolwut()
    r.lolwut(99)
    r.shutdown(save=True, nosave=True)
    r.watch("k")
    r.unwatch()


def users(r):
    r.acl_whoami()
    r.acl_setuser(
        "bob",
        enabled=True,
        passwords=["+a", "+b", "-a"],
        categories=["+@read"],
        commands=["+set"],
        keys=["k*", "%R~z"],
        channels=["c"],
        selectors=[("+get", "q"), ("-@all", "%W~x")],
    )
    r.acl_getuser("bob")
    r.acl_setuser("bob", passwords="+x", reset_passwords=True, hashed_passwords="+" + "a" * 64)
    r.acl_setuser(
        "bob", hashed_passwords=["-" + "a" * 64], reset_keys=True, reset_channels=True, categories=["-@write"]
    )
    r.acl_getuser("bob")
    for wrong in (
        {"passwords": "x"},
        {"hashed_passwords": ["x"]},
        {"categories": ["read"]},
        {"commands": ["get"]},
        {"selectors": [("get", "k")]},
        {"nopass": True, "passwords": "+x"},
        {"commands": ["+nosuch"]},
    ):
        r.acl_setuser("bob", **wrong)
    r.acl_setuser("bob", enabled=True, reset=True, nopass=True, keys=["*"], commands=["+get"])
    r.acl_getuser("bob")
    r.acl_getuser("nobody")
    r.acl_list()
    r.acl_users()
    r.acl_cat()
    r.acl_cat("nosuch")
    r.acl_dryrun("bob", "get", "x")
    r.acl_dryrun("bob", "set", "x", 1)
    r.acl_dryrun("nobody", "get", "x")
    r.acl_genpass(-1)
    r.acl_genpass("x")
    r.acl_log("x")
    r.acl_log_reset()
    r.acl_log()
    r.acl_log(3)
    r.acl_load()
    r.acl_save()
    r.acl_deluser("bob", "nobody")


def latencies(r):
    r.latency_reset()
    r.latency_reset("command", "nosuch")
    r.latency_latest()
    r.latency_history("command")
    r.latency_doctor()
    r.latency_graph()
    r.latency_histogram()
    r.latency_histogram("get")
    r.execute_command("LATENCY HISTORY", "command")
    r.execute_command("LATENCY HISTOGRAM", "nosuch")


def alone(r):
    r.role()
    r.replicaof("NO", "ONE")
    r.replicaof("a", "b")
    r.slaveof()
    r.slaveof("a", "b")
    r.failover()
    r.cluster("info")
    r.cluster("nodes")
    r.readonly()
    r.readwrite()
    r.module_list()
    r.module_load("nosuch")
    r.module_load("nosuch", "x")
    r.module_loadex("nosuch", ["a", "b"], ["c"])
    r.module_unload("nosuch")
    r.execute_command("ROLE")


def channels(r):
    r.publish("c", "m")
    r.publish("c", None)
    r.spublish("c", b"m")
    r.pubsub_channels()
    r.pubsub_channels("a*")
    r.pubsub_numpat()
    r.pubsub_numsub()
    r.pubsub_numsub("a", "b")
    r.pubsub_shardchannels()
    r.pubsub_shardchannels("a*")
    r.pubsub_shardnumsub("a", "b")
    r.client_getredir()
    r.client_trackinginfo()
    r.client_tracking(prefix=["a"])
    r.client_tracking_on(prefix=["a"])
    r.client_tracking_off(prefix=["a"])


def files(r):
    r.set("k", "v")
    r.save()
    r.bgsave()
    r.until_saved()
    r.bgsave(schedule=False)
    r.until_saved()
    r.bgrewriteaof()
    r.until_saved()
    r.get("k")


def raw_commands(r):
    r.set("k", "v")
    r.hset("h", "f", "v")
    r.zadd("z", {"a": 1})
    r.sadd("s", "m")
    r.execute_command("GET", "k")
    r.execute_command("get", "k")
    r.execute_command(b"GET", b"k")
    r.execute_command("HGETALL", "h")
    r.execute_command("hgetall", "h")
    r.execute_command("CONFIG", "GET", "maxmemory")
    r.execute_command("CONFIG GET", "maxmemory")
    r.execute_command("config get", "maxmemory")
    r.execute_command("ZRANGE", "z", 0, -1, "WITHSCORES")
    r.execute_command("ZSCORE", "z", "a")
    r.execute_command("SMEMBERS", "s")
    r.execute_command("SPOP", "s", 1)
    r.execute_command("SET", "k", "v")
    r.execute_command("PING", "text")
    r.execute_command("NOSUCH", "a", "b")
    r.execute_command("NOSUCH")
    r.execute_command("GET")
    r.execute_command("CONFIG", "NOSUCH")
    r.execute_command("COMMAND", "INFO", "get")
    r.execute_command("COMMAND", "DOCS", "nosuch")
    r.execute_command("EXPIRE", "k", 10)


SCENARIOS = [scripts_and_functions, sessions_and_server, users, latencies, alone, channels, files, raw_commands]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.filterwarnings("ignore")  # redis-py's deprecations
def test_scenario(clients, scenario):
    same(clients, scenario)


def test_alike(clients):
    """Values that differ between two servers: their shapes and types are compared."""
    ours, theirs = clients
    for client in clients:
        client.set("k", 1)
    assert type(ours.client_id()) is type(theirs.client_id()) is int
    mine, wanted = ours.client_info(), theirs.client_info()
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    mine, wanted = ours.client_list()[0], theirs.client_list()[0]
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    assert list(map(type, ours.time())) == [int, int] and type(ours.time()) is tuple
    assert abs(ours.time()[0] - theirs.time()[0]) <= 2
    for client in clients:
        tick = datetime.timedelta(milliseconds=10)  # whole seconds are the kernel's of its last tick
        before = (datetime.datetime.now() - tick).replace(microsecond=0)
        assert client.save() is True
        saved = client.lastsave()
        assert type(saved) is datetime.datetime and before <= saved <= datetime.datetime.now()
    mine, wanted = ours.info("keyspace", "stats"), theirs.info("keyspace", "stats")
    assert mine["db0"] == wanted["db0"]
    assert [k for k in wanted if k not in mine] == []
    assert all(type(mine[k]) is type(v) for k, v in wanted.items())
    assert set(theirs.info()) - set(ours.info()) == set()
    mine, wanted = ours.debug_object("k"), theirs.debug_object("k")
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    assert mine["encoding"] == wanted["encoding"] and mine["serializedlength"] == wanted["serializedlength"]


def test_alike_memory(clients):
    mine, wanted = (client.memory_stats() for client in clients)
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    for client in clients:
        client.set("k", "v")
    assert [type(client.memory_usage("k", samples=3)) for client in clients] == [int, int]
    assert len({type(client.memory_malloc_stats()) for client in clients}) == 1
    mine, wanted = (client.memory_stats()["db.0"] for client in clients)
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}


def test_alike_users(clients):
    ours, theirs = clients
    assert len(ours.acl_genpass()) == len(theirs.acl_genpass()) == 64 and type(ours.acl_genpass()) is str
    assert ours.acl_help()[0] == theirs.acl_help()[0] and type(ours.acl_help()) is list
    for client in clients:
        with pytest.raises(Exception, match="invalid username"):
            client.auth("x", "nobody")
    mine, wanted = ours.acl_log()[0], theirs.acl_log()[0]
    assert {k: type(v) for k, v in mine.items()} == {k: type(v) for k, v in wanted.items()}
    assert {k: type(v) for k, v in mine["client-info"].items()} == {
        k: type(v) for k, v in wanted["client-info"].items()
    }


def test_command_table(clients):
    ours, theirs = clients
    mine, wanted = ours.command(), theirs.command()
    assert list(map(type, mine)) == [str] * len(mine)
    assert len(mine) == ours.command_count() and type(theirs.command_count()) is int
    assert set(mine) - set(wanted) == set(), "the server has no others"
    for name in mine:
        for entry in (mine[name], wanted[name]):
            entry["subcommands"].sort(key=lambda row: row[0])  # in a redis-server's order of hashing
        ours_only = [row for row in mine[name]["subcommands"] if row not in wanted[name]["subcommands"]]
        assert not ours_only, name
        mine[name]["subcommands"] = wanted[name]["subcommands"] = []  # ours need not have all of them yet
        assert typed(mine[name]) == typed(wanted[name]), name


def test_slow_log(clients):
    entries = []
    for client in clients:
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        client.set("slow", "ä")
        client.config_set("slowlog-log-slower-than", 10_000)
        (entry,) = [e for e in client.slowlog_get(9) if e["command"].startswith(b"SET slow")]
        entries.append({k: (type(v), v) if k == "command" else type(v) for k, v in entry.items()})
    assert entries[0] == entries[1]
