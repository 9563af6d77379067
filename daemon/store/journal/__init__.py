"""The journal: what is bound by it, how it is written, and how it is verified (docs/journal.md)."""
