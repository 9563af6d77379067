"""`deadlines`: when letters want an answer, what persons say of that, and calendars of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from daemon.cli import completion, deadline_calendars
from daemon.cli.output import Json, print_json, print_list, whoami
from daemon.cli.stored import Limit, opened_store
from daemon.cli.tables import day_in_norway, printable

if TYPE_CHECKING:
    from daemon.core.deadlines import DeadlineFacts
    from daemon.store import DueLetter, Store

MessageId = Annotated[str, typer.Argument(help="A message ID, or its first characters.")]
By = Annotated[str, typer.Option(help="Who says it; recorded and shown.  [default: you]")]
_GIVES_WAY = (("title", 20), ("from", 12), ("to", 7), ("title", 10), ("from", 8))
"""What is cut on a narrow terminal, so that 80 columns are enough."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    deadlines = typer.Typer(
        help="See when letters want an answer, and confirm it.", no_args_is_help=True
    )
    deadlines.command("list")(list_deadlines)
    deadlines.command("confirm")(confirm)
    deadlines.command("drop")(drop)
    deadlines.command("handled")(handled)
    deadline_calendars.add_to(deadlines)
    app.add_typer(deadlines, name="deadlines")


def list_deadlines(
    context: typer.Context,
    *,
    recipient: Annotated[
        str,
        typer.Option(
            help="A recipient of the routing table.", autocompletion=completion.recipients
        ),
    ] = "",
    done: Annotated[
        bool, typer.Option("--all", help="Also those that are acknowledged and handled.")
    ] = False,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List open deadlines, the earliest first, each with its source.

    A deadline is what a sender, a rule or a person has named, and no legal advice. Seven days that
    a sending system writes by itself are `sender-default`. Confidential letters have no title here.
    """
    from daemon.cli.letter_filter import require_recipient
    from daemon.core.model import Message
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        if recipient:
            require_recipient(store, recipient)
        found = _sorted(store.due_letters.between(None, None), recipient, done=done)[:limit]
        names = store.search.short_ids(Message, [each.id for each in found])
    now = utc_now()
    if json:
        print_json([_facts(each, now) for each in found])
        return
    columns = ("id", "due", "days", "source", "from", "title", "to", "has it", "handled by")
    shown = len(columns) if done else -1
    rows = (_line(each, names, now)[:shown] for each in found)
    print_list("deadline", columns[:shown], rows, cut=_GIVES_WAY)


def _sorted(letters: Iterable[DueLetter], recipient: str, *, done: bool) -> list[DueLetter]:
    wanted = [
        each
        for each in letters
        if (done or not each.is_done) and (not recipient or recipient in each.recipients)
    ]
    return sorted(wanted, key=lambda each: (_due(each), each.id))


def _due(letter: DueLetter) -> datetime:
    assert letter.facts.holds  # or it would not be listed
    return letter.facts.holds.due_at


def _line(letter: DueLetter, names: Mapping[UUID, str], now: datetime) -> list[object]:
    from daemon.core.deadlines import workdays_left

    holds = letter.facts.holds
    assert holds  # or it would not be listed
    return [
        names[letter.id],
        day_in_norway(holds.due_at),
        workdays_left(holds.due_at, now),
        holds.source.value,
        "" if letter.confidential else letter.sender_name or letter.sender_org,
        "(confidential)" if letter.confidential else letter.title,
        letter.recipients,
        letter.acknowledged_by,
        letter.facts.handled.by if letter.facts.handled else "",
    ]


def _facts(letter: DueLetter, now: datetime) -> dict[str, Any]:
    handled = letter.facts.handled
    return {
        "message": letter.id,
        **(deadline_facts(letter.facts, now) or {}),
        "title": letter.title,
        "confidential": letter.confidential,
        "sender_org": letter.sender_org,
        "sender_name": letter.sender_name,
        "service": letter.service,
        "party": letter.party,
        "recipients": letter.recipients,
        "acknowledged_by": letter.acknowledged_by or None,
        "handled_by": handled.by if handled else None,
    }


def deadline_facts(facts: DeadlineFacts, now: datetime) -> dict[str, Any] | None:
    """Return the deadline that holds as `--json` shows it; None without one."""
    from daemon.core.deadlines import group_of, workdays_left

    holds = facts.holds
    if holds is None:
        return None
    return {
        "due_at": holds.due_at,
        "source": holds.source.value,
        "workdays": workdays_left(holds.due_at, now),
        "group": group_of(holds.due_at, now).value,
        "confirmed_by": holds.by or None,
        "confirmed_at": holds.set_at,
        "reason": holds.reason,
    }


def confirm(
    context: typer.Context,
    message: MessageId,
    day: Annotated[
        str, typer.Argument(help="The last day, such as 2026-12-24. If omitted, the known one.")
    ] = "",
    *,
    by: By = "",
    note: Annotated[str, typer.Option(help="What the letter says; recorded and shown.")] = "",
    json: Json = False,
) -> None:
    """Record that a person has read when a letter wants an answer. That wins over all else."""
    from daemon.service.stack import utc_now

    due_at = _end_of(day) if day else None
    with opened_store(context) as store:
        key, who = store.queries.message(message).id, by or whoami()
        facts = store.deadlines.confirm(key, who, utc_now(), _actor(), due_at=due_at, note=note)
    was = "" if facts.holds and facts.holds.by == who.strip() else "already "
    _say(key, facts, f"is due {{day}}, {was}confirmed by {{by}}", json=json)


def drop(
    context: typer.Context,
    message: MessageId,
    *,
    by: By = "",
    reason: Annotated[str, typer.Option(help="Why nothing is due; recorded and shown.")] = "",
    json: Json = False,
) -> None:
    """Record that a letter has no deadline, whatever was named before."""
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        key = store.queries.message(message).id
        facts = store.deadlines.drop(key, by or whoami(), utc_now(), _actor(), reason=reason)
    _say(key, facts, "has no deadline", json=json)


def handled(
    context: typer.Context,
    message: MessageId,
    *,
    by: By = "",
    note: Annotated[str, typer.Option(help="A note; recorded and shown.")] = "",
    json: Json = False,
) -> None:
    """Record that what a letter wanted is done. It must have been acknowledged."""
    from daemon.service.stack import utc_now

    with opened_store(context) as store:
        key = store.queries.message(message).id
        facts = store.deadlines.handle(key, by or whoami(), utc_now(), _actor(), note=note)
    _say(key, facts, "is handled", json=json)


def _say(key: UUID, facts: DeadlineFacts, what: str, *, json: bool) -> None:
    from daemon.service.stack import utc_now

    holds = facts.holds
    if json:
        print_json({"message": key, "deadline": deadline_facts(facts, utc_now())})
        return
    day = day_in_norway(holds.due_at) if holds else ""
    typer.echo(f"message {key} {what.format(day=day, by=printable(holds.by if holds else ''))}")


def _actor() -> Any:
    from daemon.store.users import Actor

    return Actor(name=whoami())


def _end_of(day: str) -> datetime:
    from daemon.core.deadlines import end_of_written_day

    found = end_of_written_day(day)
    if found is None:
        raise typer.BadParameter(f"{day[:100]!r} is not a day; write it such as 2026-12-24")
    return found


def facts_of(store: Store, key: UUID) -> dict[str, Any]:
    """Return what `messages show --json` has of a letter's deadline."""
    from daemon.service.stack import utc_now

    return {
        "deadline": deadline_facts(store.deadlines.facts(key), utc_now()),
        "deadline_answers": [
            each.model_dump(exclude={"message_id", "number"})
            for each in store.deadlines.answers(key)
        ],
    }
