"""What Postmottak costs in time and memory, beside programs that do less.

`make bench` runs all of it and writes docs/performance.md.
"""
