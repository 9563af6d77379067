"""Somebody moves a letter to another recipient on its page: who may, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model import DeliveryState
from daemon.routing.table import parse_table
from daemon.store.users import RoleGrant
from tests.unit.conftest import stored_letter
from tests.unit.page.conftest import ROUTING, Site
from tests.unit.page.test_letters_page import keep
from tests.unit.reminding import awaited

SECRET = RoleGrant(role="confidential")


def _letter(site: Site, text: str = ROUTING, **facts: Any) -> str:
    """Store a letter for `regnskap`, and put a table in force."""
    key = keep(site, "a", **facts)
    site.clock.advance(minutes=1)
    table = parse_table(text, "routing.toml", ("erp",))
    site.store.letters.note_table(table.version, text, site.clock())
    return key


def _recipients(site: Site, key: str) -> list[str]:
    return site.store.queries.decisions(UUID(key))[-1].recipients


def test_a_router_moves_a_letter(site: Site) -> None:
    """The new recipient gets it at once, the service is woken, and the timeline and the log say who
    moved it; a recipient that the table lacks is refused."""
    key, anna = _letter(site), site.user("anna", "router")
    shown = anna.get(f"/letters/{key}").text
    assert ">Flytt brevet</button>" in shown
    assert "<option>eiendom</option>" in shown
    assert anna.post(f"/letters/{key}/route", data={"to": "ukjent"}).status_code == 400
    done = anna.post(f"/letters/{key}/route", data={"to": "eiendom"})
    assert done.headers["Location"] == f"/letters/{key}?notice=moved"
    assert _recipients(site, key) == ["eiendom"]
    waiting = site.store.queries.deliveries(message_id=UUID(key))
    assert [(each.recipients, each.state) for each in waiting][-1] == (
        ["eiendom"],
        DeliveryState.PENDING,
    )
    assert site.woken == [1]
    after = anna.get(done.headers["Location"]).text
    assert "Brevet er flyttet." in after
    assert 'data-kind="letter-moved"' in after
    (event,) = site.store.events.page(kind="letter-moved")
    assert (event.user, event.details) == ("anna", {"from": ["regnskap"], "to": "eiendom"})


@pytest.mark.parametrize(
    ("roles", "status"),
    [
        (("router",), 303),
        ((RoleGrant(role="router", recipients=("regnskap",)),), 303),
        ((RoleGrant(role="router", recipients=("eiendom",)),), 404),
        (("receiver",), 403),
        (("reader",), 403),
        (("operator",), 403),
        (("admin",), 404),
    ],
)
def test_who_may_move(site: Site, roles: tuple[str | RoleGrant, ...], status: int) -> None:
    """It needs the right to publish, for this letter; others see no button."""
    key, ola = _letter(site), site.user("ola", *roles)
    assert (">Flytt brevet</button>" in ola.get(f"/letters/{key}").text) == (status == 303)
    done = ola.post(f"/letters/{key}/route", data={"to": "eiendom"})
    assert done.status_code == status
    assert _recipients(site, key) == (["eiendom"] if status == 303 else ["regnskap"])
    if status == 303:
        assert ola.get(done.headers["Location"]).status_code == 200


def test_a_confidential_letter_moves_among_those_appointed(site: Site) -> None:
    """Only after it was opened with a reason, and only to whom a route for 5504/1 names."""
    route = '[[route]]\nname = "Taushet"\nservices = ["5504/1"]\nto = ["eiendom"]\n\n'
    text = ROUTING.replace('[[route]]\nname = "Alt', route + '[[route]]\nname = "Alt')
    key, anna = _letter(site, text, service="5504/1"), site.user("anna", "router", SECRET)
    asked = anna.post(f"/letters/{key}/route", data={"to": "eiendom"})
    assert "Hvorfor åpner du det?" in asked.text
    opened = anna.post(f"/letters/{key}/open", data={"reason": "feil mottaker"}).text
    assert "<option>eiendom</option>" in opened
    assert "<option>regnskap</option>" not in opened
    assert anna.post(f"/letters/{key}/route", data={"to": "regnskap"}).status_code == 400
    assert anna.post(f"/letters/{key}/route", data={"to": "eiendom"}).status_code == 303
    assert _recipients(site, key) == ["eiendom"]


def test_a_moved_letter_waits_as_it_did(site: Site) -> None:
    """A letter that waits for a person because its route asked for it waits for the new recipient's
    people; one that somebody has acknowledged waits no more, because nobody could end that."""
    keys, anna = [], site.user("anna", "router", "receiver")
    for name in ("a", "b"):
        letter = stored_letter(name, ("erp",))
        letter.decision.recipients = letter.decision.chosen = ["regnskap"]
        waits = awaited(letter.message.id, site.clock(), ("regnskap",))
        site.store.letters.add([replace(letter, awaited=waits)])
        keys.append(letter.message.id)
    site.clock.advance(minutes=1)
    text = ROUTING.replace(
        'deliver_to = ["erp"]', 'deliver_to = ["erp"]\nacknowledge_within = "2d"'
    )
    for table_text in (ROUTING, text):
        table = parse_table(table_text, "routing.toml", ("erp",))
        site.clock.advance(minutes=1)
        site.store.letters.note_table(table.version, table_text, site.clock())
        to = "eiendom" if table_text is ROUTING else "regnskap"
        anna.post(f"/letters/{keys[0]}/route", data={"to": to})
        row = site.store.awaited.of(keys[0])
        assert row
        assert (row.recipients, row.look_at is not None) == ([to], True)
    anna.post(f"/letters/{keys[1]}/acknowledge")
    anna.post(f"/letters/{keys[1]}/route", data={"to": "eiendom"})
    row = site.store.awaited.of(keys[1])
    assert row
    assert row.look_at is None
