"""Edits of the routing table: drafts, what they would do, and putting them into force."""
