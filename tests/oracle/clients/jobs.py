"""What the job queues' workers run: they import it by name."""

from __future__ import annotations


def add(a: int, b: int) -> int:
    return a + b


def divide(a: int, b: int) -> float:
    return a / b
