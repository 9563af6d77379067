"""What is stored together for a new letter: itself, its decision, its deliveries and its marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.missing_files import Opening, OpeningValues
from daemon.core.model import (
    AttachmentValues,
    DeliveryValues,
    Envelope,
    Letter,
    LetterRef,
    MarkKind,
    MarkState,
    MarkValues,
    MessageValues,
    Policy,
    ThreadValues,
    delivery_id,
)
from daemon.intake.rerouting import awaited_values, decision_values
from daemon.routing.decide import Decision
from daemon.routing.facts import Facts
from daemon.store import StoredLetter


@dataclass(frozen=True, kw_only=True)
class MarkPolicies:
    """When letters are marked Read and Confirmed."""

    read: Policy = Policy.NEVER
    confirmed: Policy = Policy.NEVER

    def overridden(self, decision: Decision) -> MarkPolicies:
        """Return these policies, overridden by those of the route that decided."""
        return MarkPolicies(
            read=decision.mark_read or self.read, confirmed=decision.confirm or self.confirmed
        )


def stored_letter(
    ref: LetterRef,
    letter: Letter,
    attachments: Sequence[AttachmentValues],
    facts: Facts,
    decision: Decision,
    policies: MarkPolicies,
) -> StoredLetter:
    """Return what is stored together for a letter that was fetched at `facts.at`."""
    key, now, envelope = ref.message_id, facts.at, letter.envelope
    return StoredLetter(
        message=MessageValues(
            **vars(envelope),
            id=key,
            fetched_at=now,
            party_name=facts.party_name,
            listed_at=ref.listed_at,
        ),
        attachments=attachments,
        decision=decision_values(key, decision, now, envelope.published_at),
        deliveries=first_deliveries(key, decision, now),
        marks=list(_marks(key, policies.overridden(decision), envelope, now)),
        threads=[ThreadValues(key=thread, message_id=key) for thread in facts.threads],
        awaited=awaited_values(key, decision, now),
        opening=_opening_values(key, letter.opening, now) if letter.opening else None,
    )


def _opening_values(message: UUID, opening: Opening, now: datetime) -> OpeningValues:
    return OpeningValues(
        message_id=message,
        by=opening.by,
        why=opening.why,
        since=now,
        due_at=None if opening.done else now,
        tries=int(opening.done),
        opened_at=now if opening.done else None,
    )


def first_deliveries(message: UUID, decision: Decision, now: datetime) -> list[DeliveryValues]:
    """Return the deliveries that carry out a message's first decision, due now."""
    return [
        DeliveryValues(
            id=delivery_id(message, destination, 1),
            message_id=message,
            destination=destination,
            recipients=list(recipients),
            created_at=now,
            due_at=now,
        )
        for destination, recipients in decision.destinations.items()
    ]


def _marks(
    message: UUID, policies: MarkPolicies, envelope: Envelope, now: datetime
) -> Iterator[MarkValues]:
    """Yield the marks to set.

    Confirmed only where the sender asked for it: Altinn would pass on any.
    """
    confirmed = policies.confirmed if envelope.confirmation_needed else Policy.NEVER
    for kind, policy in ((MarkKind.READ, policies.read), (MarkKind.CONFIRMED, confirmed)):
        if policy is not Policy.NEVER:
            state = MarkState.DUE if policy is Policy.STORED else MarkState.WAITING
            yield MarkValues(message_id=message, kind=kind, policy=policy, state=state, due_at=now)
