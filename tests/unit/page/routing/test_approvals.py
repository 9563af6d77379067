"""With `approvals = 1` a second person must approve a table before the page publishes it."""

from __future__ import annotations

import re
from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import pytest

from daemon.core.errors import OperatorError
from daemon.page.app import application
from daemon.page.assets import Assets
from daemon.page.editing.draft import version_of
from daemon.store import Intent
from tests.unit.page.routing.conftest import TEXT, Desk, Person, read_diff

SKATT = {"kind": "route", "row": "Skatt"}
EDIT = {**SKATT, "title_contains": "skatt, avgift", "reason": "Ny avgift"}
EDITED = TEXT.replace('["skatt"]', '["skatt", "avgift"]')
ROUTE = '[[route]]\nname = "Taushet"\nservices = ["5504/1"]\nto = ["regnskap"]\n\n'
SECRET = TEXT.replace('[[route]]\nname = "Alt', ROUTE + '[[route]]\nname = "Alt')


@pytest.fixture
def careful(desk: Desk) -> Desk:
    """A desk whose configuration asks for a second person."""
    configuration = desk.site.page.configuration
    routing = configuration.routing.model_copy(update={"approvals": 1})
    page = replace(desk.site.page, configuration=replace(configuration, routing=routing))
    desk.site.page, desk.site.app = page, application(page, Assets())
    return desk


def _ask(person: Person, form: dict[str, str] = EDIT) -> str:
    """Ask for an edit; return the address of what waits."""
    answer = person.post("/routing/publish", form)
    assert answer.status_code == 303
    address, _, notice = answer.headers["location"].partition("?")
    assert notice == "notice=asked"
    return str(address)


def _state(answer: Any) -> str:
    found = re.search(r'data-testid="approval" data-id="\d+" data-state="(\w+)"', answer.text)
    return found[1] if found else ""


def test_a_second_person_publishes_it(careful: Desk) -> None:
    """What its author publishes waits; somebody else sees why, what it changes and would do, and
    approves it; then it is in force, with both names in the history."""
    careful.letter("a", "Avgift")
    anna, kari = careful.person("anna", "router"), careful.person("kari", "router")
    address = _ask(anna)
    assert careful.file.read_text() == TEXT
    assert careful.site.woken == []
    assert address in kari.get("/routing").text
    assert address in kari.get("/routing/approvals").text
    shown = kari.get(address).text
    assert "Ny avgift" in shown
    assert "+ title_contains" in shown
    number = address.rpartition("/")[2]
    diff = read_diff(kari.post("/routing/try", {"approval": number}).text)
    assert (diff["moved"], diff["letters"]) == ("1", "1")
    done = kari.post(f"{address}/approve")
    assert done.headers["location"].startswith("/routing?notice=published")
    assert careful.file.read_text() == EDITED
    assert careful.site.woken == [1]
    newest = careful.store.routing_changes.page(limit=1)[0]
    assert (newest.by, newest.approved_by, newest.reason) == ("anna", "kari", "Ny avgift")
    assert newest.version == version_of(EDITED)
    assert careful.store.drafts.find("anna") is None
    assert "godkjent av <strong>kari</strong>" in kari.get("/routing/history").text
    assert _state(anna.get(address)) == "approved"
    (event,) = careful.store.events.page(kind="routing-published")
    assert (event.user, event.details["author"]) == ("kari", "anna")


def test_an_author_cannot_approve_it(careful: Desk) -> None:
    """Neither by the button, which is not there, nor by its address; a refusal is recorded."""
    anna = careful.person("anna", "router")
    address = _ask(anna)
    shown = anna.get(address).text
    assert 'id="approve"' not in shown
    assert "Du kan ikke godkjenne din egen tabell." in shown
    for what in ("approve", "decline"):
        assert anna.post(f"{address}/{what}", {"reason": "x"}).status_code == 403
    assert careful.file.read_text() == TEXT
    assert careful.site.events(done=False) == [("refused", "anna", False)] * 2
    with pytest.raises(OperatorError, match="somebody else"):
        careful.store.publications.begin(_own(careful, address), careful.clock())


def _own(desk: Desk, address: str) -> Intent:
    found = desk.store.approvals.get(int(address.rpartition("/")[2]))
    return Intent(
        version=found.version,
        version_before=found.version_before,
        text=found.text,
        by="anna",
        reason="",
        approved_by="anna",
        approval=found.number,
    )


@pytest.mark.parametrize("role", ["reader", "receiver", "operator", "admin"])
def test_others_cannot_approve(careful: Desk, role: str) -> None:
    """Approving needs the right to publish."""
    address = _ask(careful.person("anna", "router"))
    other = careful.person("ola", role)
    assert 'id="approve"' not in other.get(address).text
    assert other.post(f"{address}/approve").status_code == 403
    assert careful.file.read_text() == TEXT


def test_it_is_declined_with_a_reason_or_withdrawn(careful: Desk) -> None:
    """A declined table is answered once, and its author sees why; the draft is kept, and can be
    asked for again, which withdraws what waited before."""
    anna, kari = careful.person("anna", "router"), careful.person("kari", "router")
    address = _ask(anna)
    assert kari.post(f"{address}/decline", {"reason": " "}).status_code == 422
    assert kari.post(f"{address}/decline", {"reason": "Gjelder eiendom"}).status_code == 303
    assert "Gjelder eiendom" in anna.get(address).text
    assert kari.post(f"{address}/approve").status_code == 409
    second = _ask(anna, {"reason": "Likevel"})
    third = _ask(anna, {"reason": "Likevel, altså"})
    assert (_state(anna.get(second)), _state(anna.get(third))) == ("withdrawn", "waiting")
    assert kari.post(f"{third}/withdraw").status_code == 409  # not hers
    assert anna.post(f"{third}/withdraw").status_code == 303
    assert kari.post(f"{third}/approve").status_code == 409
    assert careful.file.read_text() == TEXT
    assert careful.store.drafts.find("anna") is not None


def test_a_table_that_was_changed_since_is_not_overwritten(careful: Desk) -> None:
    """The machine's own edits stay in force as before, and are shown as that; what was made from
    the earlier table cannot be approved, and its author takes it over and asks again."""
    anna, kari = careful.person("anna", "router"), careful.person("kari", "router")
    address = _ask(anna)
    careful.file.write_text(TEXT + "# by hand\n")
    careful.activate()
    shown = kari.get("/routing").text
    assert 'data-testid="origin" data-source="file"' in shown
    assert "redigert på maskinen" in shown
    assert "redigert på maskinen" in kari.get("/routing/history").text
    assert 'data-testid="outdated"' in kari.get(address).text
    assert kari.post(f"{address}/approve").status_code == 409
    assert careful.file.read_text() == TEXT + "# by hand\n"
    assert anna.post("/routing/publish", {"reason": "x"}).status_code == 409
    anna.post("/routing/rebase")
    assert kari.post(f"{_ask(anna, {'reason': 'x'})}/approve").status_code == 303
    assert careful.file.read_text() == EDITED + "# by hand\n"


def test_two_who_approve_publish_once(careful: Desk) -> None:
    """Of two people who approve at the same moment one publishes; the file is replaced once."""
    address = _ask(careful.person("anna", "router"))
    people = [careful.person(name, "router") for name in ("kari", "ola")]
    start, found = Barrier(2), list[int]()

    def approve(person: Person) -> None:
        start.wait()
        found.append(person.post(f"{address}/approve").status_code)

    threads = [Thread(target=approve, args=[person]) for person in people]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == [303, 409]
    changes = [each for each in careful.store.routing_changes.page() if each.by == "anna"]
    assert len(changes) == 1


def test_a_crash_while_it_is_approved_loses_neither_name(careful: Desk) -> None:
    """If the page ends after the file was replaced, the first one to look completes the history and
    the approval; if it ended before, it still waits."""
    anna = careful.person("anna", "router")
    address = _ask(anna)
    intent = replace(_own(careful, address), approved_by="kari", reason="Ny avgift")
    careful.store.publications.begin(intent, careful.clock())
    assert _state(anna.get(address)) == "waiting"
    careful.store.publications.begin(intent, careful.clock())
    careful.file.write_text(EDITED)
    assert _state(anna.get(address)) == "approved"
    newest = careful.store.routing_changes.page(limit=1)[0]
    assert (newest.by, newest.approved_by) == ("anna", "kari")


def test_a_roll_back_waits_only_where_confidential_post_is_concerned(careful: Desk) -> None:
    """A table that was in force is back at once, because it was approved then; but who gets
    confidential post is changed by two."""
    anna, kari = careful.person("anna", "router"), careful.person("kari", "router")
    assert kari.post(f"{_ask(anna)}/approve").status_code == 303
    careful.activate()
    back = {"version": version_of(TEXT), "base": version_of(EDITED), "reason": "angre"}
    assert "notice=published" in anna.post("/routing/rollback", back).headers["location"]
    assert careful.file.read_text() == TEXT
    careful.file.write_text(SECRET)
    careful.activate()
    back = {"version": version_of(TEXT), "base": version_of(SECRET), "reason": "angre"}
    answer = anna.post("/routing/rollback", back)
    assert "notice=asked" in answer.headers["location"]
    assert careful.file.read_text() == SECRET
    address = answer.headers["location"].partition("?")[0]
    assert kari.post(f"{address}/approve").status_code == 303
    assert careful.file.read_text() == TEXT
    assert careful.store.routing_changes.page(limit=1)[0].source.value == "rollback"


def test_without_it_one_person_publishes(desk: Desk) -> None:
    """`approvals = 0`, the default, is as before, and says nothing of a second person."""
    anna = desk.person("anna", "router")
    assert "/routing/approvals" not in anna.get("/routing").text
    assert "notice=published" in anna.post("/routing/publish", EDIT).headers["location"]
    assert desk.store.routing_changes.page(limit=1)[0].approved_by is None


def test_the_log_names_the_author(careful: Desk) -> None:
    """Who approved a table is the user of the event, and who wrote it a detail."""
    anna, kari = careful.person("anna", "router"), careful.person("kari", "router")
    kari.post(f"{_ask(anna)}/approve", {})
    shown = careful.person("per", "admin").get("/admin/log?kind=routing-published")
    assert shown.status_code == 200
    assert "forfatter: anna</span>" in shown.text


@pytest.mark.parametrize("number", ["²", "9" * 20, "9" * 5000, "0", "-1"])
def test_a_number_of_nothing_is_not_found(careful: Desk, number: str) -> None:
    """Whatever stands for the number of an approval, it is refused and not an error."""
    anna = careful.person("anna", "router")
    assert anna.get(f"/routing/approvals/{number}").status_code == 404
    for action in ("approve", "decline", "withdraw"):
        assert (
            anna.post(f"/routing/approvals/{number}/{action}", {"reason": "x"}).status_code == 404
        )
    assert anna.post("/routing/try", {"approval": number}).status_code == 404
    assert anna.get(f"/routing/history?before={number}").status_code == 200
