"""What people are told of deadlines, in their language. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.config.loader import Configuration
from daemon.core.deadlines import DeadlineSource, workdays_left
from daemon.core.ports import Notification
from daemon.core.printable import one_line
from daemon.core.times import in_norway, written
from daemon.store import DueLetter
from daemon.store.deadline_warnings import WarningMail

AT_MOST = 50
"""So many letters are named in one mail."""
_LONGEST = 200  # characters of a title or a sender


@dataclass(frozen=True, kw_only=True)
class _WarningWords:
    one: str
    many: str
    due: str
    sources: Mapping[DeadlineSource, str]
    confidential: str
    untitled: str
    more: str
    read_it: str
    without_page: str


_NB = _WarningWords(
    one="En frist nærmer seg",
    many="{count} frister nærmer seg",
    due="Frist {when}, {days} arbeidsdager igjen, {source}",
    sources={
        DeadlineSource.SENDER: "satt av avsenderen",
        DeadlineSource.COMPUTED: "regnet ut etter en regel i rutingtabellen",
        DeadlineSource.CONFIRMED: "bekreftet av en person",
    },
    confidential="Taushetsbelagt brev",
    untitled="Brev uten tittel",
    more="Og {count} til.",
    read_it="Hva brevet og loven sier om fristen, må du lese selv.",
    without_page="Brevets nummer: {id}",
)
_NN = _WarningWords(
    one="Ein frist nærmar seg",
    many="{count} fristar nærmar seg",
    due="Frist {when}, {days} arbeidsdagar att, {source}",
    sources={
        DeadlineSource.SENDER: "sett av avsendaren",
        DeadlineSource.COMPUTED: "rekna ut etter ein regel i rutingtabellen",
        DeadlineSource.CONFIRMED: "stadfesta av ein person",
    },
    confidential="Brev med teieplikt",
    untitled="Brev utan tittel",
    more="Og {count} til.",
    read_it="Kva brevet og lova seier om fristen, må du lese sjølv.",
    without_page="Nummeret til brevet: {id}",
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
    confidential="Confidential letter",
    untitled="Letter without a title",
    more="And {count} more.",
    read_it="What the letter and the law say of the deadline, you have to read.",
    without_page="The letter's number: {id}",
)
_WORDS = {"nb": _NB, "nn": _NN, "en": _EN}


def warning_mail(
    mail: WarningMail, letters: Sequence[DueLetter], configuration: Configuration, now: datetime
) -> Notification:
    """Return the mail about letters with a deadline, the earliest first."""
    words = _WORDS[configuration.acknowledgements.language]
    count = len(letters)
    title = words.one if count == 1 else words.many.format(count=count)
    url = configuration.web.url if configuration.web else ""
    return Notification(
        id=mail.id,
        kind="deadline",
        ended=False,
        critical=False,
        subject=f"Postmottak: {title[0].lower()}{title[1:]}",
        text="\n".join([title, "", *_lines(letters, words, url, now)]),
        at=mail.planned_at,
        to=(mail.address,),
    )


def _lines(
    letters: Sequence[DueLetter], words: _WarningWords, url: str, now: datetime
) -> Iterator[str]:
    for letter in sorted(letters, key=_due_at)[:AT_MOST]:
        yield _named(letter, words)
        yield _due(letter, words, now)
        yield f"{url}/letters/{letter.id}" if url else words.without_page.format(id=letter.id)
        yield ""
    if len(letters) > AT_MOST:
        yield words.more.format(count=len(letters) - AT_MOST)
    yield words.read_it


def _due_at(letter: DueLetter) -> datetime:
    assert letter.facts.holds  # or nobody would be warned
    return letter.facts.holds.due_at


def _named(letter: DueLetter, words: _WarningWords) -> str:
    if letter.confidential:
        return words.confidential
    title = one_line(letter.title)[:_LONGEST] or words.untitled
    sender = one_line(letter.sender_name or letter.sender_org or "")[:_LONGEST]
    return f"{sender}: {title}" if sender else title


def _due(letter: DueLetter, words: _WarningWords, now: datetime) -> str:
    holds, due_at = letter.facts.holds, _due_at(letter)
    assert holds  # or nobody would be warned
    return words.due.format(
        when=written(in_norway(due_at), "%d.%m.%Y"),
        days=workdays_left(due_at, now),
        source=words.sources.get(holds.source, ""),
    )
