"""SHA-256 against hashlib."""

import hashlib
import random

import pytest

from libkv.structures.sha256 import sha256


@pytest.mark.parametrize("length", [*range(200), 1000, 4095, 4096, 65537])
def test_equals_hashlib(length):
    data = random.Random(length).randbytes(length)
    assert sha256(data) == hashlib.sha256(data).hexdigest()


def test_known_digests():
    # FIPS 180's own examples
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"a" * 1000000) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_only_bytes():
    with pytest.raises(TypeError):
        sha256("text")
