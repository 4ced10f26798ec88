"""Measurements beside the real thing, in the same run: python -m benchmarks [names...] [--quick]."""
