"""Name a letter in a drop: the operator's template, filled with safe values.

A repeat of the same letter has the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from daemon.core.filenames import MAX_LENGTH, is_plain_name, short_id, slug
from daemon.core.ports import Parcel
from daemon.core.times import in_utc, written

DEFAULT_TEMPLATE = "{published:%Y%m%d-%H%M%S}_{service}_{sender}_{id}"
_FIELD = re.compile(r"\{([a-z_]+)(?::([^{}]*))?\}")
_MOMENT = re.compile(r"(?:%[YmdHMSyj]|[A-Za-z0-9._-])+")
_WORDS = ("service", "sender", "party", "party_name", "id", "generation")


@dataclass(frozen=True, kw_only=True)
class Naming:
    """The facts that a name is made of."""

    published_at: datetime
    service: str
    sender: str | None
    party: str
    party_name: str
    message_id: UUID
    generation: int


_EXAMPLES = tuple(
    Naming(
        published_at=datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
        service=service,
        sender=sender,
        party=party,
        party_name=party_name,
        message_id=UUID("6a1c2f0e-6b0f-5d55-9a3c-0f6e7d1b4c21"),
        generation=generation,
    )
    for service, sender, party, party_name, generation in (
        ("4255/8", "974761076", "991825827", "Nordre Bakeri AS", 1),
        ("x" * 50, None, "y" * 50, "z" * 50, 12),
    )
)


def checked_template(template: str) -> str:
    """Return the template if it gives every letter a safe name. Raises ValueError."""
    for field, form in _FIELD.findall(template):
        if field not in {"published", *_WORDS}:
            raise ValueError(
                f"has {{{field}}}, which is not a placeholder; use published, {', '.join(_WORDS)}"
            )
        if bool(form) != (field == "published") or (form and not _MOMENT.fullmatch(form)):
            raise ValueError(
                "has a format that cannot be used; only published has one, and requires it, such "
                "as {published:%Y%m%d-%H%M%S}"
            )
    if "{id}" not in template:
        raise ValueError("does not distinguish letters; add {id}")
    for example in (_filled(template, each) for each in _EXAMPLES):
        if not is_plain_name(example) or len(example) > MAX_LENGTH:
            raise ValueError(
                f"makes the name {example[:200]!r}, which is not a plain file name of at most "
                f"{MAX_LENGTH} characters; write letters, digits, - and _ between the placeholders"
            )
    return template


def candidates(template: str, parcel: Parcel) -> Iterator[str]:
    """Yield the letter's names in order: its own, then with `-v2`, `-v3` and so on if taken."""
    document = parcel.document
    naming = Naming(
        published_at=document.published_at,
        service=document.service.code,
        sender=document.sender.organisation,
        party=document.party,
        party_name=document.party_name,
        message_id=document.id,
        generation=parcel.generation,
    )
    name = _filled(template, naming)
    yield name
    yield from (f"{name}-v{version}" for version in count(2))


def _filled(template: str, naming: Naming) -> str:
    moment = in_utc(naming.published_at)
    words = _words(naming)
    name = _FIELD.sub(
        lambda found: written(moment, found[2]) if found[1] == "published" else words[found[1]],
        template,
    )
    return (
        name
        if naming.generation == 1 or "{generation}" in template
        else f"{name}-g{naming.generation}"
    )


def _words(naming: Naming) -> dict[str, str]:
    """Return the placeholders' values."""
    return {
        "service": slug(naming.service),
        "sender": slug(naming.sender or ""),
        "party": slug(naming.party),
        "party_name": slug(naming.party_name),
        "id": short_id(naming.message_id),
        "generation": str(naming.generation),
    }
