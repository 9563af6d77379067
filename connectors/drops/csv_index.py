"""The index of a drop with the layout `csv`: a line per file, for spreadsheets and batch imports.

`;` between values, UTF-8 with a byte order mark, CRLF, quotes where needed: what a Norwegian Excel
opens without an import dialog.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from uuid import UUID

from connectors.drops.contents import Item
from connectors.drops.drop import Drop, FileTooLarge, read_whole
from daemon.core.errors import TemporaryFailure
from daemon.core.ports import Parcel
from daemon.core.printable import one_line

INDEX = "index.csv"
_COLUMNS = [
    *("delivery", "letter", "folder", "file", "original_name", "media_type", "size", "sha256"),
    *("service", "service_name", "sender", "sender_name", "party", "title", "sender_reference"),
    *("published_at", "due_at", "confidential"),
]
_LARGEST = 128 << 20  # bytes of an index, which is written again for each letter
_FORMULA = ("=", "+", "-", "@")


def rows(parcel: Parcel, folder: str, items: Sequence[Item]) -> bytes:
    """Return the letter's lines."""
    letter = parcel.document
    about_letter = [
        letter.service.code,
        letter.service.name.get("nb", ""),
        letter.sender.organisation or "",
        letter.sender.name,
        letter.party,
        letter.title,
        letter.sender_reference,
        letter.published_at.isoformat(),
        letter.due_at.isoformat() if letter.due_at else "",
        "yes" if letter.confidential else "no",
    ]
    ids = [str(parcel.delivery_id), str(letter.id), folder]
    return _lines(
        [
            [*ids, i.name, i.original_name, i.media_type, str(i.size), i.sha256, *about_letter]
            for i in items
        ]
    )


def add(drop: Drop, hidden: str, delivery: UUID, lines: bytes) -> None:
    """Add the delivery's lines to the index, unless they are there already.

    The whole index is written under the name `hidden`, which then replaces the old index. The old
    file is never written to, so another hard link to it stays as it is. Must not run twice at the
    same time.

    Raises TemporaryFailure if something else has the index's name.
    """
    current = _current(drop)
    if str(delivery).encode() in current:
        return
    if current and not current.startswith(_header()):
        raise TemporaryFailure(
            f"{INDEX} in the drop {drop.place} was not written by Postmottak; move it to "
            "another name"
        )
    drop.remove(hidden)
    drop.write([(hidden, [current or _header(), lines])])
    drop.sync()
    drop.replace(hidden, INDEX)
    drop.sync()


def _current(drop: Drop) -> bytes:
    try:
        return read_whole(drop, INDEX, _LARGEST)
    except FileNotFoundError:
        return b""
    except FileTooLarge as error:
        raise TemporaryFailure(
            f"{INDEX} in the drop {drop.place} has more than {_LARGEST >> 20} MiB; move it "
            "away, and the next letter begins a new one"
        ) from error


def _header() -> bytes:
    return "\ufeff".encode() + _lines([_COLUMNS])


def _lines(table: Sequence[Sequence[str]]) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=";", lineterminator="\r\n").writerows(
        [[_cell(value) for value in row] for row in table]
    )
    return buffer.getvalue().encode(errors="replace")


def _cell(value: str) -> str:
    """Return the value on one line, never as a formula.

    A spreadsheet would evaluate a formula that a sender wrote.
    """
    line = one_line(value)
    return f"'{line}" if line.startswith(_FORMULA) else line
