"""Notices: Postmottak's own messages that a confidential letter waits in the mailbox.

A notice tells an appointed recipient that the letter waits, since when, and from which service. It
is made without opening anything: an overview of the letter would cancel Altinn's own reminder. It
is a message itself, and is delivered like every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.bookkeeping import SkippedLetter
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.model import (
    LetterRef,
    MessageKind,
    MessageValues,
    SightingState,
    message_id,
)
from daemon.core.notice_ids import NOTICE_SUFFIX
from daemon.core.times import in_norway
from daemon.intake.new_letter import first_deliveries
from daemon.intake.party_names import PartyNames, without_names
from daemon.intake.rerouting import awaited_values, decision_values
from daemon.routing.decide import decide
from daemon.routing.facts import Facts
from daemon.routing.table import Table
from daemon.store import Store, StoredLetter


@dataclass(frozen=True, kw_only=True)
class Notices:
    """Writes notices, one for each letter that waits."""

    store: Store
    table: Callable[[], Table]
    clock: Callable[[], datetime]
    names: PartyNames = without_names

    def write(self, mailbox: str) -> int:
        """Write a notice of every confidential letter that waits and has none. Returns how many.

        None is written where the routing table appoints no recipient. Raises StoreError.
        """
        table = self.table()
        if not any(route.is_confidential and route.enabled for route in table.routes):
            return 0
        waiting = [
            each
            for each in self.store.queries.sightings(SightingState.WAITING)
            if each.mailbox == mailbox
        ]
        written = self.store.letters.stored_of([notice_id(each.ref) for each in waiting])
        notices = list(
            self._notices([each for each in waiting if notice_id(each.ref) not in written], table)
        )
        return len(self.store.letters.add(notices).new) if notices else 0

    def _notices(self, sightings: Sequence[SkippedLetter], table: Table) -> Iterator[StoredLetter]:
        now = self.clock()
        for sighting in sightings:
            name = self.names(sighting.mailbox, sighting.party)
            decision = decide(table, _facts(sighting, name, now))
            if decision is None:
                continue
            key = notice_id(sighting.ref)
            yield StoredLetter(
                message=_message(sighting, name, now),
                attachments=(),
                decision=decision_values(key, decision, now, now),
                deliveries=first_deliveries(key, decision, now),
                marks=(),
                awaited=awaited_values(key, decision, now),
            )


def notice_id(ref: LetterRef) -> UUID:
    """Return the id of a letter's notice; a repeat has the same."""
    return message_id(ref.mailbox, f"{ref.external_id}{NOTICE_SUFFIX}")


def _facts(sighting: SkippedLetter, party_name: str, now: datetime) -> Facts:
    return Facts(
        service=sighting.service,
        at=now,
        party=sighting.party,
        party_name=party_name,
        confidential=True,
    )


def _message(sighting: SkippedLetter, party_name: str, now: datetime) -> MessageValues:
    since = in_norway(sighting.first_seen_at)
    return MessageValues(
        id=notice_id(sighting.ref),
        kind=MessageKind.NOTICE,
        mailbox=sighting.mailbox,
        external_id=f"{sighting.external_id}{NOTICE_SUFFIX}",
        party=sighting.party,
        party_name=party_name,
        service=sighting.service,
        resource=sighting.resource,
        title=f"{CONFIDENTIAL_POST.nb} venter i Altinn",
        body=(
            f"Et taushetsbelagt brev til {sighting.party} venter i Altinn.\n\n"
            f"Tjeneste: {sighting.service}\n\n"
            f"Sett første gang: {since:%d.%m.%Y kl. %H.%M}\n\n"
            "Postmottak har ikke åpnet brevet. Les det i Altinn.\n"
        ),
        language="nb",
        sender_name="Postmottak",
        published_at=sighting.first_seen_at,
        confidential=True,
        fetched_at=now,
    )
