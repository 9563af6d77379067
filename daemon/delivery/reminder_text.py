"""What people are told of letters that wait for them, in their language. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from daemon.core.awaited import LadderStep
from daemon.core.ports import Notification
from daemon.delivery.belonging import Belonging
from daemon.delivery.letter_mail import (
    LetterWords,
    MailFrame,
    letter_mail,
    letter_name,
    letter_words,
    moment_of,
)
from daemon.store import DueMail, ToldLetter


@dataclass(frozen=True, kw_only=True)
class _Words:
    one: str
    many: str
    steps: Mapping[LadderStep, str]
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
    words = _WORDS[language]

    def lines(letter: ToldLetter) -> Iterator[str]:
        confidential = letter.confidential
        yield letter_name(letter.title, letter.sender, language, confidential=confidential)
        yield _times(letter, letter_words(language))
        yield words.steps[letter.step]
        if letter.step is LadderStep.REJECTED and not confidential:
            yield from _proposed(belongs(letter.message_id), words)
        yield link(letter) if link else words.without_page.format(id=letter.message_id)

    frame = MailFrame(
        id=mail.id,
        kind="reminder",
        address=mail.address,
        at=mail.planned_at,
        language=language,
        one=words.one,
        many=words.many,
        closing=words.how if link else "",
    )
    return letter_mail(frame, mail.letters, lines)


def _proposed(found: Belonging | None, words: _Words) -> Iterator[str]:
    if found:
        several = words.others if found.of else words.moved
        said = words.other if found.of == 1 else several
        yield said.format(to=found.to, count=found.count, of=found.of)


def _times(letter: ToldLetter, words: LetterWords) -> str:
    received = words.received.format(when=moment_of(letter.received_at))
    if letter.due_at is None or letter.confidential:
        return received
    return f"{received}, {words.due.format(when=moment_of(letter.due_at))}"
