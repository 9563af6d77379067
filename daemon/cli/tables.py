"""Tables and pages for people: no lines around them, times in the local zone, nothing of Python."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import typer

from daemon.cli.streams import drawn
from daemon.core.times import FIRST, LAST, in_norway, written

_GAP = 2  # blanks between two columns
_SHORT_TIME = "%Y-%m-%d %H:%M %Z"


def local(moment: datetime, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    """Return a time as people read it: in the machine's zone, which is named."""
    try:
        here = moment.astimezone()
    except OverflowError:  # a sender's first or last day of the calendar
        here = FIRST if moment.year <= FIRST.year else LAST
    return written(here, form)


def day_in_norway(moment: datetime) -> str:
    """Return the day of a deadline, which is one in Norway wherever the machine is."""
    return written(in_norway(moment), "%Y-%m-%d")


def printable(value: object) -> str:
    """Return text for a terminal, without control characters.

    With those, a sender could move the cursor or forge a line.
    """
    text = str(value)
    if text.isprintable():  # as nearly all is, and it is a list's dearest step
        return text
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def in_words(value: object, *, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    """Return a value as people write it: nothing for None, yes and no, lists with commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return local(value, form)
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(name)} {in_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(in_words(each, form=form) for each in value)
    return printable(value)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    cut: Sequence[tuple[str, int]] = (),
) -> None:
    """Print rows for people, in columns without lines between them.

    On a terminal that is too narrow, the columns in `cut` give way in turn, each down to that many
    characters; without any, cells are wrapped. In a pipe, lines are as long as they need to be.
    """
    from rich.console import Console

    console = Console(file=drawn())
    cells = [[in_words(cell, form=_SHORT_TIME) for cell in row] for row in rows]
    if is_terminal(console) and not cut:
        _print_wrapped(console, columns, cells)
        return
    widths = _widths(columns, cells)
    if is_terminal(console):
        for name, narrowest in cut:
            place = columns.index(name)
            excess = max(sum(widths) + _GAP * (len(widths) - 1) - console.width, 0)
            widths[place] = max(widths[place] - excess, min(widths[place], narrowest))
    lines = [_line(row, widths) for row in (columns, *cells)]
    drawn().write("".join(f"{line}\n" for line in lines))


def print_lines(columns: Sequence[tuple[str, int]], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows for people, each as soon as it is known, in columns of at least these widths.

    For rows that may be a million: none is kept in memory.
    """
    for row in chain([[name for name, _ in columns]], rows):
        cells = (
            in_words(cell, form=_SHORT_TIME).ljust(width)
            for cell, (_, width) in zip(row, columns, strict=True)
        )
        drawn().write(f"{(' ' * _GAP).join(cells).rstrip()}\n")


def print_list(
    what: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    cut: Sequence[tuple[str, int]] = (),
    many: str = "",
) -> None:
    """Print rows as `print_table` does; without any, one line that says there are none."""
    every = list(rows)
    if every:
        print_table(columns, every, cut=cut)
    else:
        drawn().write(f"no {many or what + 's'}\n")


def is_terminal(console: Any) -> bool:
    """Whether people see the table, and not another program."""
    return bool(console.is_terminal)


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len

    return [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    from rich.cells import cell_len, set_cell_size

    fitted = (
        set_cell_size(cell, width)
        if cell_len(cell) <= width
        else f"{set_cell_size(cell, width - 1)}…"
        for cell, width in zip(cells, widths, strict=True)
    )
    return (" " * _GAP).join(fitted).rstrip()


def _print_wrapped(console: Any, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="")
    for column in columns:
        table.add_column(column, overflow="fold")  # nothing of a long name is lost
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


def print_page(facts: Iterable[tuple[str, object]], indent: str = "") -> None:
    """Print names and values, a line for each that has a value, with the values in one column."""
    shown = [(name, words) for name, value in facts if (words := in_words(value))]
    width = max((len(name) for name, _ in shown), default=0) + 1
    for name, words in shown:
        typer.echo(f"{indent}{name + ':':<{width}} {words}")


def print_heading(text: str) -> None:
    """Print the heading of a part of a page, after an empty line."""
    sys.stdout.write(f"\n{text}\n")
