"""Commands about stored letters, and the list of services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from daemon.cli import completion
from daemon.cli.deadlines import facts_of
from daemon.cli.json_rows import print_json_list
from daemon.cli.output import Json, options, print_json, print_list, print_table, to_json, whoami
from daemon.cli.pages import print_listed, print_message, print_remains
from daemon.cli.refetch import refetch_message
from daemon.cli.stored import (
    Limit,
    State,
    delivery_facts,
    known_state,
    opened_store,
    wake_service,
)
from daemon.cli.tables import local, printable

if TYPE_CHECKING:
    from daemon.core.bookkeeping import Tombstone
    from daemon.core.model import Message
    from daemon.store import Listed, Store

MessageId = Annotated[str, typer.Argument(help="A message ID, or its first characters.")]
_GIVES_WAY = (("title", 20), ("from", 12), ("to", 7), ("title", 10), ("from", 8))
"""What is cut on a narrow terminal, so that 80 columns are enough."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    messages = typer.Typer(help="Inspect and manage stored letters.", no_args_is_help=True)
    messages.command("list")(list_messages)
    messages.command("show")(show_message)
    messages.command("export")(export_message)
    messages.command("refetch")(refetch_message)
    messages.command("route")(route_message)
    messages.command("acknowledge")(acknowledge_message)
    messages.command("legal-hold")(legal_hold)
    messages.command("end-legal-hold")(end_legal_hold)
    app.add_typer(messages, name="messages")
    app.command()(services)


def list_messages(  # noqa: PLR0913  # one for each option
    context: typer.Context,
    *,
    service: Annotated[
        str,
        typer.Option(help="The service: its code or slug.", autocompletion=completion.services),
    ] = "",
    sender: Annotated[
        str,
        typer.Option(help="The sender: an organisation number, or part of a name; * is anything."),
    ] = "",
    recipient: Annotated[
        str,
        typer.Option(
            help="A recipient of the routing table.", autocompletion=completion.recipients
        ),
    ] = "",
    party: Annotated[
        str, typer.Option(help="The organisation number that the letter is for.")
    ] = "",
    state: State = None,
    since: Annotated[
        str, typer.Option(help="Arrived since: a day, a time, or how long ago, such as 7d.")
    ] = "",
    until: Annotated[str, typer.Option(help="Arrived until then; a day counts to its end.")] = "",
    title: Annotated[str, typer.Option(help="Part of the title.")] = "",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List letters, newest first.

    Case and accents in a title or a sender do not matter. --state is that of any of the deliveries.
    """
    from daemon.cli.letter_filter import require_recipient, wanted_letters
    from daemon.core.model import Message

    wanted = wanted_letters(
        service=service,
        sender=sender,
        recipient=recipient,
        party=party,
        state=known_state(state),
        since=since,
        until=until,
        title=title,
    )
    with opened_store(context) as store:
        letters = store.search.letters(wanted, limit)
        first = next(letters, None)
        if first is None and recipient:
            require_recipient(store, recipient)
        every = chain([first] if first else [], letters)
        if json:
            print_json_list(map(_row, every))
            return
        found = list(every)
        names = store.search.short_ids(Message, [each.id for each in found])
    columns = ("id", "received", "service", "from", "title", "to", "state")
    print_list("letter", columns, (_line(each, names) for each in found), cut=_GIVES_WAY)


def _row(listed: Listed) -> dict[str, Any]:
    facts = asdict(listed)
    del facts["direct"]
    return facts


def _line(listed: Listed, names: Mapping[UUID, str]) -> list[object]:
    return [
        names[listed.id],
        listed.fetched_at,
        listed.service,
        listed.sender_name or listed.sender_org,
        listed.title,
        [*listed.recipients, *listed.direct],
        _states(listed.deliveries),
    ]


def _states(deliveries: Mapping[str, str]) -> str:
    """Return how the deliveries stand: the state that all have, or how many have which."""
    counts = Counter(deliveries.values())
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def show_message(
    context: typer.Context,
    message: MessageId,
    *,
    json: Json = False,
) -> None:
    """Show one letter: its facts, why it was routed as it was, and every delivery attempt.

    Of a deleted letter, shows what was kept; of one that is only listed, why it is not here.
    """
    with opened_store(context) as store:
        facts, print_facts = _what_is_known(store, message)
    if json:
        print_json(facts)
    else:
        print_facts(facts)


def _what_is_known(
    store: Store, name: str
) -> tuple[dict[str, Any], Callable[[Mapping[str, Any]], None]]:
    """Return the facts of a letter that is stored, deleted or only listed, and what prints them."""
    from daemon.core.errors import NotFound

    if left := _deleted(store, name):
        return _facts_left(store, left), print_remains
    try:
        return _message_facts(store, store.queries.message(name)), print_message
    except NotFound:
        listed = store.queries.sighting(name)
        if listed is None:
            raise
        return listed.model_dump(exclude={"routing_version"}), print_listed


def _deleted(store: Store, name: str) -> Tombstone | None:
    """Return what is left of the letter; None if it is stored. Raises OperatorError if both fit."""
    from daemon.core.errors import NotFound, OperatorError

    left = store.queries.tombstone(name)
    with suppress(NotFound):
        if left:
            stored = store.queries.message(name)
            raise OperatorError(
                f"There is more than one message {name!r}: {stored.id} is stored, and "
                f"{left.message_id} was deleted; write more of the id"
            )
    return left


def _facts_left(store: Store, left: Tombstone) -> dict[str, Any]:
    return {
        **left.model_dump(),
        "deletions": [
            each.model_dump(exclude={"message_id"})
            for each in store.retention.deletions(message_id=left.message_id)
        ],
    }


def _message_facts(store: Store, message: Message) -> dict[str, Any]:
    opening = store.openings.of(message.id)
    return {
        **message.model_dump(exclude={"body"}),
        "attachments": _attachments(store, message.id),
        "opening": opening and opening.model_dump(exclude={"message_id"}),
        "decisions": [
            each.model_dump(exclude={"message_id"}) for each in store.queries.decisions(message.id)
        ],
        "deliveries": [
            delivery_facts(store, each) for each in store.queries.deliveries(message_id=message.id)
        ],
        "acknowledgements": [
            each.model_dump(exclude={"message_id", "number"})
            for each in store.acknowledgements.of(message.id)
        ],
        **facts_of(store, message.id),
        "acknowledge_by": store.awaited.due_of(message.id),
        "reminders": [
            each.model_dump(include={"step", "round", "person", "planned_at", "told_at"})
            for each in store.awaited.reminders(message.id)
        ],
        "marks": [
            each.model_dump(exclude={"message_id"}) for each in store.queries.marks(message.id)
        ],
        "deletions": [
            each.model_dump(exclude={"message_id"})
            for each in store.retention.deletions(message_id=message.id)
        ],
        "legal_holds": [
            each.model_dump(exclude={"message_id", "id"})
            for each in store.retention.holds(message.id)
        ],
    }


def _attachments(store: Store, key: UUID) -> list[dict[str, Any]]:
    missing = store.missing_files.of(key)
    shown = {"reason", "since", "tries", "tried_at", "due_at", "came_at"}
    return [
        each.model_dump(exclude={"message_id"})
        | {
            "missing": file.model_dump(include=shown)
            if (file := missing.get(each.position))
            else None
        }
        for each in store.queries.attachments(key)
    ]


def export_message(
    context: typer.Context,
    message: MessageId,
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write.  [default: MESSAGE.zip]"),
    ] = None,
) -> None:
    """Write one letter to a zip file: its text, its attachments, and all recorded facts.

    An existing file is not overwritten. The export of a confidential letter is an event.
    """
    from daemon.maintenance.export import write_zip
    from daemon.routing.facts import is_guarded
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    configuration = stack.load_configuration(options(context).config)
    store = stack.open_store(configuration)
    found = store.queries.message(message)
    target = output or Path(f"{found.id}.zip")
    if is_guarded(found.service, confidential=found.confidential):
        now = stack.utc_now()
        store.events.add(now, kind="letter-exported", user=whoami(), message_id=found.id)
    facts = to_json(_message_facts(store, found))
    write_zip(
        target, found, store.queries.attachments(found.id), facts, stack.open_content(configuration)
    )
    store.close()
    typer.echo(f"written to {target}")


def route_message(
    context: typer.Context,
    message: MessageId,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            help="Recipient. If omitted, the current routing table decides.",
            autocompletion=completion.recipients,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Route a letter again, and deliver it to all its destinations, including earlier ones."""
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    checked = stack.load(options(context).config)
    store = stack.open_store(checked.configuration)
    key = store.queries.message(message).id
    changed = stack.rerouter(store, checked.table).route(key, to)
    store.close()
    wake_service(checked.configuration)
    if json:
        print_json({"message": key, "added": changed.added, "withdrawn": changed.withdrawn})
        return
    typer.echo(
        f"new deliveries: {', '.join(changed.added) or 'none'}; withdrawn: "
        f"{', '.join(changed.withdrawn) or 'none'}"
    )


def acknowledge_message(
    context: typer.Context,
    message: MessageId,
    *,
    by: Annotated[str, typer.Option(help="Who has the letter; recorded and shown.")],
    note: Annotated[str, typer.Option(help="A note; recorded and shown.")] = "",
    json: Json = False,
) -> None:
    """Record that somebody has a letter.

    If somebody has acknowledged it before, the first name and time stay.
    """
    from daemon.service.stack import utc_now
    from daemon.store.users import Actor

    now = utc_now()
    with opened_store(context) as store:
        key = store.queries.message(message).id
        answer = store.acknowledgements.acknowledge(key, by, now, Actor(name=whoami()), note)
    if json:
        print_json({"message": key, **answer.model_dump(exclude={"message_id", "number"})})
        return
    was = "is" if answer.at == now else "was already"
    typer.echo(f"message {key} {was} acknowledged by {printable(answer.by)}, {local(answer.at)}")


def legal_hold(
    context: typer.Context,
    message: MessageId,
    *,
    reason: Annotated[str, typer.Option(help="Reason; recorded and shown.")] = "",
) -> None:
    """Keep retention from deleting any part of a letter until the hold is ended.

    Deliveries are not affected.
    """
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        key = store.queries.message(message).id
        store.retention.hold(key, whoami(), reason, utc_now())
    typer.echo(f"message {key} is now under a legal hold")


def end_legal_hold(context: typer.Context, message: MessageId) -> None:
    """End a legal hold; retention may delete the letter again when it is due."""
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        key = store.queries.message(message).id
        store.retention.end_hold(key, whoami(), utc_now())
    typer.echo(f"message {key} is no longer under a legal hold")


def services(*, json: Json = False) -> None:
    """List the eleven services: ten of Digital post til virksomheter, and confidential post."""
    from daemon.core.dpv import ALL_SERVICES

    if json:
        print_json(ALL_SERVICES)
        return
    rows = [
        (
            each.code,
            each.nb,
            each.slug,
            [f"{r.id}{'' if r.known else ' (presumed)'}" for r in each.resources],
        )
        for each in ALL_SERVICES
    ]
    print_table(("code", "name", "slug", "Altinn 3 resources"), rows)
