"""The routing table is read, edited and tried out on the page."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from daemon.intake.rerouting import samples
from daemon.routing.dryrun import compare
from daemon.routing.table import read_table
from daemon.service.stack import rerouter
from tests.unit.page.routing.conftest import DESTINATIONS, TEXT, Desk, Person

Diff = Callable[[str], dict[str, str]]
SKATT = {"kind": "route", "row": "Skatt"}


def _names(text: str) -> list[str]:
    return re.findall(r'data-testid="route" data-name="([^"]*)"', text)


@pytest.mark.parametrize(
    ("role", "status", "edits"),
    [
        ("reader", 200, False),
        ("router", 200, True),
        ("operator", 200, False),
        ("admin", 403, False),
    ],
)
def test_who_sees_the_table(desk: Desk, role: str, status: int, edits: bool) -> None:
    """Who sees lists of letters may read the table, and a router edits it."""
    person = desk.person("anna", role)
    shown = person.get("/routing")
    assert shown.status_code == status
    for path in ("recipients", "covers", "groups", "history", "routes/Skatt", "export.xlsx"):
        assert person.get(f"/routing/{path}").status_code == status
    if status == 200:
        assert _names(shown.text) == ["Skatt", "Alt annet"]
        assert ("/routing/new" in shown.text) == edits
    for path in ("new", "change", "discard", "try", "publish", "rollback", "routes/Skatt"):
        answer = person.post(f"/routing/{path}", SKATT)
        assert (answer.status_code == 403) is not edits, path
    assert (person.get("/routing/new").status_code == 200) == edits
    assert (person.get("/routing/import").status_code == 200) == edits
    assert desk.file.read_text() == TEXT


def test_a_stranger_is_led_to_the_log_in(desk: Desk) -> None:
    """Nothing of the table is shown to somebody who is not logged in."""
    for path in ("/routing", "/routing/routes/Skatt", "/routing/history", "/routing/export.xlsx"):
        answer = desk.site.visitor().get(path)
        assert answer.headers["location"].startswith("/login")


def test_what_is_typed_is_tried_on_earlier_letters(desk: Desk, diff: Diff, tmp_path: Path) -> None:
    """The page finds the same letters as `routes test`, and changes nothing."""
    desk.clock.advance(days=-100)
    desk.letter("old", "Avgift for lenge siden")
    desk.clock.advance(days=100)
    ids = [desk.letter(f"a{n}", f"Merverdiavgift {n}") for n in range(3)]
    desk.letter("b", "Skattekort")
    desk.letter("c", "Annet")
    person = desk.person("anna", "router")
    answer = person.try_out({**SKATT, "title_contains": "skatt, avgift"})
    assert answer.status_code == 200
    assert diff(answer.text) == {"state": "done", "moved": "3", "letters": "5"}
    assert "post (erp)" in answer.text
    assert all(f"/letters/{key}" in answer.text for key in ids)
    other = tmp_path / "other.toml"
    other.write_text(TEXT.replace('["skatt"]', '["skatt", "avgift"]'))
    since = desk.clock() - timedelta(days=90)
    found = compare(
        read_table(desk.file, DESTINATIONS),
        read_table(other, DESTINATIONS),
        samples(desk.store, since),
    )
    assert (found.changed, found.letters) == (3, 5)
    assert desk.file.read_text() == TEXT
    assert desk.store.drafts.find("anna") is None


def test_a_newer_letter_counts_at_once(desk: Desk, diff: Diff) -> None:
    """Letters are kept in memory for the next keystroke, but none that is new is missed."""
    person = desk.person("anna", "router")
    form = {**SKATT, "title_contains": "avgift"}
    desk.letter("a", "Avgift")
    assert diff(person.try_out(form).text)["moved"] == "1"
    desk.clock.advance(hours=1)
    desk.letter("b", "Avgift")
    assert diff(person.try_out(form).text)["moved"] == "2"
    desk.clock.advance(days=90, minutes=-30)
    late = desk.person("kari", "router")
    assert diff(late.try_out(form).text)["letters"] == "1"


def test_threads_are_followed_as_routes_test_does(desk: Desk, diff: Diff, tmp_path: Path) -> None:
    """Earlier letters of a matter count as they are decided now, also after an operator has sent
    one of them elsewhere."""
    followed = TEXT.replace('name = "Alt annet"', 'name = "Alt annet"\nfollow_thread = true')
    desk.file.write_text(followed)
    desk.activate()
    other = tmp_path / "other.toml"
    other.write_text(followed.replace('["skatt"]', '["skatt", "svar"]'))
    first = desk.letter("a", "Varsel i sak 2026/17")
    for name in "bc":
        desk.clock.advance(minutes=1)
        desk.letter(name, "Svar i sak 2026/17")
    person = desk.person("anna", "router")

    def both() -> tuple[int, int]:
        before, after = read_table(desk.file, DESTINATIONS), read_table(other, DESTINATIONS)
        since = desk.clock() - timedelta(days=90)
        found = compare(before, after, samples(desk.store, since))
        return found.changed, found.letters

    def page() -> tuple[int, int]:
        found = diff(person.try_out({**SKATT, "title_contains": "skatt, svar"}).text)
        return int(found["moved"]), int(found["letters"])

    assert page() == both() == (0, 3)
    rerouter(desk.store, read_table(desk.file, DESTINATIONS)).route(UUID(first), "regnskap")
    assert page() == both() == (1, 3)


def test_letters_that_a_user_may_not_see_are_neither_counted_nor_named(
    desk: Desk, diff: Diff
) -> None:
    """The numbers are those of the user's letters; the samples are those that lists would show."""
    mine = desk.letter("a", "Avgift")
    secret = desk.letter("b", "Avgift, fortrolig", confidential=True)
    person = desk.person("anna", "router", recipients=("regnskap",))
    boss = desk.person("kari", "router")
    form = {**SKATT, "title_contains": "avgift"}
    limited, whole = person.try_out(form).text, boss.try_out(form).text
    assert (diff(limited)["moved"], diff(limited)["letters"]) == ("0", "0")
    assert diff(whole)["moved"] == "1"
    assert "Bare brev som du kan se" in limited
    assert mine not in limited
    assert mine in whole
    assert secret not in whole
    assert "fortrolig" not in whole


def test_faults_stand_at_their_field(desk: Desk) -> None:
    """A wrong organisation number is shown where it was typed, and nothing is published."""
    person = desk.person("anna", "router")
    form = {**SKATT, "senders": "974761077", "reason": "ny"}
    part = person.try_out(form).text
    assert 'data-testid="faults"' in part
    assert 'data-key="route[1].senders[1]" data-for="f-senders"' in part
    whole = person.post("/routing/try", form).text
    field = whole.partition('data-faults-of="f-senders">')[2].partition("</div>")[0]
    assert 'data-key="route[1].senders[1]"' in field
    assert re.search(r'<button[^>]*id="publish"[^>]* disabled', whole)
    answer = person.post("/routing/publish", form)
    assert answer.status_code == 422
    assert desk.file.read_text() == TEXT
    assert desk.store.routing_changes.page(limit=1)[0].by == ""


def test_a_draft_is_kept_and_shown(desk: Desk) -> None:
    """A saved draft is there after a restart, for its user only, and can be thrown away."""
    person, other = desk.person("anna", "router"), desk.person("kari", "router")
    form = {**SKATT, "title_contains": "skatt\r\nmva", "to": "post", "not.senders": "*kemner*"}
    answer = person.post("/routing/routes/Skatt", form)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/routing/routes/Skatt?notice=saved",
    )
    desk.restart()
    person = Person(desk.site.visitor("anna"))
    assert "skatt, mva" in person.get("/routing").text
    assert "skatt, mva" not in other.get("/routing").text
    draft = desk.store.drafts.find("anna")
    assert draft
    assert draft.text == TEXT.replace('["skatt"]', '["skatt", "mva"]').replace(
        'to = ["regnskap"]', 'to = ["post"]\n\n[route.not]\nsenders = ["*kemner*"]'
    )
    assert person.post("/routing/discard").status_code == 303
    assert "skatt, mva" not in person.get("/routing").text
    assert [each[0] for each in desk.site.events()[:2]] == [
        "routing-draft-discarded",
        "routing-draft-saved",
    ]


def test_rows_are_added_moved_and_removed(desk: Desk) -> None:
    """New routes come before the last resort; all kinds of rows can be made and removed."""
    person = desk.person("anna", "router")
    new = {"kind": "route", "row": "", "name": "Bygg / plan", "services": "4255/8", "to": "post"}
    answer = person.post("/routing/new", new)
    assert answer.headers["location"] == "/routing/routes/Bygg%20/%20plan?notice=saved"
    assert _names(person.get("/routing").text) == ["Skatt", "Bygg / plan", "Alt annet"]
    assert "Bygg / plan" in person.get("/routing/routes/Bygg%20/%20plan").text
    person.post("/routing/change", {"kind": "route", "row": "Bygg / plan", "do": "up"})
    assert _names(person.get("/routing").text) == ["Bygg / plan", "Skatt", "Alt annet"]
    person.post("/routing/change", {"kind": "route", "row": "Bygg / plan", "do": "remove"})
    assert desk.store.drafts.find("anna") is None
    person.post("/routing/new", {"kind": "recipient", "name": "plan", "deliver_to": "erp"})
    cover = {"kind": "delegation", "from": "post", "to": "plan", "keep_copy": "false"}
    days = {"starts": "2026-12-01", "ends": "2026-12-24"}
    answer = person.post("/routing/new", cover | days)
    assert answer.headers["location"].startswith("/routing/covers/post%202026-12-01%202026-12-24")
    draft = desk.store.drafts.find("anna")
    assert draft
    assert desk.site.page.workshop.check(draft.text).table
    assert "starts = 2026-12-01\n" in draft.text


@pytest.mark.parametrize("row", ["", "Skatt"])
@pytest.mark.parametrize(
    ("name", "problem"), [("", "må fylles ut"), ("Alt annet", "det finnes en rad med samme navn")]
)
def test_a_row_needs_a_name_of_its_own(desk: Desk, row: str, name: str, problem: str) -> None:
    """Rows are found by their names, so there are no two of the same, and none without."""
    person = desk.person("anna", "router")
    form = {"kind": "route", "row": row, "name": name, "to": "post"}
    assert 'data-for="f-name"' in person.try_out(form).text
    answer = person.post("/routing/routes/Skatt" if row else "/routing/new", form)
    assert answer.status_code == 422
    assert problem in answer.text
    assert person.post("/routing/publish", form | {"reason": "ny"}).status_code == 422
    assert desk.store.drafts.find("anna") is None


def test_a_cover_is_found_by_its_days(desk: Desk) -> None:
    """Two covers of one recipient differ in their days, or the second is refused."""
    person = desk.person("anna", "router")
    cover = {"kind": "delegation", "from": "post", "to": "regnskap"}
    for year, status in (("2026", 303), ("2027", 303), ("2026", 422)):
        days = {"starts": f"{year}-07-01", "ends": f"{year}-07-31"}
        assert person.post("/routing/new", cover | days).status_code == status
    text = person.get("/routing/covers").text
    assert text.count('<li data-name="post') == 2


def test_a_file_that_cannot_be_read_is_said_so(desk: Desk) -> None:
    """A table that is not TOML is not edited; the page says where it is wrong."""
    person = desk.person("anna", "router")
    desk.file.write_text(TEXT + "[[route\n")
    shown = person.get("/routing")
    assert shown.status_code == 200
    assert "ikke gyldig TOML" in html.unescape(shown.text)
    assert person.get("/routing/routes/Skatt").status_code == 409
    assert person.post("/routing/try", SKATT).status_code == 409
    desk.file.unlink()
    assert person.get("/routing").status_code == 200
    assert person.get("/routing/history").status_code == 409


def test_a_row_that_is_gone_is_not_found(desk: Desk) -> None:
    """An old address leads nowhere, and an old form changes nothing."""
    person = desk.person("anna", "router")
    assert person.get("/routing/routes/Borte").status_code == 404
    gone = {"kind": "route", "row": "Borte", "do": "remove"}
    for path in ("change", "try", "publish", "routes/Borte"):
        assert person.post(f"/routing/{path}", gone).status_code == 404
    assert person.post("/routing/change", {"kind": "x"}).status_code == 400


def test_markup_in_the_table_and_in_letters_is_text(desk: Desk) -> None:
    """A title or a name with markup is shown, and does nothing."""
    evil = '<img src=x onerror="alert(1)">'
    desk.letter("a", evil + "avgift")
    person = desk.person("anna", "router")
    form = {**SKATT, "title_contains": f"avgift, {evil}", "name": evil}
    assert "<img" not in person.try_out(form).text
    person.post("/routing/routes/Skatt", form)
    assert "<img" not in person.get("/routing").text
    assert "&lt;img" in person.get("/routing").text


def test_a_group_and_its_new_name(desk: Desk) -> None:
    """A group of organisations is made in a form, named by a route, and keeps the route when it is
    called something else."""
    person = desk.person("ruth", "router")
    made = person.post(
        "/routing/new", {"kind": "party_group", "name": "bakerier", "parties": "974761076"}
    )
    assert made.headers["location"].startswith("/routing/groups/bakerier")
    person.post("/routing/routes/Skatt", SKATT | {"party_group": "bakerier"})
    renamed = {"kind": "party_group", "row": "bakerier", "name": "mat / drikke"}
    answer = person.post("/routing/groups/bakerier", renamed)
    shown = person.get(answer.headers["location"])
    assert "974761076" in shown.text
    text = person.get("/routing").text
    assert ("mat / drikke" in text, "bakerier" in text) == (True, False)
    assert 'data-testid="faults"' not in text
