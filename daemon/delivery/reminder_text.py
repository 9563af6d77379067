"""What people are told of letters that wait for them, in their language. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.awaited import LadderStep
from daemon.core.ports import Notification
from daemon.core.printable import one_line
from daemon.core.times import in_norway, written
from daemon.delivery.belonging import Belonging
from daemon.store import DueMail, ToldLetter

AT_MOST = 50
"""So many letters are named in one mail."""
_LONGEST = 200  # characters of a title or a sender


@dataclass(frozen=True, kw_only=True)
class _Words:
    one: str
    many: str
    steps: Mapping[LadderStep, str]
    confidential: str
    untitled: str
    received: str
    due: str
    more: str
    how: str
    without_page: str
    moved: str
    other: str
    others: str


_NB = _Words(
    one="Et brev venter på at noen kvitterer",
    many="{count} brev venter på at noen kvitterer",
    steps={
        LadderStep.DEPUTY: "Ingen har kvittert i tide. Du er medlem eller stedfortreder.",
        LadderStep.MANAGER: "Ingen har kvittert i tide, heller ikke stedfortrederen.",
        LadderStep.LAST_RESORT: "Ingen andre har kvittert.",
        LadderStep.KEEPERS: "Det er ingen andre som kan få beskjed.",
        LadderStep.REJECTED: "Mottakeren har avvist brevet. Det må til noen andre.",
    },
    confidential="Taushetsbelagt brev",
    untitled="Brev uten tittel",
    received="Mottatt {when}",
    due="frist {when}",
    more="Og {count} til.",
    how="Åpne lenken for å kvittere. Den kvitterer ikke av seg selv.",
    without_page="Si fra til den som driver Postmottak, med brevets nummer: {id}",
    moved="Forslag: {to}. Dit er {count} slike brev flyttet.",
    other="Det andre brevet fra avsenderen gikk til {to}.",
    others="Av de siste {of} brevene fra avsenderen gikk {count} til {to}.",
)
_NN = _Words(
    one="Eit brev ventar på at nokon kvitterer",
    many="{count} brev ventar på at nokon kvitterer",
    steps={
        LadderStep.DEPUTY: "Ingen har kvittert i tide. Du er medlem eller stadfortredar.",
        LadderStep.MANAGER: "Ingen har kvittert i tide, heller ikkje stadfortredaren.",
        LadderStep.LAST_RESORT: "Ingen andre har kvittert.",
        LadderStep.KEEPERS: "Det er ingen andre som kan få beskjed.",
        LadderStep.REJECTED: "Mottakaren har avvist brevet. Det må til nokon andre.",
    },
    confidential="Brev med teieplikt",
    untitled="Brev utan tittel",
    received="Motteke {when}",
    due="frist {when}",
    more="Og {count} til.",
    how="Opne lenkja for å kvittere. Ho kvitterer ikkje av seg sjølv.",
    without_page="Sei frå til den som driv Postmottak, med nummeret til brevet: {id}",
    moved="Forslag: {to}. Dit er {count} slike brev flytte.",
    other="Det andre brevet frå avsendaren gjekk til {to}.",
    others="Av dei siste {of} breva frå avsendaren gjekk {count} til {to}.",
)
_EN = _Words(
    one="A letter waits for somebody to acknowledge it",
    many="{count} letters wait for somebody to acknowledge them",
    steps={
        LadderStep.DEPUTY: "Nobody has acknowledged it in time. You are a member or the deputy.",
        LadderStep.MANAGER: "Nobody has acknowledged it in time, nor has the deputy.",
        LadderStep.LAST_RESORT: "Nobody else has acknowledged it.",
        LadderStep.KEEPERS: "There is nobody else to tell.",
        LadderStep.REJECTED: "Its recipient has rejected the letter. It belongs to somebody else.",
    },
    confidential="Confidential letter",
    untitled="Letter without a title",
    received="Received {when}",
    due="due {when}",
    more="And {count} more.",
    how="Open the link to acknowledge the letter. It does not do so by itself.",
    without_page="Ask those who run Postmottak, with the letter's number: {id}",
    moved="Proposal: {to}. {count} such letters were moved there.",
    other="The sender's other letter went to {to}.",
    others="Of the sender's last {of} letters, {count} went to {to}.",
)
_WORDS = {"nb": _NB, "nn": _NN, "en": _EN}


def reminder_mail(
    mail: DueMail,
    language: str,
    link: Callable[[ToldLetter], str] | None,
    belongs: Callable[[UUID], Belonging | None],
) -> Notification:
    """Return the mail.

    `link` returns the address of the page for a letter, if there is a page; `belongs` returns where
    a rejected letter belongs.
    """
    words = _WORDS.get(language, _NB)
    count = len(mail.letters)
    title = words.one if count == 1 else words.many.format(count=count)
    return Notification(
        id=mail.id,
        kind="reminder",
        ended=False,
        critical=False,
        subject=f"Postmottak: {title[0].lower()}{title[1:]}",
        text="\n".join([title, "", *_lines(mail, words, link, belongs)]),
        at=mail.planned_at,
        to=(mail.address,),
    )


def _lines(
    mail: DueMail,
    words: _Words,
    link: Callable[[ToldLetter], str] | None,
    belongs: Callable[[UUID], Belonging | None],
) -> Iterator[str]:
    named: set[UUID] = set()
    for letter in mail.letters[:AT_MOST]:
        named.add(letter.message_id)
        yield _named(letter, words)
        yield _times(letter, words)
        yield words.steps[letter.step]
        if letter.step is LadderStep.REJECTED and not letter.confidential:
            yield from _proposed(belongs(letter.message_id), words)
        yield link(letter) if link else words.without_page.format(id=letter.message_id)
        yield ""
    if len(mail.letters) > AT_MOST:
        yield words.more.format(count=len(mail.letters) - AT_MOST)
    if link:
        yield words.how


def _named(letter: ToldLetter, words: _Words) -> str:
    if letter.confidential:
        return words.confidential
    title = one_line(letter.title)[:_LONGEST] or words.untitled
    sender = one_line(letter.sender)[:_LONGEST]
    return f"{sender}: {title}" if sender else title


def _proposed(found: Belonging | None, words: _Words) -> Iterator[str]:
    if found:
        several = words.others if found.of else words.moved
        said = words.other if found.of == 1 else several
        yield said.format(to=found.to, count=found.count, of=found.of)


def _times(letter: ToldLetter, words: _Words) -> str:
    received = words.received.format(when=_moment(letter.received_at))
    if letter.due_at is None or letter.confidential:
        return received
    return f"{received}, {words.due.format(when=_moment(letter.due_at))}"


def _moment(moment: datetime) -> str:
    return written(in_norway(moment), "%d.%m.%Y %H.%M")
