"""`journal`: verify that what was recorded was not changed, and print its signed head."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import Exit, Json, Progress, counted, print_json
from daemon.cli.stored import opened

if TYPE_CHECKING:
    from daemon.store.journal.heads import Head
    from daemon.store.journal_verification import Verified

_journal = typer.Typer(
    help="Verify that what was recorded of letters was not changed, and print its signed head.",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_journal, name="journal")


@_journal.command("verify")
def verify(
    context: typer.Context,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            help="Verify only what was written from this day on, such as 2026-11-01, and not the "
            "tables."
        ),
    ] = None,
    head: Annotated[
        list[Path] | None,
        typer.Option(help="A head that was published; may be given several times."),
    ] = None,
    json: Json = False,
) -> None:
    """Verify the journal, and that letters, decisions, deliveries and rights are as it has them.

    Names each row that was changed, removed, inserted or moved, and exits with code 1 then. The
    service may run.
    """
    from daemon.core.errors import StoreError
    from daemon.store.journal.heads import public_of
    from daemon.store.journal.key import key_path, read_key

    heads, begin = [read_head(path) for path in head or ()], _begin(since)
    with opened(context) as (configuration, store):
        keys, remark = {each.key for each in heads}, ""
        try:
            own = public_of(read_key(key_path(configuration.store.beside)))
            remark = _of_others(keys, own)
            keys.add(own)
        except StoreError as error:
            remark = f"{error}. " + (
                "Until then signatures of other keys than that of --head are faults."
                if keys
                else "Until then it is not compared with a key who has signed."
            )
        found = store.journal.verify(heads, keys, begin, Progress())
    if json:
        print_json(_facts(found, remark))
    else:
        _print(found, heads, remark)
    raise typer.Exit(Exit.FINE if found.ok else Exit.WRONG)


@_journal.command("head")
def show_head(context: typer.Context) -> None:
    """Print the signed head of the journal, to be kept elsewhere for `journal verify --head`."""
    from daemon.service import stack
    from daemon.store.journal.key import key_path

    with opened(context) as (configuration, store):
        key = store.journal.own_key(key_path(configuration.store.beside))
        head = store.journal.head(key, stack.utc_now())
    typer.echo(head.text(), nl=False)


def read_head(path: Path) -> Head:
    """Return the head of a journal that is in a file. Raises OperatorError."""
    from daemon.core.bounded_file import read_text_bounded
    from daemon.core.errors import OperatorError
    from daemon.store.journal.heads import head_of

    try:
        return head_of(read_text_bounded(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not text"
        if isinstance(error, OSError):
            reason = (error.strerror or "it cannot be opened").lower()
        raise OperatorError(f"{path} cannot be read: {reason}; name another file") from error
    except OperatorError as error:
        raise OperatorError(
            f"{path} cannot be used: {error}; name a file that `journal head` or the service wrote"
        ) from error


def _of_others(keys: Collection[str], own: str) -> str:
    """Return a remark about heads with another key than the store's own; empty without any."""
    from daemon.store.journal.heads import fingerprint

    others = ", ".join(sorted(fingerprint(each) for each in keys if each != own))
    return others and (
        f"a head that was given is signed with the key {others}, and this store signs with "
        f"{fingerprint(own)}: it is of another store, or the key was replaced."
    )


def _begin(since: str | None) -> str:
    """Return the moment as the journal has moments. Raises BadParameter."""
    if since is None:
        return ""
    try:
        moment = datetime.fromisoformat(since)
    except ValueError as error:
        text = f"{since!r} is not a valid day or time; write it as 2026-11-01 or 2026-11-01T12:00"
        raise typer.BadParameter(text) from error
    moment = moment if moment.tzinfo else moment.astimezone()
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _facts(found: Verified, remark: str) -> dict[str, object]:
    return {
        "ok": found.ok,
        "rows": found.rows,
        "newest": found.newest,
        "signed_until": found.signed_until or None,
        "tables_compared": found.subjects_compared,
        "faults": [
            {
                "sequence": each.sequence,
                "kind": each.kind,
                "subject": each.subject,
                "text": each.text,
            }
            for each in found.faults
        ],
        "more": found.more,
        "remark": remark,
    }


def _print(found: Verified, heads: list[Head], remark: str) -> None:
    for each in found.faults:
        typer.echo(f"FAIL {each}")
    if found.more:
        typer.echo("There are more; after one change in the chain each later row may be one.")
    typer.echo(f"{counted(found.rows, 'row')} of the journal verified")
    if remark:
        typer.echo(f"Note: {remark}")
    if found.signed_until:
        typer.echo(f"A signed head in the journal covers the rows up to {found.signed_until}.")
    elif found.subjects_compared:
        typer.echo(
            "No signed head in the journal covers any row yet; the service signs one each day, and "
            "`postmottak journal head` prints one to keep elsewhere."
        )
    if not heads:
        typer.echo(
            "Without a head that was kept elsewhere (--head FILE), what a person with the key has "
            "rewritten is not found, nor that the newest rows are missing."
        )
    if found.ok:
        what = "The journal and the tables are" if found.subjects_compared else "The journal is"
        typer.echo(f"{what} in order.")
    else:
        typer.echo(
            "Somebody has changed the database by hand, or it is damaged. Keep a copy of it, "
            "compare it with a backup, and ask who may write it."
        )
