"""The options by which `messages list` chooses letters, as the store asks for them."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

import typer

from daemon.core.dpv import known_service
from daemon.core.durations import duration
from daemon.core.errors import OperatorError
from daemon.core.organisation import is_organisation_number
from daemon.core.spelling import did_you_mean
from daemon.core.times import FIRST, LAST, in_utc, shifted
from daemon.service.stack import utc_now
from daemon.store import Wanted

if TYPE_CHECKING:
    from daemon.core.model import DeliveryState
    from daemon.store import Store


def wanted_letters(
    *,
    service: str,
    sender: str,
    recipient: str,
    party: str,
    state: DeliveryState | None,
    since: str,
    until: str,
    title: str,
) -> Wanted:
    """Return what the letters must have. Raises BadParameter, which names what is wrong."""
    if party and not is_organisation_number(party):
        raise typer.BadParameter(f"--party: {party!r} is not a valid organisation number")
    return Wanted(
        service=_service_code(service),
        sender=sender,
        recipient=recipient,
        party=party,
        state=state,
        since=_moment("--since", since, time.min) if since else None,
        until=_moment("--until", until, time.max) if until else None,
        title=title,
    )


def _service_code(name: str) -> str:
    try:
        return known_service(name).code if name else ""
    except ValueError as error:
        raise typer.BadParameter(f"--service: {error}") from error


def _moment(option: str, text: str, at: time) -> datetime:
    """Return a moment; `at` is the local time of a day that is written alone."""
    try:
        if text[-1:] in {"s", "m", "h", "d"}:
            return shifted(utc_now(), -duration(text))
        is_day = len(text) == len("2026-11-24")
        written = (
            datetime.combine(date.fromisoformat(text), at)
            if is_day
            else datetime.fromisoformat(text)
        )
    except ValueError as error:
        raise typer.BadParameter(
            f"{option}: {text!r} is not a time; write a day such as 2026-11-24, a time such as "
            "2026-11-24T08:30, or how long ago, such as 7d"
        ) from error
    return _from_local(written)


def _from_local(written: datetime) -> datetime:
    try:
        return in_utc(written.astimezone())
    except (OverflowError, ValueError):  # at either end of the calendar, either may be raised
        return FIRST if written.year <= FIRST.year else LAST


def require_recipient(store: Store, name: str) -> None:
    """Raise OperatorError if the table in force has no recipient of this name."""
    from daemon.service.stack import table_of

    version = store.queries.table_in_force()
    known = table_of(store, version.version).recipients if version else {}
    if name not in known:
        hint = did_you_mean(name, known)
        raise OperatorError(
            f"The routing table does not have the recipient {name!r}; "
            f"{hint or 'known are ' + ', '.join(known)}"
        )
