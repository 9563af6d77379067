"""Compares an edited table with the current one, and writes it as TOML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from daemon.routing.spreadsheet.headings import NOT, columns_of
from daemon.routing.spreadsheet.pairing import Row, moved, pairs
from daemon.routing.spreadsheet.remarks import as_comments, is_remark, rows_with_remarks
from daemon.routing.table import SECTIONS, Table

COVERED_BY = "covered by"
"""Stands for a key where a cover's deputy changes, which the row itself does not say."""
_SWITCHES = frozenset({"continue", "enabled", "follow_thread", "keep_copy", "last_resort"})


def toml_text(values: Row) -> str:
    """Return rows, as `Table.rows` has them, with any remarks, as the text of a routing.toml."""
    import tomli_w

    top = {key: value for key, value in values.items() if key not in SECTIONS}
    sections = [tomli_w.dumps(top)] if top else []
    for kind in SECTIONS:
        for row in values.get(kind, ()):
            plain = {
                key: value for key, value in row.items() if key != "not" and not is_remark(key)
            }
            sections.append(f"{as_comments(row)}[[{kind}]]\n{tomli_w.dumps(plain)}")
            if "not" in row:
                sections.append(f"[{kind}.not]\n" + tomli_w.dumps(row["not"]))
    return "\n".join(sections)


@dataclass(frozen=True, kw_only=True)
class ChangedValue:
    """One value of a row; None is nothing."""

    key: str
    """As in the table, such as `senders` or `not senders`; a remark's; or `COVERED_BY`."""
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What an edit does to one row, or to the table's own settings."""

    kind: Literal["added", "removed", "changed", "moved"]
    section: str
    """recipient, route, delegation or party_group; empty for the table's own settings."""
    name: str
    """The row's name before the edit; of a cover, who is covered; of a setting, its key."""
    position: int | None = None
    """Counted from 1, before the edit; of an added row, after it."""
    new_position: int | None = None
    """Of a row that is moved."""
    changes: tuple[ChangedValue, ...] = ()
    """What else an added or removed row says, in the order of the sheet's columns."""
    covered_by: str = ""
    starts: date | None = None
    ends: date | None = None
    """Of a cover: by whom, and its days."""


def differences(before: Table, after: Table) -> list[Difference]:
    """Return what the second table adds, removes, changes and moves.

    The list is empty only if the tables are equal, and people's remarks too.
    """
    found = []
    if before.follow_thread != after.follow_thread:
        value = ChangedValue(
            key="follow_thread", before=before.follow_thread, after=after.follow_thread
        )
        found.append(Difference(kind="changed", section="", name=value.key, changes=(value,)))
    old, new = rows_with_remarks(before), rows_with_remarks(after)
    for section in SECTIONS:
        found += _row_differences(old[section], new[section], _Rows(section, before, after))
    return found


def _row_differences(old: Sequence[Row], new: Sequence[Row], rows: _Rows) -> Iterator[Difference]:
    same = pairs(old, new)
    gone = [number for number in range(len(old)) if number not in same]
    come = sorted(set(range(len(new))) - set(same.values()))
    for number in gone:
        content = tuple(rows.content(old[number], comes=False))
        yield rows.difference("removed", old[number], number, changes=content)
    for number in come:
        content = tuple(rows.content(new[number], comes=True))
        yield rows.difference("added", new[number], number, changes=content)
    for one, other in same.items():
        if changes := tuple(rows.changes(old[one], new[other])):
            yield rows.difference("changed", old[one], one, changes=changes)
    for one in moved(same):
        yield rows.difference("moved", old[one], one, new_position=same[one] + 1)


@dataclass(frozen=True)
class _Rows:
    """The rows of one section in both tables."""

    section: str
    old: Table
    new: Table

    def difference(
        self,
        kind: Literal["added", "removed", "changed", "moved"],
        row: Row,
        number: int,
        *,
        changes: tuple[ChangedValue, ...] = (),
        new_position: int | None = None,
    ) -> Difference:
        """Return a difference of this row, the one before the edit if there are two."""
        is_cover = self.section == "delegation"
        return Difference(
            kind=kind,
            section=self.section,
            name=row["from" if is_cover else "name"],
            position=number + 1,
            new_position=new_position,
            changes=changes,
            covered_by=_covering(row, self.new if kind == "added" else self.old)
            if is_cover
            else "",
            starts=row["starts"] if is_cover else None,
            ends=row["ends"] if is_cover else None,
        )

    def content(self, row: Row, *, comes: bool) -> Iterator[ChangedValue]:
        """Yield what a row says besides its name, where it comes or goes as a whole."""
        named = {"from", "to", "starts", "ends"} if self.section == "delegation" else {"name"}
        values = flat({key: value for key, value in row.items() if key not in named})
        for key in self._in_order(values):
            value = values[key]
            yield ChangedValue(
                key=key, before=None if comes else value, after=value if comes else None
            )

    def _in_order(self, keys: Iterable[str]) -> list[str]:
        """Return the keys in the order of the sheet's columns, remarks last."""
        known = columns_of(self.section)
        return sorted(keys, key=lambda key: known.index(key) if key in known else len(known))

    def changes(self, old: Row, new: Row) -> Iterator[ChangedValue]:
        """Yield each value that differs; of a cover also who the deputy is."""
        before, after = flat(old), flat(new)
        for key in self._in_order({**before, **after}):
            one, other = before.get(key), after.get(key)
            if one == other:
                continue
            if key in _SWITCHES:  # its default is left out of the rows
                other = not one if other is None else other
                one = not other if one is None else one
            yield ChangedValue(key=key, before=one, after=other)
        if self.section == "delegation":
            one, other = _covering(old, self.old), _covering(new, self.new)
            if one != other and not ("to" in old and "to" in new):
                yield ChangedValue(key=COVERED_BY, before=one, after=other)


def flat(row: Row) -> Row:
    """Return the values of a row by the columns of a sheet, those under `not` too."""
    nots = row.get("not", {})
    return {key: value for key, value in row.items() if key != "not"} | {
        f"{NOT}{key}": value for key, value in nots.items()
    }


def _covering(cover: Row, table: Table) -> str:
    """Return who covers: whom the cover names, or else the deputy."""
    away = table.recipients.get(cover["from"])
    return cover.get("to") or (away.deputy if away else "")
