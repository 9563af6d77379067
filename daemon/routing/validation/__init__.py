"""Checks of a routing table: what is wrong with it, and what probably is."""
