"""Benchmarks: `python -m benchmarks --list`. Any module here with a `run(quick)` is one; see harness.py."""
