"""libkv's methods have redis-py's names, parameters and defaults, or a reason why not."""

import inspect
import runpy
from pathlib import Path

import pytest
import redis
from redis.asyncio.client import PubSub as TheirAsyncPubSub
from redis.client import Monitor as TheirMonitor
from redis.client import Pipeline as TheirPipeline
from redis.client import PubSub as TheirPubSub
from redis.commands.core import BitFieldOperation as TheirBitField
from redis.lock import Lock as TheirLock

from libkv.api.aio_pubsub import AsyncPubSub
from libkv.api.bitmaps import BitFieldOperation
from libkv.api.handle import Client, Database, StoreHandle
from libkv.api.lock import Lock
from libkv.api.pipeline import Pipeline
from libkv.api.pubsub import Monitor, PubSub
from libkv.api.store import Store

GAPS = runpy.run_path(str(Path(__file__).parents[2] / "data" / "api_gaps.py"))
MISSING: dict[str, str] = GAPS["MISSING"]
DIFFERENT: dict[str, str] = GAPS["DIFFERENT"]
OF_CONNECTIONS = {"check_health", "on_connect"}
SPECIAL = ["__contains__", "__delitem__", "__getitem__", "__setitem__", "__enter__", "__exit__"]


def public(cls):
    return [name for name in dir(cls) if not name.startswith("_")]


def parameters(method):
    """What a caller sees: (name, kind, default) of each parameter but self; the name of ** is not seen."""
    found = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
    return [(p.name if p.kind is not p.VAR_KEYWORD else "**", p.kind, p.default) for p in found]


def missing_names():
    return [name for names in MISSING.values() for name in names.split()]


THEIRS = [name for name in public(redis.Redis) if name not in set(missing_names())]


@pytest.mark.parametrize("name", THEIRS)
def test_method_is_the_same(name):
    assert hasattr(Store, name), f"libkv.Store has no {name}: write it, or list it in tests/data/api_gaps.py"
    theirs = getattr(redis.Redis, name)
    if callable(theirs) and name not in DIFFERENT:
        assert parameters(getattr(Store, name)) == parameters(theirs)


@pytest.mark.parametrize("name", SPECIAL)
def test_operators_exist(name):
    assert callable(getattr(Store, name))
    assert callable(getattr(redis.Redis, name))


def test_gaps_are_gaps():
    names = missing_names()
    assert len(names) == len(set(names)), "listed twice"
    stale = [name for name in names if hasattr(Store, name)]
    assert not stale, f"libkv.Store has these: {stale}"
    unknown = [name for name in names if not hasattr(redis.Redis, name)]
    assert not unknown, f"redis.Redis has none of these: {unknown}"
    assert all(MISSING) and all(DIFFERENT.values()), "a gap without a reason"


@pytest.mark.parametrize(
    ("mine", "theirs", "without"),
    [
        (Pipeline, TheirPipeline, {"annotate_exception", "load_scripts", "parse_response", "raise_first_error"}),
        (Lock, TheirLock, {"do_acquire", "do_extend", "do_reacquire", "do_release", "register_scripts"}),
        (BitFieldOperation, TheirBitField, set()),
        (PubSub, TheirPubSub, OF_CONNECTIONS | {"clean_health_check_responses", "is_health_check_response"}),
        (AsyncPubSub, TheirAsyncPubSub, OF_CONNECTIONS),
        (Monitor, TheirMonitor, set()),
    ],
)
def test_companions_are_the_same(mine, theirs, without):
    for name in vars(theirs):
        if name.startswith("_") or name in without or not callable(getattr(theirs, name)) or name.isupper():
            continue
        if name.startswith(("LUA", "lua")):
            continue  # scripts of theirs
        assert parameters(getattr(mine, name)) == parameters(getattr(theirs, name)), name


def test_client_and_view_have_the_methods_too():
    for name in public(StoreHandle):
        assert hasattr(Client, name) and hasattr(Database, name)
