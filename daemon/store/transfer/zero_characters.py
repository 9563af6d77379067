"""U+0000, which early versions could store in texts, and which PostgreSQL cannot have."""

from __future__ import annotations

from sqlalchemy import Connection

from daemon.store.database import Database
from daemon.store.transfer.rows import MovedTable, moved_tables
from daemon.store.transfer.side import Side

INSTEAD = "\ufffd"
_ROWS = 500
CHAINED = ("events", "journal")
"""Tables whose rows nobody may change, because of their hashes."""


def rows_with_zero_characters(side: Side) -> dict[str, int]:
    """Return how many rows have one, by table. A store on PostgreSQL has none."""
    if side.words.is_postgresql:
        return {}
    found = {}
    for table in moved_tables():
        counted = f'SELECT count(*) FROM "{table.name}" WHERE {_has_one(table)}'  # noqa: S608  # our own names
        with side.reading() as connection:
            if count := connection.exec_driver_sql(counted).scalar():
                found[table.name] = int(count)
    return found


def replace_zero_characters(database: Database) -> None:
    """Put U+FFFD in their places, as intake does; the journal has it as every other change."""
    for table in moved_tables():
        if table.texts and table.name not in CHAINED:
            while _replace_some(database, table):
                pass


def _replace_some(database: Database, table: MovedTable) -> bool:
    with database.write() as session:
        connection: Connection = session.connection()
        columns = ", ".join(f'"{each}"' for each in table.texts)
        some = connection.exec_driver_sql(
            f'SELECT rowid, {columns} FROM "{table.name}" WHERE {_has_one(table)} LIMIT {_ROWS}'  # noqa: S608  # our own names
        ).all()
        for row, *values in some:
            for column, value in zip(table.texts, values, strict=True):
                if isinstance(value, str) and "\0" in value:
                    connection.exec_driver_sql(
                        f'UPDATE "{table.name}" SET "{column}" = ? WHERE rowid = ?',  # noqa: S608  # our own names
                        (value.replace("\0", INSTEAD), row),
                    )
    return bool(some)


def _has_one(table: MovedTable) -> str:
    """Return the condition; functions for texts take U+0000 for the end."""
    each = (f"instr(CAST(\"{column}\" AS BLOB), x'00') > 0" for column in table.texts)
    return " OR ".join(each) or "0"
