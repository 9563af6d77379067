"""The fields of a row's form: what they are called, and how their texts become values and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

from daemon.page.editing.row_text import NOT
from daemon.page.wording import N_

_ITEM = re.compile(r'\s*(?:"(?P<quoted>(?:[^"]|"")*)"\s*(?=[,\n]|$)|(?P<plain>[^,\n]*))(?:[,\n]|$)')


class Shape(Enum):
    """What a field holds."""

    TEXT = "text"
    LIST = "list"
    DAY = "day"
    YES_NO = "yes-no"  # or nothing
    SWITCH = "switch"  # always one of both
    POLICY = "policy"  # when the sender sees something, or nothing


@dataclass(frozen=True)
class RowField:
    """One value of a row."""

    key: str
    label: str
    hint: str = ""
    shape: Shape = Shape.LIST
    default: bool = False
    """What a switch is if the row does not say."""

    @property
    def id(self) -> str:
        """The field's id in the page."""
        return "f-" + self.key.replace(".", "-")


@dataclass(frozen=True)
class FieldGroup:
    """Fields that stand together; one without a title is always shown."""

    title: str
    fields: Sequence[RowField]


_MAIN = (
    RowField("name", N_("Name of the route"), "", Shape.TEXT),
    RowField(
        "services", N_("Services"), N_("Codes or names, such as 4255/8, with commas between.")
    ),
    RowField(
        "senders", N_("Senders"), N_("Organisation numbers, or names; * stands for anything.")
    ),
    RowField("title_contains", N_("The title contains"), N_("Any of these words.")),
    RowField("case_numbers", N_("Case numbers"), N_("* stands for anything, such as 2026/*.")),
    RowField("to", N_("To"), N_("Recipients.")),
)
_FURTHER = (
    RowField("parties", N_("For the organisations"), N_("Organisation numbers of your own.")),
    RowField("party_name", N_("The organisation is called"), N_("Names; * stands for anything.")),
    RowField("party_group", N_("Groups of organisations"), N_("As under Groups.")),
    RowField("title_matches", N_("Regular expression for the title"), "", Shape.TEXT),
    RowField("senders_reference", N_("References")),
    RowField("language", N_("Languages of the letter"), N_("Such as nb or nn.")),
    RowField("has_attachments", N_("Has attachments"), "", Shape.YES_NO),
    RowField("attachment_types", N_("Kinds of attachments"), N_("Such as pdf or image/*.")),
    RowField("migrated", N_("Was in Altinn 2"), "", Shape.YES_NO),
    RowField("due_within", N_("Must be answered within"), N_("Such as 14d."), Shape.TEXT),
)
_ACTIONS = (
    RowField("copy_to", N_("Copies for")),
    RowField("deliver_to", N_("Destinations without a recipient")),
    RowField("mark_read", N_("Shown as read to the sender"), "", Shape.POLICY),
    RowField("confirm", N_("Confirmed to the sender"), "", Shape.POLICY),
    RowField("keep_body", N_("Keep the text"), N_("Such as 3650d, or forever."), Shape.TEXT),
    RowField("keep_attachments", N_("Keep attachments"), "", Shape.TEXT),
    RowField("keep_metadata", N_("Keep metadata"), "", Shape.TEXT),
    RowField(
        "acknowledge_within",
        N_("To be acknowledged within"),
        N_("Such as 2wd (working days) or 8h."),
        Shape.TEXT,
    ),
    RowField("respond_within", N_("To be answered within"), N_("Such as 21d or 15wd."), Shape.TEXT),
    RowField("continue", N_("Is a copy only: later routes are tried too"), "", Shape.SWITCH),
    RowField("follow_thread", N_("Later letters of the same matter follow"), "", Shape.SWITCH),
    RowField("enabled", N_("In use"), "", Shape.SWITCH, default=True),
)
_EXCEPTIONS = (
    RowField(NOT + "services", N_("Not these kinds of letters")),
    RowField(NOT + "senders", N_("Not from")),
    RowField(NOT + "title_contains", N_("Not if the title has")),
    RowField(NOT + "case_numbers", N_("Not the cases")),
    RowField(NOT + "parties", N_("Not for the organisations")),
    RowField(NOT + "party_name", N_("Not if the organisation is called")),
    RowField(NOT + "party_group", N_("Not for the groups")),
    RowField(NOT + "title_matches", N_("Not if this expression fits"), "", Shape.TEXT),
    RowField(NOT + "senders_reference", N_("Not the references")),
    RowField(NOT + "language", N_("Not in the languages")),
    RowField(NOT + "has_attachments", N_("Not if it has attachments"), "", Shape.YES_NO),
    RowField(NOT + "attachment_types", N_("Not the kinds of attachments")),
    RowField(NOT + "migrated", N_("Not if it was in Altinn 2"), "", Shape.YES_NO),
    RowField(NOT + "due_within", N_("Not if it must be answered within"), "", Shape.TEXT),
)
_ACKNOWLEDGING = (
    RowField("members", N_("Members"), N_("E-mail addresses, or users of this page.")),
    RowField(
        "manager", N_("Manager"), N_("An e-mail address, or a user of this page."), Shape.TEXT
    ),
    RowField(
        "acknowledge_within",
        N_("To be acknowledged within"),
        N_("Such as 2wd (working days) or 8h."),
        Shape.TEXT,
    ),
    RowField("remind_every", N_("Told again every"), N_("Such as 1wd."), Shape.TEXT),
    RowField(
        "digest",
        N_("Mail with what waits"),
        N_("To the members each working day at this time, such as 07:30."),
        Shape.TEXT,
    ),
    RowField("last_resort", N_("Told when nobody else acknowledges"), "", Shape.SWITCH),
)
FORMS: Mapping[str, Sequence[FieldGroup]] = {
    "route": (
        FieldGroup("", _MAIN),
        FieldGroup(N_("More conditions"), _FURTHER),
        FieldGroup(N_("Exceptions"), _EXCEPTIONS),
        FieldGroup(N_("What happens besides"), _ACTIONS),
    ),
    "recipient": (
        FieldGroup(
            "",
            (
                RowField("name", N_("Short name"), N_("Routes use it."), Shape.TEXT),
                RowField("title", N_("Full name"), "", Shape.TEXT),
                RowField("deliver_to", N_("Destinations")),
                RowField("email", N_("E-mail address"), "", Shape.TEXT),
                RowField("deputy", N_("Deputy"), N_("Covers if no cover is named."), Shape.TEXT),
            ),
        ),
        FieldGroup(N_("Who acknowledges letters"), _ACKNOWLEDGING),
    ),
    "delegation": (
        FieldGroup(
            "",
            (
                RowField("from", N_("Who is away"), N_("A recipient."), Shape.TEXT),
                RowField("to", N_("Who covers"), N_("Empty: the deputy."), Shape.TEXT),
                RowField("starts", N_("First day"), N_("YYYY-MM-DD"), Shape.DAY),
                RowField("ends", N_("Last day"), N_("YYYY-MM-DD"), Shape.DAY),
                RowField("services", N_("Only these services")),
                RowField("keep_copy", N_("The one who is away gets them too"), "", Shape.SWITCH),
                RowField("reason", N_("Reason for the absence"), "", Shape.TEXT),
            ),
        ),
    ),
    "party_group": (
        FieldGroup(
            "",
            (
                RowField("name", N_("Name of the group"), N_("Routes use it."), Shape.TEXT),
                RowField("parties", N_("Organisations"), N_("Organisation numbers of your own.")),
            ),
        ),
    ),
}
KINDS: Mapping[str, str] = {
    "route": N_("Route"),
    "recipient": N_("Recipient"),
    "delegation": N_("Cover"),
    "party_group": N_("Group"),
}
PLACES: Mapping[str, str] = {
    "route": "/routing/routes/",
    "recipient": "/routing/recipients/",
    "delegation": "/routing/covers/",
    "party_group": "/routing/groups/",
}


def fields_of(kind: str) -> list[RowField]:
    """Return all fields of a kind of row."""
    return [field for group in FORMS[kind] for field in group.fields]


def shown(field: RowField, row: Mapping[str, Any]) -> str:
    """Return the text of a field for a row of the table."""
    under = row.get("not")
    if field.key.startswith(NOT):
        value = under.get(field.key.removeprefix(NOT)) if isinstance(under, dict) else None
    else:
        value = row.get(field.key)
    if value is None:
        return str(field.default).lower() if field.shape is Shape.SWITCH else ""
    if isinstance(value, bool):
        return str(value).lower()
    return in_a_list(map(str, value)) if isinstance(value, list) else str(value)


def changes(kind: str, row: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that a form changes in a row; None is one that is to go.

    Fields that the form does not have, or that say what they said, change nothing.
    """
    found: dict[str, Any] = {}
    for field in fields_of(kind):
        text = form.get(field.key)
        if text is not None and _plain(text) != _plain(shown(field, row)):
            found[field.key] = _value(field, text.strip())
    return found


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _value(field: RowField, text: str) -> Any:
    if not text:
        return None
    if field.shape is Shape.LIST:
        return from_a_list(text) or None
    if field.shape in {Shape.YES_NO, Shape.SWITCH}:
        return {"true": True, "false": False}.get(text, text)
    if field.shape is Shape.DAY:
        try:
            return date.fromisoformat(text)
        except ValueError:
            return text  # the table's check says what is wrong
    return text


def in_a_list(values: Iterable[str]) -> str:
    """Return values with commas between; one that has a comma itself stands in quotes."""
    return ", ".join(map(_quoted, values))


def _quoted(value: str) -> str:
    is_plain = value and value == value.strip() and not set(value) & set(',"\n\r')
    return value if is_plain else '"' + value.replace('"', '""') + '"'


def from_a_list(text: str) -> list[str]:
    """Return the values in a text, by commas or lines."""
    found = []
    for item in _ITEM.finditer(text.replace("\r\n", "\n")):
        quoted, plain = item["quoted"], item["plain"]
        value = plain.strip() if quoted is None else quoted.replace('""', '"')
        if value:
            found.append(value)
    return found
