"""Deliveries on the page: who sees which, what a change does, and what it asks first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from daemon.core.errors import StoreError
from daemon.core.model import Delivery, DeliveryState
from daemon.store import Outbox
from daemon.store.users import RoleGrant
from tests.unit.claiming import ENDS, claim_one, delivery_of
from tests.unit.conftest import NOW, TABLE, stored_letter
from tests.unit.page.conftest import Site

OTHER = "910075918"
MANY = 1000
ACTIONS = ("retry", "hold", "release", "resend")


@pytest.fixture(name="site")
def site_with_table(site: Site) -> Site:
    """The page, with the table that `stored_letter` names."""
    site.store.letters.note_table(TABLE.version, TABLE.text, NOW)
    return site


def _add(site: Site, name: str, state: DeliveryState | None = None, **changes: Any) -> UUID:
    letter = stored_letter(name, title=f"Tittel {name}", **changes)
    if state:
        letter.deliveries[0].state = state
    site.store.letters.add([letter])
    return letter.deliveries[0].id


def _listed(site: Site, **wanted: Any) -> set[UUID]:
    """What `deliveries list --json` lists."""
    found = site.store.search.deliveries(
        **{"state": None, "destination": None, "limit": 10_000, **wanted}
    )
    return {each.id for each in found}


def _rows(text: str) -> list[str]:
    return re.findall(r'<tr data-testid="delivery" data-id="([^"]+)"', text)


def _facets(text: str) -> dict[tuple[str, str], int]:
    found = re.findall(r'data-facet="(\w+)" data-value="([^"]+)" data-count="(\d+)"', text)
    return {(facet, value): int(count) for facet, value, count in found}


def _total(text: str) -> int:
    found = re.search(r'data-testid="total" data-count="(\d+)"', text)
    assert found
    return int(found[1])


def _flash(text: str) -> str:
    found = re.search(r'data-testid="flash"[^>]*>(.*?)</div>', text, re.DOTALL)
    assert found
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[1])).split())


def _post(client: TestClient, form: dict[str, Any]) -> str:
    """Answer the question with yes, and return the page after it."""
    asked = client.post("/deliveries/actions", data=form)
    assert asked.status_code == 200, asked.text
    hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text)
    answered: dict[str, Any] = {"action": form["action"]}
    for name, value in hidden:
        if name != "next":
            answered.setdefault(name, []).append(value)
    done = client.post("/deliveries/actions", data=answered)
    assert done.status_code == 303, done.text
    return str(client.get(done.headers["location"]).text)


def test_the_list_has_every_delivery_and_counts_them(site: Site) -> None:
    """Pages together have what the command line lists; a count is the length of its list."""
    for number in range(60):
        _add(site, f"l{number}", DeliveryState.DEAD if number % 2 else None)
    held = _add(site, "held", DeliveryState.HELD, destinations=("mail",))
    kari = site.user("kari", "operator")
    first = kari.get("/deliveries").text
    (link,) = re.findall(r'href="([^"]+)" rel="next"', first)
    second = kari.get(unescape(link)).text
    assert [len(_rows(each)) for each in (first, second)] == [50, 11]
    assert {UUID(each) for each in _rows(first) + _rows(second)} == _listed(site)
    assert _total(first) == 61
    facets = _facets(first)
    for (facet, value), count in facets.items():
        assert _total(kari.get(f"/deliveries?{facet}={value}").text) == count
    dead_at_mail = kari.get("/deliveries?state=dead&destination=mail").text
    assert _facets(dead_at_mail)["destination", "mail"] == 0
    assert re.search(r'value="mail" checked', dead_at_mail)
    assert _rows(kari.get("/deliveries?destination=mail").text) == [str(held)]


def test_what_is_no_state_is_refused(site: Site) -> None:
    """A state that was misspelt in an address is never a list of everything."""
    kari = site.user("kari", "operator")
    assert kari.get("/deliveries?state=deaad").status_code == 400
    form = {"action": "retry", "all": "1", "state": "deaad"}
    assert kari.post("/deliveries/actions", data=form).status_code == 400


@pytest.mark.parametrize("role", ["reader", "receiver", "router", "admin"])
def test_only_operators_are_let_in(site: Site, role: str) -> None:
    """Others get 403, which the log of events has, and change nothing."""
    key = _add(site, "a", DeliveryState.DEAD)
    ola = site.user("ola", role)
    answers = [
        ola.get("/deliveries"),
        ola.get(f"/deliveries/{key}"),
        ola.get("/service"),
        ola.post("/deliveries/actions", data={"action": "retry", "id": str(key), "confirmed": "1"}),
    ]
    assert [each.status_code for each in answers] == [403] * 4
    assert site.events(kind="refused") == [("refused", "ola", False)] * 4
    assert site.store.queries.delivery_by_id(key).state == DeliveryState.DEAD


@pytest.mark.parametrize(
    "limit",
    [RoleGrant(role="operator", parties=(OTHER,)), RoleGrant(role="operator", recipients=("x",))],
)
def test_an_operator_with_limits_sees_and_changes_only_what_is_within(
    site: Site, limit: RoleGrant
) -> None:
    """What belongs to others is in no list, no count and no change, and looks like nothing."""
    foreign = _add(site, "a", DeliveryState.DEAD)
    letter = stored_letter("b", party=OTHER)
    letter.deliveries[0].state, letter.deliveries[0].recipients = DeliveryState.DEAD, ["x"]
    site.store.letters.add([letter])
    mine = letter.deliveries[0].id
    ola = site.user("ola", limit)
    page = ola.get("/deliveries?state=dead").text
    assert _rows(page) == [str(mine)]
    assert _total(page) == 1
    assert _facets(page)["state", "dead"] == 1
    assert ola.get(f"/deliveries/{foreign}").status_code == 404
    assert ola.get(f"/deliveries/{mine}").status_code == 200
    unknown = UUID(int=1)
    answers = []
    for key in (foreign, unknown):
        form = {"action": "retry", "id": [str(mine), str(key)], "confirmed": "2"}
        answer = ola.post("/deliveries/actions", data=form)
        answers.append(_flash(ola.get(answer.headers["location"]).text))
        site.store.outbox.hold([mine])
        site.store.outbox.release([mine], NOW)
    assert answers[0] == answers[1]
    _post(ola, {"action": "retry", "all": "1", "state": ""})
    assert site.store.queries.delivery_by_id(foreign).state == DeliveryState.DEAD


def test_select_all_that_match_is_done_to_all_and_said(site: Site) -> None:
    """A thousand dead deliveries are retried by one answer; the one that changed meanwhile is
    named, the service is woken, and the log of events says how many."""
    letters = [stored_letter(f"l{number}") for number in range(MANY)]
    for each in letters:
        each.deliveries[0].state = DeliveryState.DEAD
    site.store.letters.add(letters)
    stays = _add(site, "waits")
    changed = letters[500].deliveries[0].id
    kari = site.user("kari", "operator")
    page = kari.get("/deliveries?state=dead").text
    assert _total(page) == MANY
    retry = Outbox.retry

    def and_meanwhile(outbox: Outbox, ids: Sequence[UUID], now: Any) -> int:
        if changed in ids and site.store.queries.delivery_by_id(changed).state == "dead":
            _withdraw(site, changed)
        return retry(outbox, ids, now)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Outbox, "retry", and_meanwhile)
        after = _post(kari, {"action": "retry", "all": "1", "state": "dead"})
    assert _flash(after).startswith(f"{MANY - 1} leveringer prøves nå. 1 ble latt være")
    assert re.findall(r'data-testid="left" data-id="([^"]+)"', after) == [str(changed)]
    due = {each.deliveries[0].id for each in letters} - {changed}
    assert _listed(site, state=DeliveryState.PENDING) == due | {stays}
    assert site.woken == [1]
    (event,) = site.store.events.page(kind="deliveries-retried")
    assert event.details == {"count": MANY - 1, "left": 1, "state": "dead", "destination": ""}


def _withdraw(site: Site, key: UUID) -> None:
    with site.store.queries._database.write() as session:
        found = session.get(Delivery, key)
        assert found
        found.state = DeliveryState.WITHDRAWN


@pytest.mark.parametrize(
    ("action", "before", "after", "event", "woken"),
    [
        ("retry", DeliveryState.DEAD, DeliveryState.PENDING, "deliveries-retried", [1]),
        ("hold", DeliveryState.PENDING, DeliveryState.HELD, "deliveries-held", []),
        ("release", DeliveryState.HELD, DeliveryState.PENDING, "deliveries-released", [1]),
    ],
)
def test_ticked_ones_change_and_no_others(
    site: Site, action: str, before: DeliveryState, after: DeliveryState, event: str, woken: Any
) -> None:
    """The command line then lists exactly these in the new state; nothing is done on the question
    alone."""
    ticked, other = _add(site, "a", before), _add(site, "b", before)
    kari = site.user("kari", "operator")
    question = kari.post("/deliveries/actions", data={"action": action, "id": str(ticked)})
    assert re.search(r'data-testid="question" data-count="1"', question.text)
    assert _listed(site, state=before) == {ticked, other}
    assert site.woken == []
    _post(kari, {"action": action, "id": str(ticked), "state": before})
    assert _listed(site, state=after) == {ticked}
    assert _listed(site, state=before) == {other}
    assert site.woken == woken
    (noted,) = site.store.events.page(kind=event)
    letter = site.store.queries.delivery_by_id(ticked).message_id
    assert (noted.user, noted.message_id, noted.about) == ("kari", letter, "erp")
    assert noted.details == {"count": 1, "left": 0, "ids": [str(ticked)]}


def test_sending_again_warns_and_makes_the_next_generation(site: Site) -> None:
    """What was delivered is sent as new; the question says that it is there twice then."""
    _add(site, "a")
    ENDS["delivered"](site.store.outbox, claim_one(site.store))
    old = delivery_of("a")
    kari = site.user("kari", "operator")
    question = kari.post("/deliveries/actions", data={"action": "resend", "id": str(old)})
    assert "Mottakeren får hver som et nytt brev" in question.text
    _post(kari, {"action": "resend", "id": str(old), "on": "one"})
    states = {(each.generation, each.state) for each in site.store.queries.deliveries()}
    assert states == {(1, DeliveryState.DELIVERED), (2, DeliveryState.PENDING)}


def test_an_answer_sends_no_more_again_than_were_asked_about(site: Site) -> None:
    """What came after the question is not sent twice by its answer: it is asked again."""
    _add(site, "a", DeliveryState.DEAD)
    kari = site.user("kari", "operator")
    _add(site, "b", DeliveryState.DEAD)
    form = {"action": "resend", "all": "1", "state": "dead", "confirmed": "1"}
    again = kari.post("/deliveries/actions", data=form)
    assert re.search(r'data-testid="question" data-count="2"', again.text)
    assert len(_listed(site)) == 2


def test_one_that_changed_since_the_list_is_named(site: Site) -> None:
    """Of three that were ticked, one was held meanwhile: two are retried, one is named."""
    keys = [_add(site, name, DeliveryState.DEAD) for name in ("a", "b", "c")]
    kari = site.user("kari", "operator")
    form = {"action": "retry", "id": list(map(str, keys)), "state": "dead"}
    site.store.outbox.retry(keys[1:2], NOW)
    site.store.outbox.hold(keys[1:2])
    after = _post(kari, form)
    assert _flash(after).startswith("2 leveringer prøves nå. 1 ble latt være")
    assert re.findall(r'data-testid="left" data-id="([^"]+)"', after) == [str(keys[1])]
    assert _listed(site, state=DeliveryState.HELD) == {keys[1]}


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_is_done_where_nothing_is_ticked(site: Site, action: str) -> None:
    """No tick is never taken for all."""
    key = _add(site, "a", DeliveryState.DEAD)
    kari = site.user("kari", "operator")
    answer = kari.post("/deliveries/actions", data={"action": action, "confirmed": "1"})
    assert "Ingenting var valgt" in _flash(kari.get(answer.headers["location"]).text)
    assert site.store.queries.delivery_by_id(key).state == DeliveryState.DEAD
    assert [kind for kind, _, _ in site.events() if kind.startswith("deliveries")] == []


@pytest.mark.parametrize(
    "form",
    [{"action": "delete", "id": "x"}, {"action": "retry", "id": "x"}, {"id": str(UUID(int=1))}],
)
def test_what_the_page_never_sends_is_refused(site: Site, form: dict[str, str]) -> None:
    """An unknown action or id is 400."""
    assert site.user("kari", "operator").post("/deliveries/actions", data=form).status_code == 400


def test_what_was_done_is_on_record_when_the_store_fails_in_the_middle(site: Site) -> None:
    """The event says how many were changed before the failure."""
    letters = [stored_letter(f"l{number}") for number in range(150)]
    for each in letters:
        each.deliveries[0].state = DeliveryState.DEAD
    site.store.letters.add(letters)
    kari = site.user("kari", "operator")
    retry, calls = Outbox.retry, []

    def fails_then(outbox: Outbox, ids: Sequence[UUID], now: Any) -> int:
        calls.append(len(ids))
        if len(calls) > 1:
            raise StoreError("the disk is gone")
        return retry(outbox, ids, now)

    form = {"action": "retry", "all": "1", "state": "dead", "confirmed": "150"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Outbox, "retry", fails_then)
        assert kari.post("/deliveries/actions", data=form).status_code == 500
    (event,) = site.store.events.page(kind="deliveries-retried")
    assert event.details["count"] == 100
    assert len(_listed(site, state=DeliveryState.PENDING)) == 100


def test_one_delivery_shows_every_attempt_and_its_receipt(site: Site) -> None:
    """The page has each attempt with its reason, and the receipt in words, not as Python has it."""
    _add(site, "a")
    for end, later in (("deferred", 0), ("delivered", 2)):
        claim = site.store.outbox.claim("me", site.clock.advance(hours=later), NOW - NOW, 1)
        ENDS[end](site.store.outbox, claim[0])
    kari = site.user("kari", "operator")
    text = kari.get(f"/deliveries/{str(delivery_of('a'))[:8]}").text
    assert re.findall(r'data-outcome="(\w+)"', text) == ["deferred", "delivered"]
    assert '<span lang="en">nobody is at home</span>' in text
    receipt = text[text.index('data-testid="receipt"') :]
    assert "/srv/erp/x" in receipt
    assert not re.search(r"[\[\]{}]|&#39;|None", receipt[: receipt.index("</dl>")])
    assert "/letters/" not in text


def test_a_reader_who_operates_gets_a_link_to_the_letter(site: Site) -> None:
    """Who may open the letter gets there from its delivery."""
    key = _add(site, "a")
    letter = site.store.queries.delivery_by_id(key).message_id
    text = site.user("kari", "operator", "reader").get(f"/deliveries/{key}").text
    assert f'href="/letters/{letter}"' in text


@pytest.mark.parametrize("name", ["nope", "00000000", str(UUID(int=1)), "a" * 500])
def test_an_unknown_delivery_is_not_there(site: Site, name: str) -> None:
    """404, whatever the name looks like."""
    assert site.user("kari", "operator").get(f"/deliveries/{name}").status_code == 404
