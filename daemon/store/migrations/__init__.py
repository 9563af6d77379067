"""The history of the tables, for Alembic.

A change of a table in `model.py` comes with a new file in `versions`.
"""

HEAD = "0034"
"""The newest version; a store that has it already need not load Alembic, which is slow."""
