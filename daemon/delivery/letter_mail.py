"""Mails to people about letters: the words and the form that all of them share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from daemon.core.ports import Notification
from daemon.core.printable import one_line
from daemon.core.times import in_norway, written

AT_MOST = 50
"""So many letters are named in one mail."""
_LONGEST = 200  # characters of a title or a sender
_Letter = TypeVar("_Letter")


@dataclass(frozen=True, kw_only=True)
class LetterWords:
    """What is said of a letter in any mail."""

    confidential: str
    untitled: str
    received: str
    due: str
    number: str
    more: str


_WORDS = {
    "nb": LetterWords(
        confidential="Taushetsbelagt brev",
        untitled="Brev uten tittel",
        received="Mottatt {when}",
        due="frist {when}",
        number="Brevets nummer: {id}",
        more="Og {count} til.",
    ),
    "nn": LetterWords(
        confidential="Brev med teieplikt",
        untitled="Brev utan tittel",
        received="Motteke {when}",
        due="frist {when}",
        number="Nummeret til brevet: {id}",
        more="Og {count} til.",
    ),
    "en": LetterWords(
        confidential="Confidential letter",
        untitled="Letter without a title",
        received="Received {when}",
        due="due {when}",
        number="The letter's number: {id}",
        more="And {count} more.",
    ),
}
LANGUAGES = frozenset(_WORDS)


def letter_words(language: str) -> LetterWords:
    """Return the words in a language, which is one of `LANGUAGES`."""
    return _WORDS[language]


@dataclass(frozen=True, kw_only=True)
class MailFrame:
    """What a mail is, beside its letters."""

    id: UUID
    kind: str
    address: str
    at: datetime
    language: str
    one: str
    """Says that there is one letter, and begins the mail and its subject."""
    many: str
    """The same of `{count}` letters."""
    closing: str = ""
    """The last line."""


def letter_mail(
    frame: MailFrame, letters: Sequence[_Letter], lines: Callable[[_Letter], Iterator[str]]
) -> Notification:
    """Return a mail that says `lines` of each letter, up to `AT_MOST` of them."""
    count = len(letters)
    title = frame.one if count == 1 else frame.many.format(count=count)
    text = [title, ""]
    for each in letters[:AT_MOST]:
        text += [*lines(each), ""]
    if count > AT_MOST:
        text.append(letter_words(frame.language).more.format(count=count - AT_MOST))
    if frame.closing:
        text.append(frame.closing)
    return Notification(
        id=frame.id,
        kind=frame.kind,
        ended=False,
        critical=False,
        subject=f"Postmottak: {title[0].lower()}{title[1:]}",
        text="\n".join(text),
        at=frame.at,
        to=(frame.address,),
    )


def letter_name(title: str, sender: str, language: str, *, confidential: bool) -> str:
    """Return how a mail names a letter; a confidential one has neither title nor sender there."""
    words = letter_words(language)
    if confidential:
        return words.confidential
    named = one_line(title)[:_LONGEST] or words.untitled
    by = one_line(sender)[:_LONGEST]
    return f"{by}: {named}" if by else named


def where_to_read(letter: UUID, url: str, language: str) -> str:
    """Return the letter's address on the page at `url`; without a page, its number."""
    number = letter_words(language).number.format(id=letter)
    return f"{url}/letters/{letter}" if url else number


def day_of(moment: datetime) -> str:
    """Return the day in Norway."""
    return written(in_norway(moment), "%d.%m.%Y")


def moment_of(moment: datetime) -> str:
    """Return the day and time in Norway."""
    return written(in_norway(moment), "%d.%m.%Y %H.%M")
