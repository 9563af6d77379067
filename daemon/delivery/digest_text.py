"""What a digest says, in a person's language. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.digests import Digest
from daemon.core.ports import Notification
from daemon.core.times import LAST
from daemon.delivery.letter_mail import (
    MailFrame,
    day_of,
    letter_mail,
    letter_name,
    letter_words,
    where_to_read,
)
from daemon.store import DueLetter


@dataclass(frozen=True, kw_only=True)
class _DigestWords:
    one: str
    many: str
    unacknowledged: str
    overdue: str


_WORDS = {
    "nb": _DigestWords(
        one="Et brev venter på deg",
        many="{count} brev venter på deg",
        unacknowledged="ingen har kvittert",
        overdue="fristen gikk ut {when}",
    ),
    "nn": _DigestWords(
        one="Eit brev ventar på deg",
        many="{count} brev ventar på deg",
        unacknowledged="ingen har kvittert",
        overdue="fristen gjekk ut {when}",
    ),
    "en": _DigestWords(
        one="A letter waits for you",
        many="{count} letters wait for you",
        unacknowledged="nobody has acknowledged it",
        overdue="was due {when}",
    ),
}


def digest_mail(
    mail: Digest,
    letters: Sequence[DueLetter],
    unacknowledged: Collection[UUID],
    language: str,
    url: str,
    now: datetime,
) -> Notification:
    """Return the mail about all that waits for a person, those that are due first.

    `url` is the page's, or empty.
    """
    words, common = _WORDS[language], letter_words(language)

    def facts(letter: DueLetter) -> Iterator[str]:
        yield common.received.format(when=day_of(letter.fetched_at))
        if due := _due_at(letter):
            yield (common.due if due > now else words.overdue).format(when=day_of(due))
        if letter.id in unacknowledged:
            yield words.unacknowledged

    def lines(letter: DueLetter) -> Iterator[str]:
        yield letter_name(letter.title, letter.sender, language, confidential=letter.confidential)
        yield ", ".join(facts(letter))
        yield where_to_read(letter.id, url, language)

    frame = MailFrame(
        id=mail.id,
        kind="digest",
        address=mail.address,
        at=mail.planned_at,
        language=language,
        one=words.one,
        many=words.many,
    )
    return letter_mail(frame, sorted(letters, key=_order), lines)


def _order(letter: DueLetter) -> tuple[datetime, datetime]:
    return _due_at(letter) or LAST, letter.fetched_at


def _due_at(letter: DueLetter) -> datetime | None:
    holds = letter.facts.holds
    return holds.due_at if holds and letter.is_pressing else None
