"""The keys of the table that say who acknowledges letters, and how soon."""

from __future__ import annotations

import pytest

from daemon.core.errors import ConfigurationError
from daemon.page.views.routing.fields import fields_of
from daemon.routing.rows import Recipient
from daemon.routing.spreadsheet.diff import differences, toml_text
from daemon.routing.table import Table, parse_table

TABLE = """
[[recipient]]
name = "lonn"
deliver_to = ["erp"]
deputy = "post"
members = ["kari@example.no", "ola"]
manager = "Åse.Ås"
acknowledge_within = "2wd"
remind_every = "90m"
digest = "07:30"
[[recipient]]
name = "post"
deliver_to = ["erp"]
members = ["post@example.no"]
last_resort = true
[[route]]
name = "Alt annet"
acknowledge_within = "8h"
respond_within = "21d"
to = ["lonn"]
"""


def table(text: str = TABLE) -> Table:
    return parse_table(text, "routing.toml", ("erp",))


def test_the_keys_are_written_as_they_were_read() -> None:
    """An export and an import of the table change nothing."""
    again = table(toml_text(table().rows))
    assert again.rows == table().rows
    assert not differences(table(), again)
    assert again.rows["recipient"][0]["acknowledge_within"] == "2wd"
    assert again.rows["route"][0]["respond_within"] == "21d"


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"2wd"', '"2wx"', "is not a valid time"),
        ('"2wd"', '"0h"', "must be longer than zero"),
        ('"07:30"', '"7:30"', "is not a valid time of day"),
        ('"07:30"', '"24:00"', "is not a valid time of day"),
        ('"07:30"', "730", "is not a valid time of day"),
        ('"ola"', '"ola nordmann"', "is not a valid person"),
        ('"Åse.Ås"', "17", "is a number"),
        ('"Åse.Ås"', '""', "is empty"),
        ('deputy = "post"', "last_resort = true", "second recipient with last_resort"),
        ('members = ["post@example.no"]', "", "has nobody who can be told"),
    ],
)
def test_a_mistake_is_named(before: str, after: str, fault: str) -> None:
    """A table with a faulty key does not become active."""
    with pytest.raises(ConfigurationError, match=fault):
        table(TABLE.replace(before, after))


def test_letters_that_nobody_is_asked_to_acknowledge_are_a_warning() -> None:
    """Without members a time says nothing, and the table's keeper hears of it."""
    text = TABLE.replace('members = ["kari@example.no", "ola"]\n', "")
    assert [each.problem for each in table(text).warnings] == [
        "'lonn' has no members, so nobody is asked to acknowledge its letters",
        "'lonn' has no members, so nobody gets its digest",
    ]


@pytest.mark.parametrize(
    ("removed", "is_warned"),
    [
        ([], False),
        (['acknowledge_within = "2wd"\n'], False),
        (['acknowledge_within = "8h"\n'], False),
        (['acknowledge_within = "2wd"\n', 'acknowledge_within = "8h"\n'], True),
    ],
)
def test_to_be_told_again_of_nothing_is_a_warning(removed: list[str], is_warned: bool) -> None:
    """remind_every says something only for letters that are to be acknowledged, by whatever row."""
    text = TABLE
    for line in removed:
        text = text.replace(line, "")
    faults = [
        "the letters of 'lonn' need not be acknowledged, so nobody is told again",
    ]
    assert [each.problem for each in table(text).warnings] == faults * is_warned


def test_a_time_of_day_may_be_of_toml() -> None:
    """A local time without quotes is the same as the text."""
    assert table(TABLE.replace('"07:30"', "07:30:00")).rows == table().rows


def test_the_form_has_every_key_of_a_recipient() -> None:
    """What the file can say, the page can say."""
    assert {each.key for each in fields_of("recipient")} == set(Recipient.model_fields)
