"""The kernel: nouns, promises, errors and names that connectors may know.

Imports nothing of ours above it.
"""
