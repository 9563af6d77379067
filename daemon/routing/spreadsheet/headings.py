"""The columns of each sheet, and their headings: in English, in Norwegian, and as in routing.toml.

All are read, whatever their case; the language says which are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pydantic import BaseModel

from daemon.core.folding import fold_whole
from daemon.routing.rows import Conditions, Delegation, PartyGroup, Recipient, Route
from daemon.routing.table import SECTIONS

LANGUAGES = ("en", "nb")
KIND = "kind"
"""The column that says what each row is, where all rows stand in one sheet."""
TABLE = "table"
"""The kind of a row that holds what stands at the top of routing.toml."""
NOT = "not "
"""Before the name of a condition that must not hold."""
REMARK = "#"
"""A column whose heading begins so, or such a sheet, is left alone."""
MODELS: Mapping[str, type[BaseModel]] = MappingProxyType(
    dict(zip(SECTIONS, (Recipient, Route, Delegation, PartyGroup), strict=True))
)
SHEETS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "route": "Routes",
            "recipient": "Recipients",
            "delegation": "Covers",
            TABLE: "Settings",
            "party_group": "Groups",
        },
        "nb": {
            "route": "Ruter",
            "recipient": "Mottakere",
            "delegation": "Fravær",
            TABLE: "Innstillinger",
            "party_group": "Grupper",
        },
    }
)
"""What the sheet of each kind is called, in the order in which they stand."""
LATER_SHEETS = frozenset({"party_group"})
"""The kinds whose sheet earlier exports did not have, so that it may be missing."""
_KINDS = {
    "recipient": ("recipient", "mottaker"),
    "route": ("route", "rute"),
    "delegation": ("cover", "fravær", "delegation"),
    "party_group": ("group", "gruppe", "party_group"),
    TABLE: ("settings", "innstillinger", TABLE),
}
"""The words for each kind of row, in the order of `LANGUAGES`; the last one is read only."""
_NORWEGIAN = {
    KIND: "Type",
    "name": "Navn",
    "title": "Tittel",
    "email": "E-post",
    "deputy": "Stedfortreder",
    "members": "Medlemmer",
    "manager": "Leder",
    "acknowledge_within": "Kvitteres innen",
    "respond_within": "Besvares innen",
    "remind_every": "Påminn hver",
    "digest": "Oversikt kl.",
    "last_resort": "Siste utvei",
    "services": "Tjenester",
    "parties": "Til organisasjon",
    "party_name": "Organisasjonens navn",
    "party_group": "Gruppe av organisasjoner",
    "senders": "Avsendere",
    "title_contains": "Tittel inneholder",
    "title_matches": "Tittelmønster",
    "case_numbers": "Saksnumre",
    "senders_reference": "Avsenders referanse",
    "language": "Språk",
    "has_attachments": "Har vedlegg",
    "attachment_types": "Vedleggstyper",
    "migrated": "Fra Altinn 2",
    "due_within": "Frist innen",
    "to": "Til",
    "copy_to": "Kopi til",
    "deliver_to": "Mål",
    "mark_read": "Merk som lest",
    "confirm": "Bekreft",
    "keep_body": "Behold brevet",
    "keep_attachments": "Behold vedlegg",
    "keep_metadata": "Behold opplysninger",
    "continue": "Fortsett",
    "enabled": "I bruk",
    "follow_thread": "Følg saken",
    "from": "Fra",
    "starts": "Første dag",
    "ends": "Siste dag",
    "keep_copy": "Behold kopi",
    "reason": "Årsak",
}
_FIRST = {
    "route": ("name", "services", "senders", "title_contains", "to", "copy_to", "deliver_to"),
    "recipient": ("name", "title", "deliver_to", "email", "deputy"),
    "delegation": ("from", "to", "starts", "ends", "services", "keep_copy", "reason"),
    "party_group": ("name", "parties"),
}
"""The columns that people look for first, in the sheet of each kind."""


def _keys(model: type[BaseModel]) -> Iterator[str]:
    yield from (field.alias or name for name, field in model.model_fields.items() if name != "not_")


_NOTS = tuple(f"{NOT}{name}" for name in Conditions.model_fields)
_LATER = ("party_name", "party_group", f"{NOT}party_name", f"{NOT}party_group")
"""Columns that came later stand last, so that the others keep their letters."""
_ROWS: tuple[type[BaseModel], ...] = (Route, Recipient, Delegation, PartyGroup)


def _in_order(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the columns, each once."""
    return tuple(sorted(dict.fromkeys(columns), key=_LATER.__contains__))


ALL_COLUMNS = _in_order((KIND, *(key for model in _ROWS for key in _keys(model)), *_NOTS))
"""The columns of a file with all rows in one sheet."""


def columns_of(kind: str) -> tuple[str, ...]:
    """Return the columns of the sheet of one kind of rows, as people look for them."""
    if kind == TABLE:
        return ("follow_thread",)
    nots = _NOTS if kind == "route" else ()
    return _in_order((*_FIRST[kind], *_keys(MODELS[kind]), *nots))


def heading(column: str, language: str) -> str:
    """Return the heading of a column; without a language as in routing.toml."""
    if not language:
        return column
    if column.startswith(NOT):
        plain = heading(column.removeprefix(NOT), language)
        return f"{'Not' if language == 'en' else 'Ikke'}: {plain[0].lower()}{plain[1:]}"
    if language == "nb" and column in _NORWEGIAN:
        return _NORWEGIAN[column]
    return "E-mail" if column == "email" else column.replace("_", " ").capitalize()


def _folded(text: str) -> str:
    return fold_whole(text.replace("_", " ").replace(":", " "))


_BY_HEADING = {
    _folded(heading(column, language)): column
    for language in ("nb", "en", "")
    for column in ALL_COLUMNS
}
_BY_KIND = {_folded(word): kind for kind, words in _KINDS.items() for word in words}
_BY_TITLE = {_folded(name): kind for names in SHEETS.values() for kind, name in names.items()}


def column_called(text: str) -> str | None:
    """Return the column that has this heading, in any language; None if there is none."""
    return _BY_HEADING.get(_folded(text))


def kind_called(text: str) -> str | None:
    """Return the kind of a row, by its word in any language; None if there is none."""
    return _BY_KIND.get(_folded(text))


def kind_word(kind: str, language: str) -> str:
    """Return the word for a kind of row; without a language as in routing.toml."""
    return _KINDS[kind][LANGUAGES.index(language)].capitalize() if language else kind


_RECOGNISED_BY = {
    "delegation": {"from", "starts", "ends"},
    "route": {"name", "to"},
    "recipient": {"name", "deliver_to"},
    "party_group": {"name", "parties"},
}
"""The columns that are enough to know a sheet without its name; the first kind that fits."""


def kind_of_sheet(title: str, columns: Iterable[str]) -> str | None:
    """Return what rows a sheet holds, by its name or else by its columns.

    `KIND` is for all kinds; None is for a sheet that is not part of the table.
    """
    known = set(columns)
    if KIND in known:
        return KIND
    if named := _BY_TITLE.get(_folded(title)):
        return named
    if known == {"follow_thread"}:
        return TABLE
    return next((kind for kind, columns in _RECOGNISED_BY.items() if columns <= known), None)


def language_of(headings: Sequence[str]) -> str:
    """Return the language of a sheet's headings; empty if they are those of routing.toml."""
    for language in ("", *reversed(LANGUAGES)):
        written = {heading(column, language) for column in ALL_COLUMNS}
        if all(each in written for each in headings):
            return language
    folded = {_folded(each) for each in headings}
    norwegian = {_folded(heading(column, "nb")) for column in ALL_COLUMNS}
    english = {_folded(heading(column, "en")) for column in ALL_COLUMNS}
    return "nb" if len(folded & norwegian) > len(folded & english) else "en"
