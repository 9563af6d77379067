"""A receiver acknowledges or rejects a letter on the page: who may, and what is then shown."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from daemon.store.users import RoleGrant
from tests.unit.page.conftest import Site
from tests.unit.page.test_letters_page import RECEIVER, keep

EIENDOM = RoleGrant(role="receiver", recipients=("eiendom",))
_STATE = re.compile(r'data-testid="acknowledgement" data-state="(\w+)"')
_SECTION = re.compile(r'data-testid="acknowledgement".*?</section>', re.DOTALL)


def state(visitor: TestClient, key: str) -> str:
    found = _STATE.search(visitor.get(f"/letters/{key}").text)
    return found[1] if found else ""


def section(visitor: TestClient, address: str) -> str:
    found = _SECTION.search(visitor.get(address).text)
    return found[0] if found else ""


def timeline(visitor: TestClient, key: str) -> list[str]:
    text = visitor.get(f"/letters/{key}").text
    kinds = re.findall(r'data-testid="event" data-kind="([^"]*)"', text)
    return [each for each in kinds if each in {"letter-acknowledged", "letter-rejected"}]


def test_a_receiver_acknowledges_their_letter(site: Site) -> None:
    """State, name, time and note are shown to all who may open the letter; it is one event without
    the note, and one entry of the timeline. Twice is once."""
    key, ola = keep(site, "a"), site.user("ola", RECEIVER)
    assert state(ola, key) == "open"
    asked = section(ola, f"/letters/{key}")
    assert all(f">{word}</" in asked for word in ("Kvitter", "Avvis", "Merknad", "Hvorfor"))
    done = ola.post(f"/letters/{key}/acknowledge", data={"note": "ringer <b>dem</b>"})
    assert (done.status_code, done.headers["Location"]) == (
        303,
        f"/letters/{key}?notice=acknowledged",
    )
    moment = site.clock.now
    site.clock.advance(hours=1)
    per = site.user("per", RECEIVER)
    assert per.post(f"/letters/{key}/acknowledge", data={"note": "x"}).status_code == 303
    assert per.post(f"/letters/{key}/reject", data={"reason": "x"}).status_code == 303
    for visitor in (ola, per, site.user("leser", "reader")):
        shown = section(visitor, f"/letters/{key}")
        assert 'data-state="acknowledged"' in shown
        assert "<strong>ola</strong>" in shown
        assert moment.isoformat(timespec="seconds") in shown
        assert "ringer &lt;b&gt;dem&lt;/b&gt;" in shown
        assert "<form" not in shown
        assert timeline(visitor, key) == ["letter-acknowledged"]
    (event,) = site.store.events.page(kind="letter-acknowledged")
    assert (event.user, str(event.message_id), event.address) == ("ola", key, "testclient")
    assert "ringer" not in str(event.model_dump())
    admin = site.user("sjef", "admin").get("/admin/log").text
    assert "kvitterte for et brev" in admin


def test_a_rejection_needs_a_reason(site: Site) -> None:
    """Without one nothing is recorded and the field says so; with one it is shown, and the letter
    can still be acknowledged, but not rejected again."""
    key, ola = keep(site, "a"), site.user("ola", RECEIVER)
    for form in ({}, {"reason": " "}):
        refused = ola.post(f"/letters/{key}/reject", data=form)
        assert refused.status_code == 422
        assert "Skriv en grunn." in refused.text
    assert state(ola, key) == "open"
    done = ola.post(f"/letters/{key}/reject", data={"reason": "gjelder eiendom"})
    assert done.headers["Location"] == f"/letters/{key}?notice=rejected"
    shown = section(ola, f"/letters/{key}")
    assert 'data-state="rejected"' in shown
    assert "gjelder eiendom" in shown
    assert ">Kvitter</button>" in shown
    assert ">Avvis</button>" not in shown
    assert 'lang="en">gjelder' not in ola.get(f"/letters/{key}").text  # no foreign system said it
    ola.post(f"/letters/{key}/acknowledge")
    assert state(ola, key) == "acknowledged"
    assert timeline(ola, key) == ["letter-rejected", "letter-acknowledged"]


@pytest.mark.parametrize(
    ("roles", "status"),
    [
        ((RECEIVER,), 303),
        (("receiver",), 303),
        ((EIENDOM,), 404),
        ((RoleGrant(role="receiver", parties=("910075918",)),), 404),
        (("reader",), 403),
        (("router",), 403),
        (("operator",), 403),
        (("reader", EIENDOM), 403),
        (("admin",), 404),
        ((), 404),
    ],
)
def test_who_may_answer(site: Site, roles: tuple[str | RoleGrant, ...], status: int) -> None:
    """Only who receives for one of the letter's recipients: others see no button, a letter outside
    the grants is not found, and a missing right is refused and recorded."""
    key, ola = keep(site, "a"), site.user("ola", *roles)
    shown = section(ola, f"/letters/{key}")
    assert ("<form" in shown) == (status == 303)
    before = len(site.events(done=False))
    assert ola.post(f"/letters/{key}/reject", data={"reason": "x"}).status_code == status
    assert ola.post(f"/letters/{key}/acknowledge").status_code == status
    assert len(site.events(done=False)) - before == (2 if status == 403 else 0)
    assert bool(site.store.acknowledgements.of(UUID(key))) == (status == 303)


def test_a_confidential_letter_is_answered_after_it_was_opened(site: Site) -> None:
    """It needs the right for it, that of a receiver, and that the user has opened it with a reason;
    neither answer nor event has its title."""
    key = keep(site, "a", confidential=True, title="Hemmelig vedtak")
    secret = RoleGrant(role="confidential", recipients=("regnskap",))
    receiver, trusted = site.user("ola", RECEIVER), site.user("leser", "reader", secret)
    both = site.user("kari", RECEIVER, secret)
    for visitor in (receiver, trusted):
        assert visitor.post(f"/letters/{key}/acknowledge").status_code == 403
    asked = both.post(f"/letters/{key}/acknowledge")
    assert "Hvorfor åpner du det?" in asked.text
    assert site.store.acknowledgements.of(UUID(key)) == []
    opened = both.post(f"/letters/{key}/open", data={"reason": "saken min"}).text
    assert 'data-state="open"' in opened
    done = both.post(f"/letters/{key}/acknowledge")
    assert done.status_code == 303
    landed = both.get(done.headers["Location"]).text
    assert "Det er kvittert for brevet." in landed
    assert "Hemmelig" not in landed
    again = both.post(f"/letters/{key}/open", data={"reason": "saken min"}).text
    assert 'data-state="acknowledged"' in again
    assert "Hemmelig" not in str([each.model_dump() for each in site.store.events.page()])


def test_it_is_said_in_each_language(site: Site) -> None:
    """Buttons, fields, and who has it, in nb, nn and en."""
    key, ola = keep(site, "a"), site.user("ola", RECEIVER)
    session = ola.headers["Cookie"]
    words = {
        "nb": ("Hvem som har brevet", "Ingen har kvittert for det.", "Hvorfor"),
        "nn": ("Kven som har brevet", "Ingen har kvittert for det.", "Kvifor"),
        "en": ("Who has the letter", "Nobody has acknowledged it.", "Why"),
    }
    for language, expected in words.items():
        ola.headers["Cookie"] = f"{session}; lang={language}"
        shown = section(ola, f"/letters/{key}")
        assert all(word in shown for word in expected), language


def test_a_late_click_says_who_has_it(site: Site) -> None:
    """A rejection from a page that was opened before somebody acknowledged leads to who did."""
    key, ola = keep(site, "a"), site.user("ola", RECEIVER)
    site.user("kari", RECEIVER).post(f"/letters/{key}/acknowledge")
    late = ola.post(f"/letters/{key}/reject", data={"reason": "ikke vår"})
    assert late.headers["Location"] == f"/letters/{key}?notice=acknowledged"
    assert "<strong>kari</strong>" in section(ola, late.headers["Location"])
