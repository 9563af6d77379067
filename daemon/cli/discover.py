"""`discover`: find out which of Altinn's resources carry the letters, and write them down."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table, printable

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.ports import Discovered, Mailbox

_NAMED = 5
_REMARKS = 3


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(discover)


def discover(
    context: typer.Context,
    *,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write the resources into the configuration file."),
    ] = False,
    json: Json = False,
) -> None:
    """Find the resources that carry each service's letters in Altinn, and who may read them.

    Prints the section for the configuration. Without --write it changes nothing.
    """
    from daemon.core.ports import Discovers
    from daemon.runtime import logs
    from daemon.service import plugins, stack

    logs.configure()
    path = options(context).config
    configuration = stack.load(path).configuration
    found: dict[str, list[Discovered]] = {}
    for mailbox in plugins.connect_mailboxes(configuration):
        _recall(configuration, mailbox)
        if isinstance(mailbox, Discovers):
            found[mailbox.name] = list(mailbox.discover())
        mailbox.close()
    if json:
        print_json([{"mailbox": name, **asdict(each)} for name in found for each in found[name]])
    else:
        for name, each in found.items():
            _print_found(name, each)
    tables = {name: _carriers(each) for name, each in found.items()}
    if not write:
        if not json:
            _print_tables(path, tables)
        return
    _refuse_half_answers(found)
    _write(path, tables)
    typer.echo(f"{path} changed; restart the service: systemctl restart postmottak", err=json)


def _recall(configuration: Configuration, mailbox: Mailbox) -> None:
    """Let the mailbox try the resources that the service reads, wherever they are listed.

    Raises StoreError.
    """
    from daemon.core.ports import FindsResources
    from daemon.service import stack
    from daemon.service.resource_watch import begun_resources
    from daemon.service.store_access import store_exists

    if not isinstance(mailbox, FindsResources) or not mailbox.finds_resources:
        return
    if store_exists(configuration.store):
        with closing(stack.open_store(configuration)) as store:
            mailbox.use_resources(begun_resources(store, mailbox.name))


def _refuse_half_answers(found: Mapping[str, Sequence[Discovered]]) -> None:
    """Refuse to write what a passing failure would make incomplete. Raises MailboxUnavailable."""
    from daemon.core.errors import MailboxUnavailable

    reasons = [each.unanswered for one in found.values() for each in one if each.unanswered]
    if reasons:
        raise MailboxUnavailable(
            "Not every question was answered, so nothing is written: a resource that carries "
            "letters could be missing. See `postmottak check`, and try again when Altinn answers. "
            f"The first reason: {printable(reasons[0])}"
        )


def _carriers(found: Sequence[Discovered]) -> dict[str, list[str]]:
    """Return the resources of each service, by its code; none if nothing can be read at all.

    A resource that is not a guess is left out only where it was refused to every party.
    """
    carriers: dict[str, list[str]] = {}
    if not any(each.readable for each in found):
        return carriers
    for each in found:
        if each.service and (each.readable or not (each.refused or _is_guess(each))):
            resources = carriers.setdefault(each.service, [])
            resources += [each.resource] if each.resource not in resources else []
    return {code: carriers[code] for code in sorted(carriers, key=_number)}


def _is_guess(found: Discovered) -> bool:
    from daemon.core.dpv import ALL_SERVICES

    known = {each.id for one in ALL_SERVICES for each in one.resources if each.known}
    return not found.matched and found.resource not in known


def _number(code: str) -> tuple[int, ...]:
    return tuple(int(each) for each in code.split("/"))


def _print_found(mailbox: str, found: Sequence[Discovered]) -> None:
    by_resource: dict[str, list[Discovered]] = {}
    for each in found:
        by_resource.setdefault(each.resource, []).append(each)
    rows = sorted(_rows(by_resource), key=lambda row: (_number(row[0]), row[1]))
    shown = {resource for _, resource, *_ in rows}
    typer.echo(f"Mailbox {mailbox}:")
    if rows:
        print_table(("service", "resource", "title", "found by", "readable for"), rows)
    guessed = {each.service for each in found if each.service} - {service for service, *_ in rows}
    if guessed:
        typer.echo(
            f"no resource is known for {', '.join(sorted(filter(None, guessed), key=_number))}"
        )
    others = [
        f"{name} ({each[0].names.get('nb', 'no title')})"
        for name, each in by_resource.items()
        if not each[0].service
    ]
    if others:
        typer.echo(f"in use, but part of no service: {printable(_some(others))}")
    remarks = dict.fromkeys(each.remark for each in found if each.resource in shown and each.remark)
    for remark in list(remarks)[:_REMARKS]:
        typer.echo(f"remark: {printable(remark)}")
    typer.echo()


def _some(words: Sequence[str]) -> str:
    """Join the first few of them, and say how many more there are."""
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _rows(by_resource: Mapping[str, Sequence[Discovered]]) -> Iterator[tuple[str, ...]]:
    for resource, found in by_resource.items():
        first, readable = found[0], sum(each.readable for each in found)
        if first.service and (readable or first.matched):
            how = first.matched or "its name"
            title = first.names.get("nb", "")
            yield first.service, resource, title, how, f"{readable} of {len(found)}"


def _print_tables(path: Path, tables: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    from daemon.config.resources_table import resources_block

    written = {name: table for name, table in tables.items() if table}
    if not written:
        typer.echo("Nothing can be read; `postmottak check` says why")
        raise typer.Exit(Exit.WRONG)
    typer.echo('With `resources = "auto"`, the default, this is found out every day.')
    typer.echo(f"To choose yourself, put this after the mailbox's section in {path},")
    typer.echo("in place of `resources`, or run `postmottak discover --write`:\n")
    for name, table in written.items():
        typer.echo(resources_block(name, table))


def _write(path: Path, tables: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Write the tables that have something in them.

    The result is read and checked before it replaces the file. Raises OperatorError and
    ConfigurationError, and changes nothing then.
    """
    from daemon.config.resources_table import with_resources
    from daemon.core.errors import OperatorError
    from daemon.runtime.replacing import replace_text

    if not any(tables.values()):
        raise OperatorError("Nothing can be read, so nothing is written; see `postmottak check`")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
        for name, table in tables.items():
            text = with_resources(text, name, table) if table else text
        text = codecs.BOM_UTF8.decode() * raw.startswith(codecs.BOM_UTF8) + text
        _check(path.with_name(f".{path.name}.new"), text)
        replace_text(path, text)
    except OSError as error:
        raise OperatorError(
            f"{error.filename or path}: {(error.strerror or 'cannot be written').lower()}; fix "
            "that, or write the section yourself"
        ) from error


def _check(candidate: Path, text: str) -> None:
    """Read the new text from a file of its own. Raises ConfigurationError and OSError."""
    from daemon.service import stack

    candidate.touch(mode=0o600)
    try:
        candidate.write_bytes(text.encode())
        stack.load(candidate)
    finally:
        candidate.unlink()
