"""`messages refetch`: ask the mailbox again for what did not arrive with a letter."""

from __future__ import annotations

import os
import pwd
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.output import Exit, Json, options, print_json, print_table

if TYPE_CHECKING:
    from daemon.config.loader import Configuration
    from daemon.core.model import Message
    from daemon.intake.refetch import Asked
    from daemon.service.stack import LoadedConfig
    from daemon.store import Store


def refetch_message(
    context: typer.Context,
    message: Annotated[str, typer.Argument(help="A message ID, or its first characters.")],
    *,
    resend: Annotated[
        bool,
        typer.Option(
            "--resend",
            help=(
                "If anything arrived, deliver the letter again to destinations that got it "
                "without; they see a new delivery."
            ),
        ),
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help=(
                "Accept what is still missing: it is no longer shown, and the sender may be "
                "notified."
            ),
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Ask the mailbox again for attachments that did not arrive as they were sent.

    The service may run meanwhile. Exits with code 3 if some are still missing.
    """
    from daemon.runtime import logs
    from daemon.service import stack

    logs.configure()
    checked = stack.load(options(context).config)
    with closing(stack.open_store(checked.configuration)) as store:
        facts = _refetch(
            checked, store, store.queries.message(message), resend=resend, accept=accept
        )
    if json:
        print_json(facts)
    else:
        _print(facts)
    if not accept and any(part["after"] != "present" for part in facts["parts"]):
        raise typer.Exit(Exit.REMAINS)


def _refetch(
    checked: LoadedConfig, store: Store, message: Message, *, resend: bool, accept: bool
) -> dict[str, Any]:
    from daemon.intake.fetch import Fetcher
    from daemon.intake.refetch import Refetch
    from daemon.service import stack
    from daemon.service.stack import utc_now

    _require_owner(checked.configuration.store.content_folder)
    content = stack.open_content(checked.configuration)
    fetcher = Fetcher(store=store, content=content, table=lambda: checked.table, clock=utc_now)
    work = Refetch(store=store, fetcher=fetcher, clock=utc_now)
    asked = _ask(checked.configuration, work, message, accept=accept)
    without = work.without(message.id) if any(each.came for each in asked) else []
    delivered = [each.id for each in without if each.state == "delivered"]
    resent = store.outbox.resend(delivered, utc_now()) if resend and delivered else []
    return {
        "message": message.id,
        "parts": [asdict(each) for each in asked],
        "without": []
        if resent
        else [
            {"delivery": each.id, "destination": each.destination, "state": each.state}
            for each in without
        ],
        "resent": resent,
    }


def _ask(configuration: Configuration, work: Any, message: Message, *, accept: bool) -> list[Asked]:
    """Ask the mailbox that the letter came from.

    Raises OperatorError if no mailbox has that name any longer.
    """
    from daemon.core.errors import OperatorError
    from daemon.service import plugins

    mailboxes = plugins.connect_mailboxes(configuration)
    try:
        mailbox = next((each for each in mailboxes if each.name == message.mailbox), None)
        if mailbox is None:
            raise OperatorError(
                f"The letter came from the mailbox {message.mailbox}, which is no longer in the "
                "configuration"
            )
        asked: list[Asked] = work.run(mailbox, message, accept=accept)
        return asked
    finally:
        for each in mailboxes:
            each.close()


def _require_owner(content: Path) -> None:
    """Raise OperatorError if the content folder belongs to another user.

    The service could not read files that this user writes there.
    """
    from daemon.core.errors import OperatorError

    owner = content.stat().st_uid if os.path.exists(content) else os.geteuid()  # noqa: PTH110
    if owner != os.geteuid():
        name = next((each.pw_name for each in pwd.getpwall() if each.pw_uid == owner), str(owner))
        raise OperatorError(
            f"The service could not read new files here, because {content} belongs to {name}; "
            f"run this command as {name}"
        )


def _print(facts: dict[str, Any]) -> None:
    if not facts["parts"]:
        typer.echo("nothing is missing")
        return
    columns = ("position", "name", "before", "after", "problem")
    print_table(columns, [[part[column] for column in columns] for part in facts["parts"]])
    if facts["resent"]:
        typer.echo(f"queued again: {', '.join(map(str, facts['resent']))}")
    ready = [each for each in facts["without"] if each["state"] == "delivered"]
    if ready:
        typer.echo(
            f"{', '.join(each['destination'] for each in ready)} got the letter without what "
            "has arrived now. To deliver it again:"
        )
        typer.echo(
            f"    postmottak deliveries resend {' '.join(str(each['delivery']) for each in ready)}"
        )
    for each in facts["without"]:
        if each["state"] != "delivered":
            typer.echo(
                f"a delivery to {each['destination']} is in progress, and may lack it: "
                f"{each['delivery']}"
            )
