"""libkv's exceptions are redis-py's, in name, in tree and in what makes them."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers.base import BaseParser

from libkv import errors

ROOT = Path(__file__).parents[3]

# Of redis-py's exceptions, those that no store raises.
WITHOUT = {
    "AskError": "redirection in a cluster",
    "MovedError": "redirection in a cluster",
    "NoSuchFieldsetError": "HIMPORT, a command of newer servers",
    "ChildDeadlockedError": "about connection pools",
    "CrossSlotTransactionError": "the cluster client's own",
    "ExternalAuthProviderError": "about LDAP",
    "IncorrectPolicyType": "the cluster client's own",
    "InvalidPipelineStack": "the cluster client's own",
    "RedisClusterException": "the cluster client's own",
    "SlotNotCoveredError": "the cluster client's own",
}
THEIRS = {
    name: value
    for name, value in vars(redis.exceptions).items()
    if isinstance(value, type) and issubclass(value, Exception) and name not in WITHOUT
}
CODES = "ERR OOM WRONGPASS EXECABORT LOADING NOSCRIPT READONLY NOAUTH NOPERM TRYAGAIN CLUSTERDOWN CROSSSLOT MASTERDOWN"
NOT_SENT = (  # texts that redis-py knows from older or newer servers, or from modules
    "Client sent AUTH, but",
    "wrong number of arguments for 'AUTH'",
    "Error unloading module: operation not possible",
    "Error unloading module: the module exports",
    "problem with LDAP",
    "no such fieldset",
)
TEXTS = [
    *(text for text in BaseParser.EXCEPTION_CLASSES["ERR"] if not text.startswith(NOT_SENT)),
    *(
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR",
        "ERR ",
        "",
        "OOM",
        "unknown",
        "err x",
    ),
]


@pytest.mark.parametrize("name", THEIRS)
def test_names_and_tree(name):
    errors.RedisError()  # adopts redis-py's classes, if that has not happened
    ours = getattr(errors, name)
    assert issubclass(ours, THEIRS[name]) and issubclass(ours, errors.KvError)
    for other, their_class in THEIRS.items():
        assert issubclass(ours, getattr(errors, other)) == issubclass(THEIRS[name], their_class), other


@pytest.mark.parametrize("line", [f"{code} text of it" for code in CODES.split()] + [f"ERR {t}" for t in TEXTS] + TEXTS)
def test_error_from_reply_as_redis_py(line):
    theirs = BaseParser.parse_error(line)
    ours = errors.error_from_reply(line.encode())
    assert type(ours).__name__ == type(theirs).__name__
    assert isinstance(ours, type(theirs))
    assert (ours.args, str(ours), ours.status_code) == (theirs.args, str(theirs), theirs.status_code)


@given(st.binary(max_size=60))
def test_error_from_reply_takes_any_bytes(line):
    assert isinstance(errors.error_from_reply(line), errors.RedisError)


def test_pickle_keeps_class_and_text():
    error = pickle.loads(pickle.dumps(errors.error_from_reply(b"OOM too much")))
    assert type(error) is errors.OutOfMemoryError and str(error) == "too much"


def test_lock_error():
    error = errors.LockNotOwnedError("lost", lock_name="job")
    assert isinstance(error, ValueError) and error.lock_name == "job" and str(error) == "lost"


ORDERS = {
    "redis first": "import redis; from libkv import errors",
    "libkv first": "from libkv import errors; import redis",
    "an error before redis": "from libkv import errors; old = errors.error_from_reply(b'ERR old'); import redis",
}


@pytest.mark.parametrize("order", ORDERS)
def test_import_order_does_not_matter(order):
    check = (
        f"{ORDERS[order]}\n"
        "try:\n    raise errors.error_from_reply(b'WRONGPASS no')\n"
        "except redis.AuthenticationError as error:\n    print(type(error).__module__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == "libkv.errors no\n", done.stderr


def test_libkv_does_not_import_redis():
    check = (
        "import sys; from libkv import errors\n"
        "assert isinstance(errors.error_from_reply(b'ERR x'), ValueError) is False\n"
        "assert isinstance(errors.LockError('x'), ValueError)\n"
        "print('redis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr
