"""What each column of the sheet means, for the sheet that explains the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from daemon.routing.spreadsheet.headings import NOT, SHEETS, columns_of, heading

TITLES: Mapping[str, str] = {"en": "Legend", "nb": "Forklaring"}
_HEADINGS = {
    "en": ("Sheet", "Heading", "In routing.toml", "Meaning"),
    "nb": ("Ark", "Overskrift", "I routing.toml", "Betydning"),
}
LISTS: Mapping[str, tuple[str, ...]] = {
    "en": ("Service", "Code", "Name of the service", "Destination"),
    "nb": ("Tjeneste", "Kode", "Tjenestens navn", "Mål"),
}
"""The headings of the lists beside the legend, from which the drop-downs choose."""
NOTES: Mapping[str, tuple[str, ...]] = {
    "en": (
        (
            "Several values in one cell: each on its own line (Alt+Enter), or with a comma or a "
            "semicolon between them."
        ),
        'A value with a comma, a semicolon or outer blanks stands in quotes: "Lønn, skatt".',
        (
            "Routes are tried from the top. The first one whose conditions all match decides; "
            "the last "
            "one has no conditions."
        ),
        (
            "A column whose heading begins with # is yours, for remarks; so is a sheet whose name "
            "does."
        ),
    ),
    "nb": (
        (
            "Flere verdier i én celle: hver på sin linje (Alt+Enter), eller med komma eller "
            "semikolon "
            "mellom."
        ),
        (
            'En verdi med komma, semikolon eller mellomrom ytterst står i anførselstegn: "Lønn, '
            'skatt".'
        ),
        (
            "Rutene prøves ovenfra. Den første der alle vilkår stemmer, bestemmer; den siste "
            "har ingen "
            "vilkår."
        ),
        (
            "En kolonne med overskrift som begynner med #, er din egen, for merknader; det "
            "samme er et "
            "ark med slikt navn."
        ),
    ),
}
_MEANINGS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "name": "What other cells call it. Each name is unique.",
        "title": "What people call the recipient.",
        "email": "The address to which destinations of the type e-mail send.",
        "deputy": "The recipient who covers when a cover does not say who, and is told of letters "
        "that are not acknowledged in time.",
        "members": "The people who acknowledge letters: e-mail addresses, or users of the page.",
        "manager": "The person who is told after the deputy: e-mail address or user.",
        "acknowledge_within": "Somebody acknowledges a letter within this time, such as 2wd "
        "(working days) or 8h.",
        "respond_within": "A letter is answered within this time from its publishing, such as 21d.",
        "remind_every": "How often people are told again of a letter, such as 1wd.",
        "digest": "When the members have a mail with what waits for them, such as 07:30.",
        "last_resort": "yes: is told of a letter that nobody else has acknowledged.",
        "services": "The letter is of one of these services.",
        "parties": "It is for one of these organisations, by number; of a group, its members.",
        "party_name": "The organisation's name is one of these; * is anything.",
        "party_group": "It is for an organisation in one of these groups.",
        "senders": "It is from one of these, by organisation number or name; * is anything.",
        "title_contains": "One of these words or phrases occurs in the title.",
        "title_matches": "A regular expression (RE2) is found in the title.",
        "case_numbers": "It has one of these case numbers; * is anything.",
        "senders_reference": "The sender's reference is one of these; * is anything.",
        "language": "It is in one of these languages.",
        "has_attachments": "It has attachments (yes), or none (no).",
        "attachment_types": "One attachment is of one of these kinds, such as pdf or image/*.",
        "migrated": "It was moved from Altinn 2 (yes), or was not (no).",
        "due_within": "It must be acted on within this time, such as 14d or 12h.",
        "to": "The recipients of the letters; in a cover, who covers.",
        "copy_to": "Recipients of a copy.",
        "deliver_to": "Destinations from postmottak.toml.",
        "mark_read": "When the sender sees Read: never, stored, delivered or acknowledged.",
        "confirm": "When the sender sees Confirmed: never, stored, delivered or acknowledged.",
        "keep_body": "How long the letter's text is kept, such as 3650d or forever.",
        "keep_attachments": "How long the attachments are kept.",
        "keep_metadata": "How long sender, title and times are kept.",
        "continue": "yes: this is a copy, and later routes are tried.",
        "enabled": "no: the route is skipped.",
        "follow_thread": "yes: later letters of the same case follow this one.",
        "from": "The recipient who is away.",
        "starts": "The first day, included.",
        "ends": "The last day, included.",
        "keep_copy": "yes: the recipient who is away gets the letters too.",
        "reason": "Why, for people.",
    },
    "nb": {
        "name": "Navnet som andre celler bruker. Hvert navn finnes bare én gang.",
        "title": "Navnet folk bruker på mottakeren.",
        "email": "Adressen som mål av typen e-post sender til.",
        "deputy": "Mottakeren som er stedfortreder når et fravær ikke sier hvem, og som får vite "
        "om brev som ingen har kvittert for i tide.",
        "members": "De som kvitterer for brev: e-postadresser, eller brukere av siden.",
        "manager": "Den som får vite det etter stedfortrederen: e-postadresse eller bruker.",
        "acknowledge_within": "Noen kvitterer for et brev innen denne tiden, f.eks. 2wd "
        "(arbeidsdager) eller 8h.",
        "respond_within": "Et brev besvares innen denne tiden fra publiseringen, f.eks. 21d.",
        "remind_every": "Hvor ofte folk får vite om et brev på nytt, f.eks. 1wd.",
        "digest": "Når medlemmene får en e-post med det som venter på dem, f.eks. 07:30.",
        "last_resort": "ja: får vite om brev som ingen andre har kvittert for.",
        "services": "Brevet hører til en av disse tjenestene.",
        "parties": "Det er til en av disse organisasjonene (organisasjonsnummer); i en gruppe: "
        "de som er med.",
        "party_name": "Organisasjonens navn er ett av disse; * er hva som helst.",
        "party_group": "Det er til en organisasjon i en av disse gruppene.",
        "senders": "Det er fra en av disse, med nummer eller navn; * er hva som helst.",
        "title_contains": "Ett av disse ordene eller uttrykkene står i tittelen.",
        "title_matches": "Et regulært uttrykk (RE2) passer i tittelen.",
        "case_numbers": "Det har et av disse saksnumrene; * er hva som helst.",
        "senders_reference": "Avsenderens referanse er en av disse; * er hva som helst.",
        "language": "Det er på et av disse språkene.",
        "has_attachments": "Det har vedlegg (ja), eller ingen (nei).",
        "attachment_types": "Et vedlegg er av en av disse typene, for eksempel pdf eller image/*.",
        "migrated": "Det er flyttet fra Altinn 2 (ja), eller ikke (nei).",
        "due_within": "Det må gjøres noe innen denne tiden, for eksempel 14d eller 12h.",
        "to": "De som skal ha brevene; i et fravær den som er stedfortreder.",
        "copy_to": "De som får en kopi.",
        "deliver_to": "Mål fra postmottak.toml.",
        "mark_read": "Når avsenderen ser Lest: never (aldri), stored (lagret), delivered "
        "(levert) eller acknowledged (kvittert).",
        "confirm": "Når avsenderen ser Bekreftet: never, stored, delivered eller acknowledged, som "
        "over.",
        "keep_body": "Hvor lenge brevets tekst beholdes, f.eks. 3650d eller forever (alltid).",
        "keep_attachments": "Hvor lenge vedleggene beholdes.",
        "keep_metadata": "Hvor lenge avsender, tittel og tidspunkter beholdes.",
        "continue": "ja: dette er en kopi, og rutene nedenfor prøves også.",
        "enabled": "nei: ruten hoppes over.",
        "follow_thread": "ja: senere brev i samme sak går samme vei.",
        "from": "Mottakeren som er borte.",
        "starts": "Den første dagen, medregnet.",
        "ends": "Den siste dagen, medregnet.",
        "keep_copy": "ja: også den som er borte, får brevene.",
        "reason": "Hvorfor, for dem som leser.",
    },
}
_NOT = {
    "en": "The same condition must not hold.",
    "nb": "Det samme vilkåret skal ikke stemme.",
}


def is_legend(title: str, headings: Iterable[str]) -> bool:
    """Return whether a sheet is the legend, by its name or by what stands in its first row."""
    first = tuple(islice(headings, len(_HEADINGS["en"])))
    return title in TITLES.values() or first in _HEADINGS.values()


def legend_rows(language: str) -> Iterator[tuple[str, ...]]:
    """Yield the legend: its headings, and a row for each column of each sheet."""
    yield _HEADINGS[language]
    for kind, title in SHEETS[language].items():
        for column in columns_of(kind):
            yield title, heading(column, language), column, meaning(column, language)


def meaning(column: str, language: str) -> str:
    """Return what a column means, as a sentence."""
    return _NOT[language] if column.startswith(NOT) else _MEANINGS[language][column]
