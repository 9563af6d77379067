"""Users and the log of events on the page."""

from __future__ import annotations

import re

import pytest

from daemon.core.accounts import EventKind
from daemon.page.views.admin import DETAILS, EVENTS
from daemon.store import acknowledgements, deadlines
from daemon.store.calendars import MADE, REVOKED
from daemon.store.handovers import HANDED_OVER
from daemon.store.users import RoleGrant
from tests.unit.page.conftest import Site

PARTY = "974761076"


def _entries(text: str) -> list[tuple[str, str]]:
    return re.findall(r'data-testid="log-entry" data-kind="([^"]+)" data-done="(\w+)"', text)


@pytest.mark.parametrize("role", ["reader", "receiver", "router", "operator"])
def test_only_administrators_are_let_in(site: Site, role: str) -> None:
    """Others get 403, and nobody is shut out or logged out by them."""
    site.user("anna", "admin")
    ola = site.user("ola", role)
    paths = ("/admin/users/anna/disable", "/admin/users/anna/end-sessions")
    answers = [ola.get("/admin/users"), ola.get("/admin/log"), *map(ola.post, paths)]
    assert [each.status_code for each in answers] == [403] * 4
    assert site.store.sessions.of("anna", site.clock())
    assert len(site.events(kind="refused")) == 4


def test_users_are_shown_with_roles_limits_and_sessions(site: Site) -> None:
    """An administrator sees who may do what, and from where they are logged in."""
    kari = site.user("kari", "admin")
    site.user("ola", RoleGrant(role="operator", parties=(PARTY,)), RoleGrant(role="confidential"))
    text = kari.get("/admin/users").text
    (row,) = re.findall(r'data-testid="account" data-name="ola".*?</tr>', text, re.DOTALL)
    assert f"driftsansvarlig (bare for {PARTY}), kan åpne taushetsbelagte brev" in " ".join(
        row.split()
    )
    assert row.count('data-testid="session"') == 1


def test_shutting_out_and_ending_sessions_work_at_the_next_click(site: Site) -> None:
    """The other's session ends at once, and the log says who did it."""
    kari, ola = site.user("kari", "admin"), site.user("ola", "operator")
    assert ola.get("/deliveries").status_code == 200
    assert kari.post("/admin/users/ola/end-sessions").status_code == 303
    assert ola.get("/deliveries").headers["location"].startswith("/login")
    again = site.visitor("ola")
    assert kari.post("/admin/users/ola/disable").status_code == 303
    assert again.get("/deliveries").headers["location"].startswith("/login")
    assert kari.post("/admin/users/ola/enable").status_code == 303
    kinds = [kind for kind, user, done in site.events(user="kari") if done]
    assert kinds[:3] == ["user-enabled", "user-disabled", "sessions-ended"]


@pytest.mark.parametrize("name", ["kari", "KARI", "nobody"])
def test_nobody_shuts_themselves_out(site: Site, name: str) -> None:
    """The last administrator stays; a user that is not there is 404."""
    kari = site.user("kari", "admin")
    answer = kari.post(f"/admin/users/{name}/disable")
    assert answer.status_code == (404 if name == "nobody" else 400)
    assert kari.get("/admin/users").status_code == 200


def test_the_log_can_be_narrowed_and_goes_back(site: Site) -> None:
    """By kind, user and result, and page by page with the same choice."""
    kari, ola = site.user("kari", "admin"), site.user("ola", "reader")
    for _ in range(101):
        ola.get("/deliveries")
    assert (
        _entries(kari.get("/admin/log?user=ola&result=refused").text)
        == [("refused", "false")] * 100
    )
    page = kari.get("/admin/log?user=ola&result=refused").text
    (older,) = re.findall(r'href="([^"]+)" rel="next"', page)
    assert _entries(kari.get(older.replace("&amp;", "&")).text) == [("refused", "false")]
    assert set(_entries(kari.get("/admin/log?kind=user-added").text)) == {("user-added", "true")}
    assert "styre leveringer" in page


@pytest.mark.parametrize("before", ["x", "-1", "²", "9" * 5000, "1e3"])
def test_an_address_changed_by_hand_is_no_error(site: Site, before: str) -> None:
    """What is no number begins at the newest event."""
    kari = site.user("kari", "admin")
    answer = kari.get("/admin/log", params={"before": before})
    assert answer.status_code == 200
    assert _entries(answer.text)


def test_every_kind_of_event_has_words(site: Site) -> None:
    """The log speaks the visitor's language, also of every detail that it shows."""
    kinds = {*EventKind, *acknowledgements.EVENTS.values(), *deadlines.EVENTS.values()}
    assert kinds | {MADE, REVOKED, HANDED_OVER} <= set(EVENTS)
    details = dict.fromkeys(DETAILS, "x")
    site.store.events.add(site.clock(), kind="handed-over", user="kari", details=details)
    answer = site.user("kari", "admin").get("/admin/log")
    assert answer.status_code == 200
    assert answer.text.count(": x</span>") == len(DETAILS)
