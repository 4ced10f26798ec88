"""SHA-1 against hashlib."""

import hashlib
import random

import pytest

from libkv.structures.sha1 import sha1


@pytest.mark.parametrize("length", [*range(200), 1000, 4095, 4096, 65537])
def test_equals_hashlib(length):
    data = random.Random(length).randbytes(length)
    assert sha1(data) == hashlib.sha1(data).hexdigest()


def test_known_digests():
    # FIPS 180's own examples
    assert sha1(b"abc") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert sha1(b"a" * 1000000) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f"


def test_only_bytes():
    with pytest.raises(TypeError):
        sha1("text")
