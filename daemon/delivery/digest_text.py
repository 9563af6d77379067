"""What a digest says, in a person's language. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.digests import Digest
from daemon.core.ports import Notification
from daemon.core.printable import one_line
from daemon.core.times import LAST, in_norway, written
from daemon.store import DueLetter

AT_MOST = 50
"""So many letters are named in one mail, those that are due first."""
_LONGEST = 200  # characters of a title or a sender


@dataclass(frozen=True, kw_only=True)
class _DigestWords:
    one: str
    many: str
    unacknowledged: str
    received: str
    due: str
    overdue: str
    confidential: str
    untitled: str
    more: str
    without_page: str


_WORDS = {
    "nb": _DigestWords(
        one="Et brev venter på deg",
        many="{count} brev venter på deg",
        unacknowledged="ingen har kvittert",
        received="Mottatt {when}",
        due="frist {when}",
        overdue="fristen gikk ut {when}",
        confidential="Taushetsbelagt brev",
        untitled="Brev uten tittel",
        more="Og {count} til.",
        without_page="Brevets nummer: {id}",
    ),
    "nn": _DigestWords(
        one="Eit brev ventar på deg",
        many="{count} brev ventar på deg",
        unacknowledged="ingen har kvittert",
        received="Motteke {when}",
        due="frist {when}",
        overdue="fristen gjekk ut {when}",
        confidential="Brev med teieplikt",
        untitled="Brev utan tittel",
        more="Og {count} til.",
        without_page="Nummeret til brevet: {id}",
    ),
    "en": _DigestWords(
        one="A letter waits for you",
        many="{count} letters wait for you",
        unacknowledged="nobody has acknowledged it",
        received="Received {when}",
        due="due {when}",
        overdue="was due {when}",
        confidential="Confidential letter",
        untitled="Letter without a title",
        more="And {count} more.",
        without_page="The letter's number: {id}",
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
    """Return the mail about all that waits for a person; `url` is the page's, or empty."""
    words = _WORDS.get(language, _WORDS["nb"])
    count = len(letters)
    title = words.one if count == 1 else words.many.format(count=count)
    return Notification(
        id=mail.id,
        kind="digest",
        ended=False,
        critical=False,
        subject=f"Postmottak: {title[0].lower()}{title[1:]}",
        text="\n".join([title, "", *_lines(letters, unacknowledged, words, url, now)]),
        at=mail.planned_at,
        to=(mail.address,),
    )


def _lines(
    letters: Sequence[DueLetter],
    unacknowledged: Collection[UUID],
    words: _DigestWords,
    url: str,
    now: datetime,
) -> Iterator[str]:
    for letter in sorted(letters, key=_order)[:AT_MOST]:
        yield _named(letter, words)
        yield ", ".join(_facts(letter, unacknowledged, words, now))
        yield f"{url}/letters/{letter.id}" if url else words.without_page.format(id=letter.id)
        yield ""
    if len(letters) > AT_MOST:
        yield words.more.format(count=len(letters) - AT_MOST)


def _order(letter: DueLetter) -> tuple[datetime, datetime]:
    return _due_at(letter) or LAST, letter.fetched_at


def _due_at(letter: DueLetter) -> datetime | None:
    holds = letter.facts.holds
    return holds.due_at if holds and letter.is_pressing else None


def _named(letter: DueLetter, words: _DigestWords) -> str:
    if letter.confidential:
        return words.confidential
    title = one_line(letter.title)[:_LONGEST] or words.untitled
    sender = one_line(letter.sender_name or letter.sender_org or "")[:_LONGEST]
    return f"{sender}: {title}" if sender else title


def _facts(
    letter: DueLetter, unacknowledged: Collection[UUID], words: _DigestWords, now: datetime
) -> Iterator[str]:
    yield words.received.format(when=_day(letter.fetched_at))
    if due := _due_at(letter):
        yield (words.due if due > now else words.overdue).format(when=_day(due))
    if letter.id in unacknowledged:
        yield words.unacknowledged


def _day(moment: datetime) -> str:
    return written(in_norway(moment), "%d.%m.%Y")
