"""A route is made from a letter, and dry runs of several people go on beside each other."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from daemon.page.editing import past_letters
from daemon.page.editing.past_letters import PastLetters
from daemon.page.editing.trials import TooManyTrials, Trials
from daemon.routing.dryrun import HistoricLetter
from daemon.store import ArrivalWindow
from tests.unit.conftest import table_of
from tests.unit.page.routing.conftest import Desk

FIRST, SECOND, THIRD = (
    table_of(f"""\
[[recipient]]
name = "post"
deliver_to = ["erp"]
[[recipient]]
name = "annen"
deliver_to = ["mail"]
[[route]]
name = "En"
title_contains = ["{word}"]
to = ["annen"]
[[route]]
name = "Alt annet"
to = ["post"]
""")
    for word in ("en", "to", "tre")
)


def _ticks(text: str) -> dict[tuple[str, str], int]:
    found = re.findall(r'name="(\w+)" value="([^"]*)" data-testid="tick" data-count="(\d+)"', text)
    return {(key, value): int(count) for key, value, count in found}


def test_a_route_is_made_from_a_letter(desk: Desk) -> None:
    """What the letter has is offered with how many letters have it, and what is ticked is filled
    in."""
    title = "Vedtak om byggesak 2026/123"
    key = desk.letter("a", title, sender_org="974761076", sender_name="Oslo kommune")
    desk.letter("b", "Vedtak om noe annet", sender_org="974761076")
    desk.letter("c", "Byggesak 2026/124", sender_org="991825827", sender_name="Bergen")
    desk.letter("d", "Vedtak, fortrolig", confidential=True, sender_org="974761076")
    person = desk.person("anna", "router")
    ticks = _ticks(person.get(f"/routing/new?letter={key}").text)
    assert ticks["services", "4255/8"] == 3
    assert ticks["senders", "974761076"] == 2
    assert ticks["case_numbers", "2026/123"] == 1
    assert ticks["title_contains", "vedtak"] == 2
    assert ticks["title_contains", "byggesak"] == 2
    chosen = f"letter={key}&senders=974761076&title_contains=byggesak&title_contains=vedtak"
    text = person.get(f"/routing/new?{chosen}").text
    assert re.search(r'name="senders"[^>]*>974761076</textarea>', text)
    assert re.search(r'name="title_contains"[^>]*>vedtak, byggesak</textarea>', text)


def test_what_a_route_cannot_have_is_not_offered(desk: Desk) -> None:
    """A sender whose number is none, or a title of numbers alone, is left out of the offer."""
    key = desk.letter("a", "2026 1 2", sender_org="123456789", sender_name="Ukjent")
    person = desk.person("anna", "router")
    answer = person.get(f"/routing/new?letter={key}")
    assert answer.status_code == 200
    assert set(_ticks(answer.text)) == {("services", "4255/8")}


def test_a_letter_that_may_not_be_opened_suggests_nothing(desk: Desk) -> None:
    """Only who may open a letter makes a route from it; a confidential one suggests nothing."""
    mine = desk.letter("a", "Vedtak")
    secret = desk.letter("b", "Fortrolig", confidential=True)
    limited = desk.person("anna", "router", recipients=("regnskap",))
    person = desk.person("kari", "router")
    assert limited.get(f"/routing/new?letter={mine}").status_code == 404
    assert person.get(f"/routing/new?letter={mine}").status_code == 200
    assert person.get(f"/routing/new?letter={secret}").status_code == 404
    assert person.get("/routing/new?letter=0000-ffff").status_code == 404
    assert desk.person("ola", "reader").get(f"/routing/new?letter={mine}").status_code == 403


class _Slow(PastLetters):
    """Letters that come only when they are let through."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.store)
        self.gate = threading.Event()

    def samples(self, window: ArrivalWindow, **options: Any) -> Iterator[HistoricLetter]:
        """Yield the letters, but wait before each."""
        for each in super().samples(window, **options):
            yield each
            self.gate.wait(30)


def test_a_few_dry_runs_go_on_at_a_time(desk: Desk) -> None:
    """A user's next one ends the one before; a third user's is refused until another has ended."""
    for name in "abc":
        desk.letter(name, "En to tre")
    slow = _Slow(desk)
    runs, now = Trials(slow), desk.clock()
    first = runs.start("anna", FIRST, SECOND, now)
    second = runs.start("anna", FIRST, THIRD, now)
    other = runs.start("kari", FIRST, THIRD, now)
    assert not other.wait(0.05)
    with pytest.raises(TooManyTrials):
        runs.start("ola", FIRST, SECOND, now)
    assert runs.find("anna", first.id) is None
    assert runs.find("anna", second.id) is second
    assert runs.find("kari", second.id) is None
    slow.gate.set()
    for each in (first, second, other):
        assert each.wait(30)
    assert first.outcome is None
    assert second.outcome
    assert second.outcome == other.outcome
    assert runs.start("ola", FIRST, THIRD, now).is_done


def test_only_the_newest_letters_are_tried(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many letters there are, a dry run is bounded, and says how many it has tried."""
    monkeypatch.setattr(past_letters, "MOST", 3)
    for number in range(5):
        desk.clock.advance(minutes=1)
        desk.letter(str(number), f"En {number}")
    found = Trials(PastLetters(desk.store)).start("anna", FIRST, SECOND, desk.clock())
    assert found.wait(30)
    assert found.outcome
    assert (found.outcome.letters, found.outcome.all, found.outcome.moved) == (3, 5, 3)
    newest = [str(key)[:8] for key in found.outcome.groups[0].samples]
    titles = [desk.store.queries.message(key).title for key in newest]
    assert titles == ["En 4", "En 3", "En 2"]


def test_letters_that_retention_deleted_are_no_longer_tried(desk: Desk) -> None:
    """What is kept in memory is dropped when the store no longer has it."""
    for name in "abc":
        desk.clock.advance(minutes=1)
        desk.letter(name, "En")
    letters = PastLetters(desk.store)
    assert len(list(letters.letters(letters.window(desk.clock())))) == 3
    with desk.store._database.write() as session:  # retention takes much more
        session.execute(text("PRAGMA defer_foreign_keys=ON"))
        gone = session.execute(text("SELECT id FROM messages ORDER BY fetched_at LIMIT 1")).scalar()
        for table in ("attachments", "deliveries", "decisions"):
            session.execute(text(f"DELETE FROM {table} WHERE message_id = :id"), {"id": gone})
        session.execute(text("DELETE FROM messages WHERE id = :id"), {"id": gone})
    assert len(list(letters.letters(letters.window(desk.clock())))) == 2


def test_who_waits_is_told_how_far_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long dry run is shown as running, and is asked for again until it is done."""
    for name in "abc":
        desk.letter(name, "Avgift")
    person = desk.person("anna", "router")
    slow = _Slow(desk)
    object.__setattr__(desk.site.page.workshop, "trials", Trials(slow))
    monkeypatch.setattr("daemon.page.views.routing.trying._SOON", 0.2)
    form = {"kind": "route", "row": "Skatt", "title_contains": "avgift"}
    text = person.try_out(form).text
    assert 'data-state="running"' in text
    again = re.search(r'hx-get="(/routing/try/\w+)"', text)
    assert again
    assert 'data-state="running"' in person.get(again[1]).text
    assert desk.person("kari", "router").get(again[1]).status_code == 204
    other, third = desk.person("ola", "router"), desk.person("per", "router")
    assert 'data-state="running"' in other.try_out(form).text
    busy = third.try_out(form)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "3")
    assert 'data-testid="busy"' in busy.text
    slow.gate.set()
    assert 'data-moved="3"' in person.get(again[1]).text


def test_a_dry_run_of_another_node(desk: Desk) -> None:
    """Behind one address a node may be asked for a dry run of another one: it says so, instead of
    nothing, which would be shown as running for ever."""
    desk.letter("a", "Avgift")
    person = desk.person("anna", "router")
    slow = _Slow(desk)
    object.__setattr__(desk.site.page.workshop, "trials", Trials(slow))
    text = person.try_out({"kind": "route", "row": "Skatt", "title_contains": "avgift"}).text
    again = re.search(r'hx-get="(/routing/try/\w+)"', text)
    assert again
    object.__setattr__(desk.site.page.workshop, "trials", Trials(slow))  # of another process
    asked = person.get(again[1])
    assert (asked.status_code, 'data-testid="lost"' in asked.text) == (200, True)
    assert "hx-get" not in asked.text
    slow.gate.set()
