"""The user's own page: roles, sessions and password; and how often a session may ask."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

from daemon.page.guard import request_rate
from daemon.page.guard.signed_in import COOKIE
from daemon.store.users import Actor, RoleGrant
from tests.unit.page.conftest import Site

OLD, NEW = "en lang og god setning", "fire ord uten mening"
SESSION = re.compile(r'name="session" value="([0-9a-f]{64})"')


@pytest.fixture
def kari(site: Site) -> TestClient:
    client = site.user("kari", RoleGrant(role="receiver", recipients=("regnskap",)), "confidential")
    hashed = site.page.passwords.hash(OLD, "kari")
    site.store.users.set_password_hash("kari", hashed, site.clock(), Actor(name="test"))
    return again(site, client)


def again(site: Site, client: TestClient) -> TestClient:
    token = site.store.sessions.begin("kari", "10.0.0.7", site.clock())
    client.headers["Cookie"] = f"{COOKIE}={token}; lang=en"
    return client


def change(
    client: TestClient, old: str = OLD, new: str = NEW, repeated: str = ""
) -> tuple[int, str]:
    answer = client.post("/my/password", data={"old": old, "new": new, "again": repeated or new})
    found = re.search(r'data-key="password">([^<]*)', answer.text)
    return answer.status_code, found[1] if found else ""


def test_roles_and_limits_are_in_words(site: Site, kari: TestClient) -> None:
    """A user sees what they may do, and for which letters; the name in the header leads there."""
    text = kari.get("/my").text
    assert 'href="/my" data-testid="user" aria-current="page">kari</a>' in text
    assert "acknowledge letters" in text
    assert "only letters for the recipients regnskap" in text
    assert "open confidential letters" in text
    assert "Du har ingen rolle" in site.user("ola").get("/my").text


def test_a_session_elsewhere_can_be_ended(site: Site, kari: TestClient) -> None:
    """Each of the user's other sessions has a button, which ends that one; the one of this browser
    and those of others stay."""
    ola = site.user("ola", "reader")
    elsewhere = []
    for _ in range(3):
        site.clock.advance(seconds=1)
        elsewhere.append(site.visitor("kari"))
    ids = SESSION.findall(kari.get("/my").text)
    assert len(ids) == 3
    assert kari.post("/my/sessions/end", data={"session": ids[0]}).status_code == 303
    assert [each.get("/").status_code for each in elsewhere] == [200, 200, 303]
    assert site.events()[0] == ("sessions-ended", "kari", True)
    assert kari.post("/my/sessions/end-others").status_code == 303
    assert [each.get("/").status_code for each in elsewhere] == [303, 303, 303]
    assert (kari.get("/my").status_code, ola.get("/").status_code) == (200, 200)
    assert SESSION.findall(kari.get("/my").text) == []


def test_nobody_ends_the_session_of_another(site: Site, kari: TestClient) -> None:
    """The id of another user's session ends nothing, and is no event."""
    ola = site.user("ola", "admin")
    found = site.store.sessions.of("ola", site.clock())[0]
    before = site.events()
    assert kari.post("/my/sessions/end", data={"session": found.id}).status_code == 303
    assert ola.get("/").status_code == 200
    assert site.events() == before


def test_the_password_is_changed_with_the_old_one(site: Site, kari: TestClient) -> None:
    """Then the other sessions end, this browser gets a new one, and the new password logs in."""
    elsewhere = site.visitor("kari")
    answer = kari.post("/my/password", data={"old": OLD, "new": NEW, "again": NEW})
    assert answer.headers["location"] == "/my?notice=saved"
    assert elsewhere.get("/").status_code == 303
    assert kari.get("/").status_code == 303, "the old cookie is worth nothing"
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert kari.get("/", headers={"Cookie": cookie}).status_code == 200
    form = {"name": "kari", "password": NEW}
    assert site.visitor().post("/login", data=form).status_code == 303
    assert ("password-set", "kari", True) in site.events()


def test_a_password_that_is_not_good_enough_is_refused(site: Site, kari: TestClient) -> None:
    """The page says what is wrong, in the visitor's language; nothing has changed."""
    assert change(kari, new="kort") == (
        422,
        "The new password is too short. Use at least 12 characters.",
    )
    assert change(kari, new="Sommer2026!!!")[1].startswith("The new password is easy to guess.")
    assert change(kari, repeated="et annet passord") == (422, "The two new passwords differ.")
    assert kari.get("/").status_code == 200
    assert ("password-set", "kari", True) not in site.events(user="kari")


def test_the_old_password_cannot_be_guessed(site: Site, kari: TestClient) -> None:
    """Who finds an open browser has five guesses a minute, and each is an event."""
    assert [change(kari, old="feil passord")[0] for _ in range(8)] == [403] * 5 + [429] * 3
    assert change(kari)[0] == 429
    kinds = [kind for kind, _, _ in site.events(done=False)]
    assert kinds == ["refused", *["password-set"] * 5]


def test_without_a_password_there_is_none_to_change(site: Site) -> None:
    """Who logs in otherwise has no form for a password, and cannot set one."""
    ola = site.user("ola", "reader")
    assert 'name="old"' not in ola.get("/my").text
    assert change(ola, old="")[0] == 403
    assert site.store.users.get("ola").password_hash is None


def test_a_session_has_so_many_requests_a_minute(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser that runs wild waits, which is one event, and others do not."""
    monkeypatch.setattr(request_rate, "A_MINUTE", 60)
    ola, per = site.user("ola", "reader"), site.user("per", "reader")
    found = [ola.get("/help").status_code for _ in range(62)]
    assert found == [200] * 60 + [429] * 2
    answer = ola.get("/help")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert 'data-status="429"' in answer.text
    assert [each for each in site.events() if not each[2]] == [("refused", "ola", False)]
    assert (per.get("/help").status_code, site.visitor("ola").get("/help").status_code) == (
        200,
        200,
    )
    site.clock.advance(seconds=5)
    assert [ola.get("/help").status_code for _ in range(6)] == [200] * 5 + [429]


def test_what_takes_long_counts_twice_and_what_people_do_is_never_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search, a file and a change cost more than a page; styles and scripts cost nothing. A
    search for each letter typed, four in a second, and a page after each are within the limit."""
    assert request_rate.A_MINUTE >= 60 * 4 * (2 + 1)
    monkeypatch.setattr(request_rate, "A_MINUTE", 8)
    ola = site.user("ola", "reader")
    style = re.search(r'href="(/static/[^"]+page\.css)"', ola.get("/help").text)
    assert style
    assert [ola.get(style[1]).status_code for _ in range(20)] == [200] * 20
    asked = [ola.get("/letters?q=sak"), ola.get("/letters.csv"), ola.get("/letters?q=")]
    assert [each.status_code for each in asked] == [200] * 3
    assert ola.get("/help").status_code == 200
    assert ola.post("/login/preferences", data={"lang": "nn"}).status_code == 429
