"""Postmottak's service: from a mailbox to the store, and from the store to destinations."""
