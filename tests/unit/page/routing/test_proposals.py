"""People move letters, and the page proposes the route that would have done it; nothing more."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.routing.table import read_table
from daemon.service import stack
from tests.unit.page.routing.conftest import DESTINATIONS, TEXT, Desk, Person
from tests.unit.page.test_overview import write_key

SKATT, NAV = "974761076", "889640782"
RULE = """\
[[route]]
name = "Skatteetaten til regnskap"
services = ["4255/8"]
senders = ["974761076"]
to = ["regnskap"]
"""


def move(desk: Desk, key: str, to: str = "regnskap") -> None:
    """Do what `postmottak messages route ID --to NAME` does."""
    desk.clock.advance(minutes=1)
    table = read_table(desk.file, DESTINATIONS)
    stack.rerouter(desk.store, table).route(UUID(key), to)


def letter(desk: Desk, name: str, title: str = "Brev", **facts: Any) -> str:
    """Store a letter that the table sent to `post`."""
    given = {"service": "4255/8", "sender_org": SKATT, "sender_name": "Skatteetaten"}
    desk.clock.advance(minutes=1)
    return desk.letter(name, title, **{**given, **facts})


def _shown(person: Person) -> list[dict[str, str]]:
    found = re.findall(r'<li data-testid="proposal"([^>]*)>', person.get("/routing/proposals").text)
    return [dict(re.findall(r'data-(\w+)="([^"]*)"', each)) for each in found]


def test_three_equal_moves_are_a_proposal(desk: Desk) -> None:
    """Two are none; three of the same sender, service and recipients are one, with what it would
    have moved and whom nobody moved; the table and its file stay as they are."""
    anna = desk.person("anna", "router")
    keys = [letter(desk, f"a-{number}") for number in range(5)]
    letter(desk, "nav", sender_org=NAV, sender_name="NAV")
    for key in keys[:2]:
        move(desk, key)
    move(desk, letter(desk, "c", sender_org=NAV, sender_name="NAV"))
    move(desk, letter(desk, "d", service="4255/1"))
    assert _shown(anna) == []
    move(desk, keys[2])
    (shown,) = _shown(anna)
    assert (shown["corrections"], shown["moved"], shown["letters"]) == ("3", "5", "8")
    assert shown["others"] == "2"
    text = anna.get("/routing/proposals").text
    assert "Den ville ha flyttet 5 av de siste 90 dagenes 8 brev." in text
    assert all(f"/letters/{key}" in text for key in keys)
    assert desk.file.read_text() == TEXT
    assert desk.store.drafts.find("anna") is None


@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_many_are_counted_in_each_language(desk: Desk, language: str) -> None:
    """Of many letters some are named, and the others counted."""
    anna = desk.site.user("anna", "router")
    anna.headers["Cookie"] += f"; lang={language}"
    keys = [letter(desk, f"a-{number}") for number in range(14)]
    for key in keys[:8]:
        move(desk, key)
    text = anna.get("/routing/proposals").text
    more = {"nb": "og %d brev til", "nn": "og %d brev til", "en": "and %d more letters"}[language]
    assert more % 3 in text
    assert {"nb": "og ett brev til", "nn": "og eitt brev til", "en": "and one more letter"}[
        language
    ] in text


def test_an_accepted_one_is_published_like_every_edit(desk: Desk) -> None:
    """It is in the user's draft, before the route that had decided; published, it is proposed no
    longer, and the next such letter goes where people had moved the others."""
    anna = desk.person("anna", "router")
    keys = [letter(desk, f"a-{number}") for number in range(3)]
    for key in keys:
        move(desk, key)
    (shown,) = _shown(anna)
    path = f"/routing/proposals/{shown['id']}/accept"
    assert anna.post(path).headers["location"] == "/routing?notice=accepted"
    change = anna.post(path, {"do": "change"}).headers["location"]
    assert change.startswith("/routing/routes/Skatteetaten%20til%20regnskap")
    assert "Skatteetaten til regnskap" in anna.get(change).text
    draft = desk.store.drafts.find("anna")
    assert draft
    assert draft.text == TEXT.replace('[[route]]\nname = "Alt', RULE + '\n[[route]]\nname = "Alt')
    assert desk.file.read_text() == TEXT
    anna.post("/routing/publish", {"reason": "forslag"})
    assert desk.file.read_text() == draft.text
    desk.activate()
    assert _shown(anna) == []
    assert anna.post(path).status_code == 404
    kinds = [kind for kind, _, _ in desk.site.events()]
    assert (kinds.count("proposal-accepted"), kinds.count("routing-published")) == (1, 1)


def test_a_dismissed_one_is_not_made_again(desk: Desk) -> None:
    """For nobody, and not with more of the same corrections either."""
    anna = desk.person("anna", "router")
    for number in range(3):
        move(desk, letter(desk, f"a-{number}"))
    (shown,) = _shown(anna)
    path = f"/routing/proposals/{shown['id']}/dismiss"
    assert desk.person("leser", "reader").post(path).status_code == 403
    assert anna.post(path).headers["location"] == "/routing/proposals?notice=dismissed"
    move(desk, letter(desk, "b"))
    assert _shown(anna) == []
    assert _shown(desk.person("kari", "router")) == []
    assert ("proposal-dismissed", "anna", True) in desk.site.events()


def test_a_word_of_all_titles_spares_the_others(desk: Desk) -> None:
    """Where the sender alone would move many that nobody moved, a word that the corrected titles
    share and the others have not becomes a condition."""
    anna = desk.person("anna", "router")
    for number in range(3):
        move(desk, letter(desk, f"a-{number}", f"Varsel om avgift {number}"))
    for number in range(6):
        letter(desk, f"b-{number}", f"Varsel om lønn {number}")
    (shown,) = _shown(anna)
    assert (shown["moved"], shown["others"]) == ("3", "0")
    anna.post(f"/routing/proposals/{shown['id']}/accept")
    draft = desk.store.drafts.find("anna")
    assert draft
    assert 'title_contains = ["avgift"]' in draft.text


def test_letters_that_went_back_or_are_secret_teach_nothing(desk: Desk) -> None:
    """A letter that was moved back, one that is confidential, and one that came long ago."""
    anna = desk.person("anna", "router", "confidential")
    keys = [letter(desk, f"a-{number}") for number in range(3)]
    for key in keys:
        move(desk, key)
    move(desk, keys[0], "post")
    assert _shown(anna) == []
    secrets = [letter(desk, f"s-{number}", "Hemmelig sak") for number in range(3)]
    for key in secrets:
        move(desk, key)
        _make_confidential(desk, key)
    assert _shown(anna) == []
    move(desk, keys[0])
    assert len(_shown(anna)) == 1
    desk.clock.advance(days=400)
    assert _shown(anna) == []


def _make_confidential(desk: Desk, key: str) -> None:
    from daemon.core.model import Message

    with desk.store._database.write() as session:
        session.get_one(Message, UUID(key)).confidential = True


def test_a_user_with_limits_learns_of_their_own_letters_only(desk: Desk) -> None:
    """Corrections of letters outside the limits propose nothing, and are in no number."""
    theirs = desk.person("ola", "router", recipients=("post",))
    mine = desk.person("kari", "router", recipients=("regnskap",))
    for number in range(3):
        move(desk, letter(desk, f"a-{number}"))
    letter(desk, "b")
    assert _shown(theirs) == []
    (shown,) = _shown(mine)
    assert (shown["letters"], shown["others"]) == ("3", "0")


def test_the_command_line_has_the_same(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """`routes proposals` prints the rule to write, `--json` its numbers, `--dismiss` is for good;
    no title is printed."""
    monkeypatch.setattr("daemon.service.stack.utc_now", lambda: desk.clock() + timedelta(hours=1))
    keys = [letter(desk, f"a-{number}", "Vedtak om skjult") for number in range(4)]
    for key in keys[:3]:
        move(desk, key)
    file = str(desk.site.folder / "postmottak.toml")
    write_key(desk.site)
    ran = CliRunner().invoke(app, ["-c", file, "routes", "proposals"])
    assert ran.exit_code == 0, ran.output
    assert "3 letters moved from post to regnskap" in ran.output
    assert "would have moved 4 of 4 letters" in ran.output
    assert 'senders = ["974761076"]' in ran.output
    assert "skjult" not in ran.output
    (found,) = json.loads(
        CliRunner().invoke(app, ["-c", file, "routes", "proposals", "--json"]).output
    )
    assert (found["to"], found["would_move"], found["letters"]) == ("regnskap", 4, 4)
    assert found["others"] == [keys[3]]
    assert sorted(found["corrections"]) == sorted(keys[:3])
    ended = CliRunner().invoke(app, ["-c", file, "routes", "proposals", "--dismiss", found["key"]])
    assert ended.exit_code == 0, ended.output
    ran = CliRunner().invoke(app, ["-c", file, "routes", "proposals"])
    assert ran.output.startswith("no proposals")
