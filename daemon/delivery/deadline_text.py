"""What people are told of deadlines, in their language. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.core.deadlines import DeadlineSource, workdays_left
from daemon.core.ports import Notification
from daemon.delivery.letter_mail import (
    MailFrame,
    day_of,
    letter_mail,
    letter_name,
    where_to_read,
)
from daemon.store import DueLetter
from daemon.store.deadline_warnings import WarningMail


@dataclass(frozen=True, kw_only=True)
class _WarningWords:
    one: str
    many: str
    due: str
    sources: Mapping[DeadlineSource, str]
    read_it: str


_NB = _WarningWords(
    one="En frist nærmer seg",
    many="{count} frister nærmer seg",
    due="Frist {when}, arbeidsdager igjen: {days}, {source}",
    sources={
        DeadlineSource.SENDER: "satt av avsenderen",
        DeadlineSource.COMPUTED: "regnet ut etter en regel i rutingtabellen",
        DeadlineSource.CONFIRMED: "bekreftet av en person",
    },
    read_it="Hva brevet og loven sier om fristen, må du lese selv.",
)
_NN = _WarningWords(
    one="Ein frist nærmar seg",
    many="{count} fristar nærmar seg",
    due="Frist {when}, arbeidsdagar att: {days}, {source}",
    sources={
        DeadlineSource.SENDER: "sett av avsendaren",
        DeadlineSource.COMPUTED: "rekna ut etter ein regel i rutingtabellen",
        DeadlineSource.CONFIRMED: "stadfesta av ein person",
    },
    read_it="Kva brevet og lova seier om fristen, må du lese sjølv.",
)
_EN = _WarningWords(
    one="A deadline is near",
    many="{count} deadlines are near",
    due="Due {when}, working days left: {days}, {source}",
    sources={
        DeadlineSource.SENDER: "set by the sender",
        DeadlineSource.COMPUTED: "computed by a rule of the routing table",
        DeadlineSource.CONFIRMED: "confirmed by a person",
    },
    read_it="What the letter and the law say of the deadline, you have to read.",
)
_WORDS = {"nb": _NB, "nn": _NN, "en": _EN}


def warning_mail(
    mail: WarningMail, letters: Sequence[DueLetter], language: str, url: str, now: datetime
) -> Notification:
    """Return the mail about letters with a deadline, the earliest first.

    `url` is the page's, or empty.
    """
    words = _WORDS[language]

    def lines(letter: DueLetter) -> Iterator[str]:
        yield letter_name(letter.title, letter.sender, language, confidential=letter.confidential)
        yield _due(letter, words, now)
        yield where_to_read(letter.id, url, language)

    frame = MailFrame(
        id=mail.id,
        kind="deadline",
        address=mail.address,
        at=mail.planned_at,
        language=language,
        one=words.one,
        many=words.many,
        closing=words.read_it,
    )
    return letter_mail(frame, sorted(letters, key=_due_at), lines)


def _due_at(letter: DueLetter) -> datetime:
    assert letter.facts.holds  # or nobody would be warned
    return letter.facts.holds.due_at


def _due(letter: DueLetter, words: _WarningWords, now: datetime) -> str:
    holds, due_at = letter.facts.holds, _due_at(letter)
    assert holds  # or nobody would be warned
    return words.due.format(
        when=day_of(due_at),
        days=workdays_left(due_at, now),
        source=words.sources.get(holds.source, ""),
    )
