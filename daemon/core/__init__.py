"""The kernel: the types, protocols, errors and names that connectors may import.

It imports nothing from the daemon's other packages.
"""
