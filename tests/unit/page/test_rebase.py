"""A draft is taken over to a table that somebody else has changed meanwhile."""

from __future__ import annotations

from daemon.page.editing.draft import Draft
from daemon.page.editing.rebase import rebased

BASE = """\
# kept: head
[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "A" # kept: A
services = ["4255/8"]
to = ["post"]

[[route]]
name = "B"
senders = ["x"] # kept: B
to = ["post"]

[[route]]
name = "C"
to = ["post"]
"""


def test_edits_of_different_rows_and_values_meet() -> None:
    """Each row and each value that only one of two people edited is as that one has it."""
    mine = Draft(BASE, BASE).changed("route", "A", {"title_contains": ["mva"]})
    mine = mine.added("route", {"name": "Ny", "senders": ["y"], "to": ["post"]})
    mine = mine.moved("route", "B", -1)
    theirs = Draft(BASE, BASE).changed("route", "A", {"to": ["post", "arkiv"]})
    text = theirs.added("recipient", {"name": "arkiv", "deliver_to": ["erp"]}).text + "# theirs\n"
    found = rebased(mine, text)
    assert found.conflicts == ()
    assert found.draft.base == text
    document = found.draft.document
    assert document.keys("route") == ["B", "A", "Ny", "C"]
    assert document.keys("recipient") == ["post", "arkiv"]
    assert document.row("route", "A") == {
        "name": "A",
        "services": ["4255/8"],
        "title_contains": ["mva"],
        "to": ["post", "arkiv"],
    }
    for comment in ("# kept: head", "# kept: A", "# kept: B", "# theirs"):
        assert comment in found.draft.text


def test_what_both_have_edited_is_a_conflict() -> None:
    """A value, a removed row and a new row of the same name are named, and left as they are."""
    mine = Draft(BASE, BASE).changed("route", "A", {"services": ["4255/9"], "senders": ["z"]})
    mine = mine.removed("route", "B").added("route", {"name": "Ny", "to": ["post"]})
    mine = mine.changed("recipient", "post", {"title": "Posten"})
    theirs = Draft(BASE, BASE).changed("route", "A", {"services": ["4255/7"]})
    theirs = theirs.changed("route", "B", {"to": ["arkiv"]})
    theirs = theirs.added("route", {"name": "Ny", "to": ["arkiv"]}).removed("recipient", "post")
    found = rebased(mine, theirs.text)
    assert found.conflicts == (
        ("recipient", "post"),
        ("route", "A"),
        ("route", "B"),
        ("route", "Ny"),
    )
    assert found.draft.document.row("route", "A")["services"] == ["4255/7"]
    assert found.draft.document.row("route", "A")["senders"] == ["z"]
    assert found.draft.document.row("route", "B")["to"] == ["arkiv"]


def test_the_same_edit_is_no_conflict() -> None:
    """Two people who did the same have nothing left to publish."""
    edited = Draft(BASE, BASE).changed("route", "A", {"services": ["4255/9"]}).removed("route", "B")
    found = rebased(edited, edited.text)
    assert found.conflicts == ()
    assert not found.draft.is_changed
