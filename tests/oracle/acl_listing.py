"""ACL LIST's lines made comparable."""

from __future__ import annotations

import itertools
import re


def sorted_commands(text: bytes) -> bytes:
    """A user's rules with runs of single commands sorted: redis-server lists them in the order of a hash table."""
    words = text.split(b" ")
    out: list[bytes] = []
    for single, group in itertools.groupby(words, lambda w: re.match(rb"[+-][^@]", w) is not None):
        run = list(group)
        out += sorted(w.strip(b"()") for w in run) if single else run
    return b" ".join(out)
