"""Fills the index from the store: all letters once, then what has changed.

`daemon.store.changes` says why that is complete.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar
from uuid import UUID

from daemon.core.deadlines import DeadlineFacts
from daemon.core.model import DeliveryState
from daemon.core.times import norwegian_day
from daemon.page.search import meta, schema
from daemon.page.search.forgetting import must_forget
from daemon.page.search.letter_words import LONGEST_BODY, folded, words_of
from daemon.page.search.moments import from_number, to_number
from daemon.page.search.schema import BY_DEFAULT, ENDED, NOWHERE, OPEN
from daemon.store.changes import (
    Arrival,
    Changes,
    FollowedTable,
    IndexedLetter,
    OpenDelivery,
    RowPlace,
    Step,
)

_T = TypeVar("_T")
_PIECE = 200  # letters that are written in one transaction: about 50 ms
_ROWS = 1000  # rows of which letters are only noted
_FEW = frozenset({FollowedTable.ACKNOWLEDGEMENTS, FollowedTable.DEADLINES})
"""Tables that are read again from their beginning if retention removed their last row."""
_PLACES = {name: f"place of {name}" for name in FollowedTable}


class Filling:
    """Fills the index, step by step, each in a transaction of the caller's."""

    def __init__(self, changes: Changes, connection: sqlite3.Connection) -> None:
        self._changes = changes
        self.connection = connection
        self.expected = 0
        """About how many letters the store has, while not every one was read."""
        self._compared = False

    @property
    def is_built(self) -> bool:
        """Whether every letter was read once."""
        return meta.get(self.connection, meta.BUILT) == "yes"

    def progress(self) -> tuple[int, int]:
        """Return how many rows of letters were read, and about how many there are."""
        number, _, _ = meta.get(self.connection, _PLACES[FollowedTable.LETTERS]).partition(" ")
        return int(number or 0), self._changes.newest(FollowedTable.LETTERS).number

    def step(self) -> int | None:
        """Read a piece of what has changed. Returns how many letters were written or removed.

        None if nothing is left.
        """
        begun = meta.get(self.connection, meta.BUILT)
        if begun != "yes" and not self.expected:
            self.expected = self._changes.newest(FollowedTable.LETTERS).number
        if not begun:
            self._begin()
        tables = (FollowedTable.LETTERS,) if begun != "yes" else tuple(FollowedTable)
        rows = {table: self._after(table) for table in tables}
        found = {table: some for table, some in rows.items() if some is not None}
        if len(found) < len(rows):
            self._begin_again()
            return 0
        ids = {each.letter for some in found.values() for each in some}
        ids |= self._moved() if begun == "yes" else set()
        if not ids and begun == "yes":
            return self._compare()
        written = self._write(ids)
        self._note(found)
        if not found[FollowedTable.LETTERS]:
            meta.put(self.connection, meta.BUILT, "yes")
        return written

    def _begin(self) -> None:
        """Note where the store is, before the first letter is read: what changes later is read."""
        for table in FollowedTable:
            if table is not FollowedTable.LETTERS:
                self._put(table, self._changes.newest(table))
        self._put_arrival(self._changes.last_arrival())
        meta.put(self.connection, meta.BUILT, "no")
        meta.renew(self.connection)

    def _begin_again(self) -> None:
        """The rows are not those that were read: begin with nothing, and forget what was there."""
        schema.make(self.connection)
        must_forget(self.connection)

    def _after(self, table: FollowedTable) -> list[Step] | None:
        number, _, key = meta.get(self.connection, _PLACES[table]).partition(" ")
        place = RowPlace(number=int(number or 0), key=key)
        found = self._changes.after(table, place, _PIECE)
        if found is None and table in _FEW:
            return self._changes.after(table, RowPlace(), _PIECE)
        return found

    def _note(self, found: dict[FollowedTable, list[Step]]) -> None:
        for table, some in found.items():
            if some:
                self._put(table, some[-1].place)

    def _put(self, table: FollowedTable, place: RowPlace) -> None:
        meta.put(self.connection, _PLACES[table], f"{place.number} {place.key}")

    def _moved(self) -> set[UUID]:
        """Return letters whose time of arrival may be another, because the clock was corrected."""
        noted = meta.get(self.connection, meta.ARRIVAL)
        at, number = (int(part) for part in noted.split()) if noted else (0, 0)
        last = self._changes.last_arrival()
        if last is None:
            return set()
        ids: set[UUID] = set()
        newest = to_number(last.at)
        if newest < at:  # those that came later came earlier now
            later = self.connection.execute("SELECT id FROM letter WHERE fetched_at > ?", [newest])
            ids |= {UUID(key) for (key,) in later}
            at, number = newest, 0
        arrived = self._changes.arrived_after(from_number(at), number, _ROWS)
        self._put_arrival(arrived[-1] if arrived else last)
        return ids | {each.letter for each in arrived}

    def _put_arrival(self, last: Arrival | None) -> None:
        if last:
            meta.put(self.connection, meta.ARRIVAL, f"{to_number(last.at)} {last.number}")

    def _compare(self) -> int | None:
        """Read the letters of deliveries that are in another state than when they were read."""
        if self._compared:
            return None
        self._compared = True
        now = {each.number: _shown(each.state) for each in self._changes.open_deliveries()}
        then = dict(self.connection.execute("SELECT number, state FROM open_delivery"))
        if now == then:
            return None
        changed = [number for number, state in now.items() if then.get(number) != state]
        gone = [number for number in then if number not in now]
        ids: set[UUID] = set()
        for some in _chunks(changed):
            ids |= self._changes.letters_with(some)
        for some in _chunks(gone):
            ids |= self._letters_of_open(some)
        return self._write(ids)

    def _letters_of_open(self, numbers: Sequence[int]) -> set[UUID]:
        rows = self.connection.execute(
            "SELECT letter FROM open_delivery WHERE number IN (SELECT value FROM json_each(?))",
            [json.dumps(numbers)],
        )
        return {UUID(key) for (key,) in rows}

    def _write(self, ids: Iterable[UUID]) -> int:
        written = 0
        for some in _chunks(ids, 100):
            found = self._changes.letters(some, LONGEST_BODY)
            for key in some:
                self._write_open(key, found.open.get(key, ()))
                letter = found.letters.get(key)
                written += self._put_letter(letter) if letter else self._remove(key)
        return written

    def _write_open(self, key: UUID, deliveries: Sequence[OpenDelivery]) -> None:
        self.connection.execute("DELETE FROM open_delivery WHERE letter = ?", [str(key)])
        self.connection.executemany(
            "INSERT OR REPLACE INTO open_delivery VALUES (?, ?, ?)",
            [(each.number, str(key), _shown(each.state)) for each in deliveries],
        )

    def _remove(self, key: UUID) -> int:
        row = self.connection.execute(
            "DELETE FROM letter WHERE id = ? RETURNING number", [str(key)]
        ).fetchone()
        if row is None:
            return 0
        self.connection.execute("DELETE FROM words WHERE rowid = ?", row)
        must_forget(self.connection)
        return 1

    def _put_letter(self, letter: IndexedLetter) -> int:
        text = words_of(letter)
        old = self.connection.execute(
            "SELECT text FROM words WHERE rowid = ?", [letter.number]
        ).fetchone()
        if old is None:
            self._insert("words(rowid, text)", (letter.number, text))
        elif old[0] != text:
            self.connection.execute(
                "UPDATE words SET text = ? WHERE rowid = ?", [text, letter.number]
            )
            must_forget(self.connection)
        self._insert("letter", self._columns(letter))
        return 1

    def _columns(self, letter: IndexedLetter) -> tuple[object, ...]:
        return (
            letter.number,
            str(letter.id),
            self._profile(letter),
            to_number(letter.fetched_at),
            to_number(letter.published_at),
            *_due(letter),
            norwegian_day(letter.fetched_at).toordinal(),
            norwegian_day(letter.published_at).toordinal(),
            letter.confirmation_needed,
            letter.title,
            folded(letter.title),
            _json({name: _shown(state) for name, state in letter.deliveries.items()}),
        )

    def _profile(self, letter: IndexedLetter) -> int:
        values = (
            letter.party,
            letter.service,
            letter.sender_org or "",
            letter.sender_name,
            letter.route,
            _json(list(dict.fromkeys(letter.recipients))),
            _json(list(dict.fromkeys(letter.direct))),
            _json(sorted({_shown(state) for state in letter.deliveries.values()})),
        )
        row = self.connection.execute(
            "SELECT number FROM profile WHERE (party, service, sender_org, sender_name, route, "
            "recipients, direct, states) = (?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        ).fetchone()
        return int(row[0]) if row else self._insert("profile", (None, *values))

    def _insert(self, table: str, values: tuple[object, ...]) -> int:
        places = ", ".join("?" * len(values))
        cursor = self.connection.execute(
            f"INSERT OR REPLACE INTO {table} VALUES ({places})",  # noqa: S608  # our own names
            values,
        )
        return int(cursor.lastrowid or 0)


def _due(letter: IndexedLetter) -> tuple[object, ...]:
    """Return the columns about the letter's deadline."""
    facts = letter.deadline
    holds, last = facts.holds, facts.last
    answered = [each.at for each in facts.words]
    received = [letter.acknowledged_at] if letter.acknowledged_at else []
    return (
        to_number(holds.due_at) if holds else None,
        holds.source.value if holds else "",
        desk_place(facts, is_acknowledged=letter.acknowledged_at is not None),
        to_number(last.due_at) if last else None,
        letter.acknowledged_at is not None,
        letter.decision - 1 + len(answered) + len(received),
        to_number(max(letter.fetched_at, letter.decided_at, *answered, *received)),
    )


def desk_place(facts: DeadlineFacts, *, is_acknowledged: bool) -> int:
    """Return the place of a letter on the desk of deadlines, as `letter.desk` has it."""
    if facts.last is None:
        return NOWHERE
    if facts.holds is None or (facts.handled and is_acknowledged):
        return ENDED
    return OPEN if facts.holds.is_urgent else BY_DEFAULT


def _shown(state: DeliveryState) -> str:
    """Return a state as lists have it: a claim is over in a moment."""
    return (DeliveryState.PENDING if state is DeliveryState.CLAIMED else state).value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _chunks(values: Iterable[_T], size: int = _ROWS) -> Iterator[list[_T]]:
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some
