"""The history of the tables, for Alembic.

A change of a table in `model.py` comes with a new file in `versions`.

Expand first, contract in a later version: nodes are upgraded one at a time, and one of the version
before works with the new tables until its turn comes. So each file from 0034 on says whether it
`expands`: it only adds, and whatever the version before reads and writes stays as it was. A test
holds it to that. A file with `expands = False` takes something away, and is carried out only when
nobody works with the store by an earlier version.

What triggers note for the journal has the number of a binding, so new bindings come last. What no
test sees: a node of the version before does not know a new column, so it leaves that out of
the journal, too. A column that the journal binds is filled one version later than it is added.
"""

HEAD = "0035"
"""The newest version; a store that has it already need not load Alembic, which is slow."""
