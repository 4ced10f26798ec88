"""For tests of code that uses a store: a clock to be moved by hand, and a pytest plugin with fixtures."""

from libkv.testing.clock import Clock

__all__ = ["Clock"]
