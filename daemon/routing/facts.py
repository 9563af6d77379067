"""The facts about a letter that routes look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

from daemon.core.casenumbers import case_numbers
from daemon.core.cases import case_keys
from daemon.core.dpv import CONFIDENTIAL_POST
from daemon.core.folding import fold_title, fold_whole, readable
from daemon.core.model import Envelope, Part
from daemon.core.times import norwegian_day


@dataclass(frozen=True)
class Facts:
    """One letter as routes see it."""

    service: str
    at: datetime
    """When it is decided; delegations and `due_within` are relative to this."""
    party: str = ""
    party_name: str = ""
    """What the party was called when the letter came."""
    party_groups: tuple[str, ...] = ()
    """The groups that the party is in, by the table that decides (`Table.grouped`)."""
    sender_org: str | None = None
    sender_name: str = ""
    title: str = ""
    summary: str = ""
    reference: str = ""
    language: str = ""
    attachment_names: tuple[str, ...] = ()
    attachment_types: tuple[str, ...] = ()
    migrated: bool = False
    due_at: datetime | None = None
    confidential: bool = False

    @cached_property
    def folded_title(self) -> str:
        """The title, folded, with a blank at each end."""
        return fold_title(self.title)

    @cached_property
    def folded_party_name(self) -> str:
        """The party's name, folded."""
        return fold_whole(self.party_name)

    @cached_property
    def folded_sender(self) -> str:
        """The sender's name, folded."""
        return fold_whole(self.sender_name)

    @cached_property
    def folded_reference(self) -> str:
        """The sender's reference, folded."""
        return fold_whole(self.reference)

    @cached_property
    def readable_title(self) -> str:
        """The title as a person sees it, with case and accents."""
        return readable(self.title)

    @cached_property
    def case_numbers(self) -> tuple[str, ...]:
        """The case numbers in the title and the summary."""
        return case_numbers(f"{self.title} {self.summary}")

    @cached_property
    def day(self) -> date:
        """The day in Norway."""
        return norwegian_day(self.at)

    @property
    def threads(self) -> tuple[str, ...]:
        """The keys of the letter's cases (`daemon.core.cases`)."""
        return case_keys(
            party=self.party,
            sender_org=self.sender_org,
            sender_name=self.sender_name,
            text=f"{self.title} {self.summary}",
            reference=self.reference,
        )


def facts_of(
    envelope: Envelope, parts: Sequence[Part], at: datetime, party_name: str = ""
) -> Facts:
    """Collect the facts about a letter, whose party was called that when it came."""
    return Facts(
        service=envelope.service,
        at=at,
        party=envelope.party,
        party_name=party_name,
        sender_org=envelope.sender_org,
        sender_name=envelope.sender_name,
        title=envelope.title,
        summary=envelope.summary,
        reference=envelope.sender_reference,
        language=envelope.language,
        attachment_names=tuple(part.original_name for part in parts),
        attachment_types=tuple(part.media_type for part in parts),
        migrated=envelope.altinn2_id is not None,
        due_at=envelope.due_at,
        confidential=is_guarded(envelope.service, confidential=envelope.confidential),
    )


def is_guarded(service: str, *, confidential: bool) -> bool:
    """Whether a letter is confidential: by its mark, or as confidential post."""
    return confidential or service == CONFIDENTIAL_POST.code
