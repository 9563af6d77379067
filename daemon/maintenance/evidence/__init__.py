"""A letter as evidence: a signed file that others can verify without this store."""
