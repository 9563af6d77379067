"""`coverage`: for which organisations letters can be read, and which delegations are missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, counted, print_json, print_table
from daemon.cli.stored import opened

if TYPE_CHECKING:
    from daemon.core.bookkeeping import Bookmark
    from daemon.store import Store

_WORDS = {True: "yes", False: "no", None: "not known yet"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(coverage)


def coverage(
    context: typer.Context,
    *,
    clients: Annotated[
        bool,
        typer.Option("--clients", help="Show every organisation, and what it has delegated."),
    ] = False,
    json: Json = False,
) -> None:
    """Show which organisations' ordinary and confidential post can be read.

    Exits with code 3 if the ordinary post of one cannot. It goes by what was last read; it calls
    nobody.
    """
    with opened(context) as (configuration, store):
        names = [each.name for each in configuration.mailboxes]
        rows = [row for name in names for row in _rows(name, store)]
    missing = [row for row in rows if row["ordinary"] is False or row["gone_at"]]
    if json:
        print_json(rows if clients else {"organisations": _count(rows), "missing": missing})
    else:
        _print(rows if clients else missing, _count(rows), _count(missing))
    raise typer.Exit(Exit.REMAINS if missing else Exit.FINE)


def _rows(mailbox: str, store: Store) -> Iterator[dict[str, Any]]:
    """Yield one row for each organisation that is or was read."""
    from daemon.core.dpv import CONFIDENTIAL_POST

    found = store.mailbox_parties.of(mailbox)
    channels: defaultdict[str, list[Bookmark]] = defaultdict(list)
    for each in store.queries.bookmarks():
        if each.mailbox == mailbox and (not each.retired_at or each.party in found):
            channels[each.party].append(each)
    for party in sorted({*channels, *found}):
        known = found.get(party)
        own = channels[party]
        confidential = [each for each in own if each.service == CONFIDENTIAL_POST.code]
        yield {
            "mailbox": mailbox,
            "party": party,
            "name": known.name if known else "",
            "ordinary": _can_be_read([each for each in own if each not in confidential]),
            "confidential": _can_be_read(confidential),
            "gone_at": known.gone_at if known else None,
        }


def _count(rows: Sequence[dict[str, Any]]) -> int:
    """Count the organisations, each once in however many mailboxes it is."""
    return len({row["party"] for row in rows})


def _can_be_read(channels: Sequence[Bookmark]) -> bool | None:
    """Return whether any of the channels can be read; None if that is not known."""
    if any(each.begun and not each.refused for each in channels):
        return True
    return False if any(each.refused for each in channels) else None


def _print(rows: Sequence[dict[str, Any]], total: int, missing: int) -> None:
    if rows:
        print_table(
            ("organisation", "name", "mailbox", "ordinary post", "confidential post", ""),
            [
                (
                    row["party"],
                    row["name"],
                    row["mailbox"],
                    _WORDS[row["ordinary"]],
                    _WORDS[row["confidential"]],
                    "can no longer be read" if row["gone_at"] else "",
                )
                for row in rows
            ],
        )
    if missing:
        typer.echo(
            f"{missing} of {total} organisations cannot be read. They have to delegate the access "
            "package Ordinær post til virksomheten; a delegation works after a quarter of an hour"
        )
    else:
        whose = counted(total, "organisation")
        typer.echo(f"the ordinary post of {whose} can be read, as far as is known")
