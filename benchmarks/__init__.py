"""Measures what Postmottak costs in time and memory, compared with programs that do less.

`make bench` runs all benchmarks and writes docs/performance.md.
"""
