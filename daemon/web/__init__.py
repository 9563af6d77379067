"""Doors for programs in the organisation's own network."""
