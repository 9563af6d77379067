"""Retention, housekeeping, backup, integrity checks and export."""
