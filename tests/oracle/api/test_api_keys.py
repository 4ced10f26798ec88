"""Keys of all types, DUMP and RESTORE, SORT: the same on libkv.Store and on a redis-server."""

import datetime
import itertools

import pytest

from tests.oracle.api.recorder import same

LATER = datetime.datetime(2038, 1, 2, 3, 4, 5, 678_000, tzinfo=datetime.UTC)
DUMPED = b"\x00\x01v\n\x00\x91\x08\xce\xb2\x198\x8a\xce"  # DUMP's payload of the string "v"


def generic(r):
    r.set("k", "v")
    r.lpush("l", 1, 2)
    r.contains("k")
    r.contains("none")
    r.exists("k", "k", "none")
    r.exists()
    r.type("k")
    r.type("l")
    r.type("none")
    for method in ("expire", "pexpire"):
        getattr(r, method)("k", datetime.timedelta(days=3))
        for condition, days in itertools.product(("nx", "xx", "gt", "lt"), (2, 4, 1)):
            getattr(r, method)("k", datetime.timedelta(days=days), **{condition: True})
            r.ttl("k")
        getattr(r, method)("k", 1, nx=True, xx=True)
        getattr(r, method)("k", 1, gt=True, lt=True)
    r.expire("none", 1)
    r.expireat("k", LATER)
    r.pexpireat("k", LATER, gt=True)
    r.expiretime("k")
    r.pexpiretime("k")
    r.pexpiretime("none")
    r.expiretime("l")
    r.persist("k")
    r.persist("k")
    r.ttl("k")
    r.ttl("none")
    r.pttl("none")
    r.pttl("l")
    r.expire("k", "soon")
    r.rename("k", "k2")
    r.rename("none", "x")
    r.renamenx("k2", "l")
    r.renamenx("k2", "k")
    r.copy("k", "l")
    r.copy("k", "l", replace=True)
    r.copy("k", "z", destination_db=3)
    r.copy("none", "z")
    r.copy("k", "z", destination_db=77)
    r.move("k", 1)
    r.move("k", 1)
    r.move("l", 99)
    r.touch("l", "none")
    r.keys()
    r.keys("no*")
    r.randomkey()
    r.object("encoding", "l")
    r.object("refcount", "l")
    r.object("idletime", "l")
    r.object("freq", "l")
    r.object("encoding", "none")
    r.object("nonsense", "l")
    r.dbsize()
    r.scan()
    r.scan(0, "l*", 10, "string")
    r.scan("x")
    r.mset({f"key:{i}": i for i in range(50)})
    r.scan_iter("key:*", 7)
    r.scan_iter(_type="list")
    r.delete("l", "none")
    r.delete()
    r.unlink("key:1", "key:2", "none")
    r.__delitem__("key:3")
    r.swapdb(0, 1)
    r.dbsize()
    r.keys()
    r.swapdb(0, 99)
    r.flushdb(True)
    r.randomkey()
    r.flushall()


def dumps(r):
    r.set("k", "v")
    r.dump("k")
    r.dump("none")
    r.restore("k", 0, DUMPED)
    r.restore("copy", 0, DUMPED)
    r.restore("copy", 10**6, DUMPED, replace=True)
    r.restore("copy", 4102444800000, DUMPED, True, True, 100)
    r.pexpiretime("copy")
    r.restore("used", 0, DUMPED, frequency=7)
    r.restore("both", 0, DUMPED, idletime=1, frequency=7)
    r.restore("bad", 0, b"no payload")
    r.restore("bad", -1, DUMPED)
    r.restore("bad", 0, DUMPED, idletime="x")
    r.get("copy")
    r.migrate("127.0.0.1", 1, "none", 0, 100)
    r.migrate("127.0.0.1", 1, ["none", "none too"], 0, 100, copy=True, replace=True, auth="secret")
    r.migrate("127.0.0.1", 1, "k", 0, 100)
    r.migrate("127.0.0.1", 1, [], 0, 100)
    r.exists("k")


def sorting(r):
    r.rpush("l", 3, 1, 2)
    r.mset({"w1": 2, "w2": 1, "w3": 0})
    r.sort("l")
    r.sort("l", desc=True)
    r.sort("l", start=1, num=1)
    r.sort("l", start=1)
    r.sort("l", num=1)
    r.sort("l", by="w*")
    r.sort("l", by="w*", get="w*")
    r.sort("l", get=b"#")
    r.sort("l", get=["#", "w*"])
    r.sort("l", get=["#", "w*"], groups=True)
    r.sort("l", get=("#", "w*", "none*"), groups=True)
    r.sort("l", get="#", groups=True)
    r.sort("l", get=["#"], groups=True)
    r.sort("l", groups=True)
    r.sort("l", alpha=True, store="d")
    r.sort("l", alpha=True, store="d", get=["#", "w*"], groups=True)
    r.sort("none")
    r.sort("w1")
    r.sort_ro("l")
    r.sort_ro("l", start=0, num=2, by="w*", get=["#"], desc=True, alpha=True)
    r.execute_command("SORT", "l", "GET", "#", "GET", "w*")


SCENARIOS = [generic, dumps, sorting]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.filterwarnings("ignore")  # redis-py's deprecations
def test_scenario(clients, scenario):
    same(clients, scenario)
