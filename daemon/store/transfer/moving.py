"""Moves a store to an empty database.

The store is closed first, so it stays as it is for as long as the move takes, also where that is
interrupted and goes on later. Each page of rows is one transaction of the target, which notes with
it how far it is. At the end every table of both is read again and compared, and the target is
opened last: until then no program takes it for a store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection

from daemon.core.errors import NotStorable, OperatorError, StoreError
from daemon.store.closed_store import (
    MoveMark,
    note_copied,
    note_end,
    remove_mark,
    write_mark,
)
from daemon.store.migrations import HEAD
from daemon.store.transfer.numbers import go_on_after, highest_numbers
from daemon.store.transfer.rows import (
    MovedTable,
    digest,
    insert,
    moved_tables,
    pages,
    remove_all,
)
from daemon.store.transfer.side import Side

Report = Callable[[str], None]
_SHOWN = 3  # tables that a message names


@dataclass(frozen=True, kw_only=True)
class MovedStore:
    """What a move has done."""

    rows: dict[str, int]
    """How many each table has, in both databases."""
    journal: int
    """The sequence of the newest row of the journal."""
    was_done: bool = False
    """Whether an earlier call had done it all."""


def move_store(
    source: Side, target: Side, now: Callable[[], datetime], report: Report
) -> MovedStore:
    """Move a store, whose tables are up to date, and close it.

    The caller holds the locks of both. After an interruption, the same call goes on. `report` is
    called regularly with what is being done. Raises OperatorError if the target is not empty, or
    one of the two is part of another move, and StoreError; what is copied stays then.
    """
    mark = _begun(source, target)
    newest, digest_of_newest = source.newest_of_journal()
    if mark and not target.mark() and target.has_row_of_journal(newest, digest_of_newest):
        _note_end(source, now())
        return MovedStore(rows={}, journal=newest, was_done=True)
    _refuse_used(source, target, mark)
    if mark is None:
        mark = MoveMark(
            move=uuid4().hex,
            other=target.shown,
            begun_at=now().isoformat(timespec="seconds"),
            is_source=True,
            version=HEAD,
        )
        _mark(source, mark)
    with _closed(source):
        if target.mark() is None:
            _prepare(target, replace(mark, other=source.shown, is_source=False))
        rows = _fill(source, target, report)
        _open(target)
        _note_end(source, now())
    return MovedStore(rows=rows, journal=newest)


def reopen(side: Side) -> MoveMark:
    """Let a store that was closed by a move be used again. Returns what it said of the move.

    Raises OperatorError if it is not closed.
    """
    mark = side.mark()
    if mark is None:
        raise OperatorError(f"the store {side.shown} is not closed: it was not moved")
    if not mark.is_source:
        raise OperatorError(
            f"the database {side.shown} has only a part of the store {mark.other}, and no store "
            "can be made of that: empty it"
        )
    with side.writing() as connection:
        remove_mark(connection, mark)
    return mark


def _begun(source: Side, target: Side) -> MoveMark | None:
    """Return the mark of the source, if it is one of a move to this target that can go on."""
    mark = source.mark()
    if mark is None:
        return None
    if not mark.is_source:
        raise OperatorError(
            f"the database {source.shown} has only a part of the store that is being moved to it "
            f"from {mark.other}: write that one into [store] database"
        )
    if mark.other != target.shown:
        raise OperatorError(
            f"the store {source.shown} {'was' if mark.ended_at else 'is being'} moved to "
            f"{mark.other}, and not to {target.shown}. To move this one all the same, see "
            "`postmottak store reopen --help`"
        )
    if mark.version != HEAD:
        raise OperatorError(
            f"the move of {source.shown} was begun by another version of Postmottak, whose tables "
            f"have version {mark.version}, and this one's {HEAD}: end it with that version, or "
            "give it up with `postmottak store reopen`"
        )
    return mark


def _refuse_used(source: Side, target: Side, mark: MoveMark | None) -> None:
    """Raise OperatorError if the target has something that is not of this move."""
    there = target.mark()
    if there is None:
        if tables := target.tables():
            named = ", ".join(tables[:_SHOWN])
            raise OperatorError(
                f"the database {target.shown} is not empty: it has {len(tables)} tables, such as "
                f"{named}. Name an empty one; nothing was changed"
            )
        return
    if there.is_source or mark is None or there.move != mark.move:
        what = (
            f"a store that was moved to {there.other}"
            if there.is_source
            else f"a part of another move, which began at {there.begun_at} from {there.other}"
        )
        raise OperatorError(
            f"the database {target.shown} is not empty: it has {what}. Name an empty one, or empty "
            "this one; nothing was changed"
        )
    if there.version != HEAD:
        raise OperatorError(
            f"the tables of {target.shown} have version {there.version}, and those of "
            f"{source.shown} {HEAD}: empty {target.shown}, and move again"
        )


@contextmanager
def _closed(source: Side) -> Iterator[None]:
    """Say with an error that the store is closed, and how to go on."""
    try:
        yield
    except StoreError as error:
        kind = type(error)
        raise kind(
            f"{error}. {source.shown} is closed until the move has ended: run the command again, "
            "or see `postmottak store reopen --help`"
        ) from error.__cause__


def _mark(source: Side, mark: MoveMark) -> None:
    with source.writing() as connection:
        write_mark(connection, mark)


def _note_end(source: Side, now: datetime) -> None:
    with source.writing() as connection:
        note_end(connection, now.isoformat(timespec="seconds"))


def _prepare(target: Side, mark: MoveMark) -> None:
    def then(connection: Connection) -> None:
        write_mark(connection, mark)

    target.make_tables(then)


def _fill(source: Side, target: Side, report: Report) -> dict[str, int]:
    mark = target.mark()
    assert mark
    begun = json.loads(mark.copied)
    tables = moved_tables()
    names = [each.name for each in tables]
    for table in tables[names.index(begun[0]) if begun else 0 :]:
        after = begun[1] if begun and begun[0] == table.name else None
        try:
            _fill_table(source, target, table, after, report)
        except NotStorable as error:
            raise StoreError(
                f"the table {table.name} cannot be moved to {target.shown}: {error}"
            ) from error
    with source.reading() as connection:
        numbers = highest_numbers(connection)
    with target.writing() as connection:
        go_on_after(connection, numbers)
    return {table.name: _compared(source, target, table, report) for table in tables}


def _fill_table(
    source: Side, target: Side, table: MovedTable, after: list[object] | None, report: Report
) -> None:
    if after is None:
        with target.writing() as connection:
            remove_all(connection, table)
    copied = 0
    for page in pages(source, table, after):
        with target.writing() as connection:
            insert(connection, table, page)
            note_copied(connection, json.dumps([table.name, table.key(page[-1])]))
        copied += len(page)
        report(f"copying {table.name}, {copied} rows copied")


def _compared(source: Side, target: Side, table: MovedTable, report: Report) -> int:
    """Return how many rows a table has, in both databases. Raises StoreError if they differ."""
    report(f"comparing {table.name}")
    here, there = (digest(each, table) for each in (source, target))
    if here != there:
        raise StoreError(
            f"the table {table.name} is not the same in both databases: {here[0]} rows in "
            f"{source.shown}, {there[0]} in {target.shown}. Whatever has changed {target.shown} "
            "must not: empty it"
        )
    return here[0]


def _open(target: Side) -> None:
    mark = target.mark()
    assert mark
    with target.writing() as connection:
        remove_mark(connection, mark)
    if target.words.is_postgresql:
        with target.writing() as connection:  # the planner knows nothing of the new rows
            connection.exec_driver_sql("ANALYZE")
