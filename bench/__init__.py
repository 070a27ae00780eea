"""Benchmarks: each module is run as `python -m bench.NAME` and prints one JSON line."""
