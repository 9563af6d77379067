"""Edits of the routing table's text: what is not meant stays, and an inverse leaves no trace."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.errors import ConfigurationError, NotFound, OperatorError
from daemon.page.editing.document import TableDocument
from daemon.page.editing.draft import Draft, checked
from daemon.page.editing.pieces import comments
from tests.unit.conftest import ROOT

EXAMPLE = (ROOT / "config/routing.example.toml").read_text(encoding="utf-8")
TRICKY = '''\
# heading # with "quotes" and [[route]]

[[route]] # one
name = "A" # a
title_contains = [
  "[[route]]", # in a list
  '# no comment',

]   # after the list
title_matches = """
[[route]]
# no comment \\"""
"""
to = ['x']
# below A

# alone

# above B
[[route]]
name = 'B'
enabled = true
[route.not] # not
senders = ["974761076"]
# below not
[[recipient]]
name = "x"
deliver_to = ["erp"]
[[route]]
name = "C"
to = ["x"]'''

_words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
_lists = st.lists(_words, min_size=1, max_size=4)
_values: Mapping[str, st.SearchStrategy[Any]] = {
    "title_contains": _lists,
    "services": _lists,
    "senders": _lists,
    "to": _lists,
    "title_matches": _words,
    "enabled": st.booleans(),
    "not.senders": _lists,
    "not.title_contains": _lists,
    "starts": st.dates(),
    "reason": _words,
}
_changes = st.dictionaries(
    st.sampled_from(sorted(_values)), st.none() | st.integers(), min_size=1, max_size=4
).flatmap(
    lambda found: st.fixed_dictionaries(
        {key: st.none() if value is None else _values[key] for key, value in found.items()}
    )
)
_texts = st.sampled_from([EXAMPLE, TRICKY, TRICKY + "\n", TRICKY.replace("\n\n", "\n")])


@given(text=_texts, changes=_changes, data=st.data())
@settings(max_examples=60)
def test_a_change_and_its_inverse_leave_the_text(
    text: str, changes: dict[str, Any], data: st.DataObject
) -> None:
    """A change has the values that were meant and all comments, and its inverse leaves the text
    byte for byte."""
    draft = Draft(text, text)
    kind = data.draw(st.sampled_from(["route", "recipient"]))
    key = data.draw(st.sampled_from(draft.document.keys(kind)))
    before = draft.document.row(kind, key)
    edited = draft.changed(kind, key, changes)
    after = tomllib.loads(edited.text)
    assert edited.document.row(kind, key) == _expected(before, changes)
    assert not Counter(comments(text)) - Counter(comments(edited.text))
    others = [each for each in after[kind] if each["name"] != key]
    assert others == [each for each in tomllib.loads(text)[kind] if each["name"] != key]
    assert edited.changed(kind, key, _inverse(before, changes)).text == text


def _expected(row: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    found = {**_flat(row), **changes}
    rest = {key: value for key, value in found.items() if value is not None}
    top = {key: value for key, value in rest.items() if not key.startswith("not.")}
    under = {key[4:]: value for key, value in rest.items() if key.startswith("not.")}
    return top | ({"not": under} if under else {})


def _inverse(row: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _flat(row).get(key) for key in changes}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    under = {f"not.{key}": value for key, value in row.get("not", {}).items()}
    return {key: value for key, value in row.items() if key != "not"} | under


@given(text=_texts, by=st.integers(-3, 3), data=st.data())
def test_a_move_and_its_inverse_leave_the_text(text: str, by: int, data: st.DataObject) -> None:
    """A route that is moved takes its place with everything it says, and back again."""
    draft = Draft(text, text)
    keys = draft.document.keys("route")
    key = data.draw(st.sampled_from(keys))
    moved = draft.moved("route", key, by)
    after = moved.document.keys("route")
    assert sorted(after) == sorted(keys)
    assert after.index(key) == min(max(keys.index(key) + by, 0), len(keys) - 1)
    assert Counter(comments(moved.text)) == Counter(comments(text))
    assert moved.moved("route", key, keys.index(key) - after.index(key)).text == text


@pytest.mark.parametrize("text", [EXAMPLE, TRICKY, "", "# nothing yet\n"])
@pytest.mark.parametrize("kind", ["route", "recipient", "delegation"])
def test_what_is_added_and_removed_again_leaves_the_text(text: str, kind: str) -> None:
    """A new row is one more of its kind, and when it is removed, nothing of it is left."""
    values = {"name": "Ny", "to": ["x"]} if kind != "delegation" else {"from": "x", "to": "y"}
    draft = Draft(text, text).added(kind, values)
    key = "Ny" if kind != "delegation" else "x  "
    assert draft.document.row(kind, key) == values
    assert not Counter(comments(text)) - Counter(comments(draft.text))
    assert draft.removed(kind, key).text == text


def test_a_new_route_is_tried_before_the_last_resort() -> None:
    """A route below one that takes every letter would never get any."""
    draft = Draft(EXAMPLE, EXAMPLE).added("route", {"name": "Ny", "to": ["post"]})
    assert draft.document.keys("route") == ["Skatt og avgift", "Ny", "Alt annet"]


@pytest.mark.parametrize("key", ["A", "B", "C"])
def test_a_row_that_is_removed_and_comes_back_is_as_it_was(key: str) -> None:
    """What stood around a row stays when it is removed, whatever else it takes with it."""
    draft = Draft(TRICKY, TRICKY)
    piece = draft.document.piece("route", key).text
    row = draft.document.row("route", key)
    gone = draft.removed("route", key)
    lost = Counter(comments(TRICKY)) - Counter(comments(gone.text))
    assert lost == Counter(comments(piece))
    number = draft.document.keys("route").index(key)
    back = gone.added("route", dict(_flat(row)))
    back = back.moved("route", key, number - back.document.keys("route").index(key))
    assert back.text == TRICKY


def test_a_recipient_keeps_its_letters_under_a_new_name() -> None:
    """A new name goes into every row that uses the old one, and back again."""
    draft = Draft(EXAMPLE, EXAMPLE).changed("recipient", "post", {"name": "arkiv"})
    document = draft.document
    assert document.row("recipient", "regnskap")["deputy"] == "arkiv"
    assert document.row("route", "Alt annet")["to"] == ["arkiv"]
    assert document.rows("delegation")[0]["to"] == "arkiv"
    assert checked(draft.text, ["erp", "regnskap-epost"]).table
    assert draft.changed("recipient", "arkiv", {"name": "post"}).text == EXAMPLE


def test_a_row_that_is_gone_is_said_so() -> None:
    """Somebody else may have renamed it meanwhile."""
    with pytest.raises(NotFound, match="no route 'Borte'"):
        Draft(EXAMPLE, EXAMPLE).changed("route", "Borte", {"to": ["post"]})


def test_rows_of_another_form_are_not_edited_halfway() -> None:
    """A table that is no list of sections is refused before anything is changed."""
    with pytest.raises(OperatorError, match="are not all sections"):
        TableDocument.of('route = [{name = "A"}]\n')
    with pytest.raises(ConfigurationError):
        TableDocument.of("[[route")


def test_faults_name_the_key() -> None:
    """A form shows a fault at the field that its key names."""
    draft = Draft(EXAMPLE, EXAMPLE).changed(
        "route", "Skatt og avgift", {"senders": ["974761077"], "to": ["ingen"]}
    )
    found = checked(draft.text, ["erp", "regnskap-epost"])
    assert found.table is None
    assert {each.key for each in found.faults} >= {"route[1].senders[1]"}


def test_an_edit_in_a_long_table_touches_one_row() -> None:
    """However long the table is, the text of all other rows stays."""
    rows = "".join(f'[[route]] # {n}\nname = "R{n}"\nto = ["x"]\n\n' for n in range(2000))
    draft = Draft(rows, rows).changed("route", "R1500", {"to": ["y"]})
    assert draft.text == rows.replace('name = "R1500"\nto = ["x"]', 'name = "R1500"\nto = ["y"]')
