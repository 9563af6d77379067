"""What the page about deliveries says of letters that are not for the operator's eyes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from daemon.cli.deliveries import _VERBS
from daemon.core.model import DeliveryState
from daemon.page.app import application
from daemon.page.assets import Assets
from daemon.page.deliveries.actions import ACTIONS
from daemon.page.deliveries.shown import facts
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW, TABLE, stored_letter
from tests.unit.page.conftest import Site

TITLE, NAME = "Varsel om barnevernssak", "001-barnevern.pdf"
REASON = f"the attachment {NAME} is refused by ola.nordmann@example.no"


def _add(site: Site, state: DeliveryState = DeliveryState.DEAD, **changes: Any) -> UUID:
    site.store.letters.note_table(TABLE.version, TABLE.text, NOW)
    letter = stored_letter("a", title=TITLE, **changes)
    delivery = letter.deliveries[0]
    delivery.state, delivery.last_error = state, REASON
    delivery.evidence = {"reference": f"/srv/{NAME}", "sizes": [{"name": NAME, "kept": True}, 3]}
    site.store.letters.add([letter])
    return delivery.id


def _texts(site: Site, key: UUID, *roles: str | RoleGrant) -> str:
    client = site.user("kari", *roles)
    return str(client.get("/deliveries").text + client.get(f"/deliveries/{key}").text)


@pytest.mark.parametrize(
    "changes", [{"confidential": True}, {"service": "5504/1"}], ids=["confidential", "5504/1"]
)
def test_nothing_of_a_confidential_letter_is_shown(site: Site, changes: dict[str, Any]) -> None:
    """Neither title, sender, file names nor receipt are shown, whatever rights the user has."""
    key = _add(site, **changes)
    roles = ("operator", "reader", RoleGrant(role="confidential"))
    text = _texts(site, key, *roles)
    assert "Taushetsbelagt brev" in text
    for word in (TITLE, NAME, "Skatteetaten", "ola.nordmann", 'href="/letters/'):
        assert word not in text
    assert "an attachment" in text


def test_titles_are_hidden_from_operators_where_the_configuration_says_so(site: Site) -> None:
    """With `operators_see_titles = false` only those who may open the letter see what it is."""
    key = _add(site)
    settings = site.page.settings.model_copy(update={"operators_see_titles": False})
    page = replace(site.page, settings=settings)
    strict = replace(site, page=page, app=application(page, Assets()))
    assert TITLE in _texts(site, key, "operator")
    hidden = strict.user("ola", "operator")
    text = hidden.get("/deliveries").text + hidden.get(f"/deliveries/{key}").text
    assert TITLE not in text
    assert NAME not in text
    reader = strict.user("eva", "operator", "reader")
    assert TITLE in reader.get("/deliveries").text


def test_a_receipt_is_facts() -> None:
    """Lists, groups, truth and nothing are words for people."""
    receipt: dict[str, Any] = {
        "message_id": "x",
        "files": [{"name": "a", "kept": True}, 3],
        "no": None,
        "of": {},
    }
    assert list(facts(receipt)) == [("message id", ["x"]), ("files", ["name: a, kept: yes", "3"])]


def test_the_page_does_what_the_command_line_does() -> None:
    """Each verb is for the same states in both places."""
    commands = {each.name: set(each.states) for each in _VERBS}
    assert {name: {state.value for state in each.states} for name, each in ACTIONS.items()} == (
        commands
    )


def test_markup_in_a_letter_stays_text(site: Site) -> None:
    """A title, a reason or a destination with markup runs nothing."""
    site.store.letters.note_table(TABLE.version, TABLE.text, NOW)
    letter = stored_letter("a", title="<script>alert(1)</script>")
    found = letter.deliveries[0]
    found.last_error = "bad `<img src=x onerror=alert(1)>` here"
    site.store.letters.add([letter])
    text = _texts(site, found.id, "operator")
    assert "&lt;script&gt;alert(1)" in text
    assert "<code>&lt;img" in text
    assert "<img" not in text
    assert "<script>" not in text
