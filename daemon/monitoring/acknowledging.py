"""What is wrong between letters and people: nobody has acknowledged them, or can be told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.causes import cause_of
from daemon.monitoring.problem import Problem, moment
from daemon.monitoring.recipients_in_force import recipients_in_force
from daemon.monitoring.sending import NOTIFY_AFTER
from daemon.store import Store


def of_people(store: Store, now: datetime) -> Iterator[Problem]:
    """Yield what is wrong, by recipient. Raises StoreError."""
    for recipient, (_, overdue) in store.awaited.counts(now).items():
        if overdue:
            text = f"{recipient or 'no recipient'}: not acknowledged in time: {overdue}"
            yield Problem(
                kind="overdue",
                about=recipient,
                count=overdue,
                text=f"{text}; see `postmottak messages list`",
                critical=False,
            )
    for about, (count, since, reason) in (
        ("", store.awaited.failing()),
        ("deadlines", store.deadline_warnings.failing(now)),
        ("digests", store.digests.failing(now)),
    ):
        if not (count and since):
            continue
        lasts = now - since >= NOTIFY_AFTER
        yield Problem(
            kind="unreminded",
            about=about,
            count=count,
            since=since,
            text=f"People cannot be told of letters since {moment(since)}: {cause_of(reason)}",
            critical=lasts,
            passing=not lasts,
            notify=lasts,
        )


def of_digests(configuration: Configuration, store: Store) -> Iterator[Problem]:
    """Yield that no destination can mail the digests of the table. Raises StoreError.

    They are not even planned then, so that none of them fails.
    """
    wanted = [each for each in recipients_in_force(store) if each.get("digest")]
    if wanted and not any(each.settings.can_notify_people for each in configuration.destinations):
        yield Problem(
            kind="unreminded",
            about="smtp",
            count=len(wanted),
            text=(
                "The routing table has digests, and no destination can mail people; configure one "
                "of type smtp"
            ),
            critical=False,
        )
