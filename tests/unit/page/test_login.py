"""Logging in and out of the page."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon.page.guard.signed_in import COOKIE
from daemon.store.users import Actor
from tests.unit.page.conftest import Site

PASSWORD = "en lang og god setning"


@pytest.fixture
def kari(site: Site) -> Site:
    site.store.users.add(
        "kari",
        site.clock(),
        Actor(name="test"),
        password_hash=site.page.passwords.hash(PASSWORD, "kari"),
    )
    return site


def log_in(site: Site, password: str, name: str = "kari", **more: str) -> tuple[int, str]:
    answer = site.visitor().post("/login", data={"name": name, "password": password, **more})
    return answer.status_code, answer.headers.get("location", "")


@pytest.mark.parametrize(
    "path",
    ["/", "/letters", "/letters/abc", "/letters.csv", "/admin/users", "/accessibility", "/x"],
)
def test_without_a_session_everything_leads_to_the_log_in(site: Site, path: str) -> None:
    """Nothing but the log-in, the help and static files answers a stranger."""
    answer = site.visitor().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")
    assert [site.visitor().get(each).status_code for each in ("/login", "/help")] == [200, 200]


def test_a_password_begins_a_session_and_log_out_ends_it(kari: Site) -> None:
    """The cookie is for this host alone and hidden from scripts; after the log-out it is worth
    nothing."""
    answer = kari.visitor().post(
        "/login", data={"name": "Kari", "password": PASSWORD, "next": "/help"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/help")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
    session = {"Cookie": cookie.partition(";")[0]}
    visitor = kari.visitor()
    assert visitor.get("/", headers=session).status_code == 200
    assert visitor.post("/logout", headers=session).headers["location"] == "/login"
    assert visitor.get("/", headers=session).headers["location"] == "/login"


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "x"]
)
def test_the_log_in_leads_to_this_page_only(kari: Site, target: str) -> None:
    """An address of another site in the link to the log-in is not followed."""
    assert log_in(kari, PASSWORD, next=target) == (303, "/")


def test_a_wrong_password_waits_after_five(kari: Site) -> None:
    """Six wrong ones in a minute are answered with 429 and how long to wait; the right one waits
    too, and is let in when the time is over."""
    assert [log_in(kari, "wrong")[0] for _ in range(6)] == [401] * 5 + [429]
    answer = kari.visitor().post("/login", data={"name": "kari", "password": PASSWORD})
    assert answer.status_code == 429
    kari.clock.advance(seconds=int(answer.headers["Retry-After"]) + 1)
    assert log_in(kari, PASSWORD)[0] == 303


def test_unknown_and_disabled_users_are_refused_alike(kari: Site) -> None:
    """What the page says does not tell whether there is such a user."""
    kari.store.users.disable("kari", kari.clock(), Actor(name="test"))
    visitor = kari.visitor()
    answers = [
        visitor.post("/login", data={"name": name, "password": PASSWORD})
        for name in ("kari", "ola")
    ]
    assert [each.status_code for each in answers] == [401, 401]
    assert answers[0].text == answers[1].text


def test_a_link_logs_in_once(kari: Site) -> None:
    """Of many that follow a link at one moment, one is let in; five minutes later none."""
    token = kari.store.login_links.create("kari", kari.clock(), Actor(name="test"))
    visitors = [kari.visitor() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: each.get(f"/login/link/{token}").status_code, visitors))
    assert sorted(found) == [303, 403, 403, 403]
    late = kari.store.login_links.create("kari", kari.clock(), Actor(name="test"))
    kari.clock.advance(minutes=5, seconds=1)
    assert kari.visitor().get(f"/login/link/{late}").status_code == 403


def test_disabling_ends_a_session_at_once(site: Site) -> None:
    """The next click of a user who was shut out leads to the log-in."""
    ola, admin = site.user("ola", "reader"), site.user("admin", "admin")
    assert ola.get("/").status_code == 200
    assert admin.post("/admin/users/ola/disable").status_code == 303
    assert ola.get("/").status_code == 303
    assert ("user-disabled", "admin", True) in site.events()


def test_refusals_are_events(site: Site) -> None:
    """Who asks for what they may not see is in the log."""
    assert site.user("ola", "reader").get("/admin/log").status_code == 403
    assert site.events(done=False) == [("refused", "ola", False)]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"Sec-Purpose": "prefetch"}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch"}),
        ("GET", {"X-Moz": "prefetch"}),
    ],
)
def test_looking_at_a_link_does_not_use_it_up(
    kari: Site, method: str, headers: dict[str, str]
) -> None:
    """A browser that loads ahead, or a program that looks what is there, is not logged in, and the
    person who follows the link afterwards is."""
    token = kari.store.login_links.create("kari", kari.clock(), Actor(name="test"))
    answer = kari.visitor().request(method, f"/login/link/{token}", headers=headers)
    assert (answer.status_code, answer.headers.get("set-cookie")) == (503, None)
    assert kari.visitor().get(f"/login/link/{token}").status_code == 303


def test_wrong_links_are_limited_by_address(kari: Site) -> None:
    """Who guesses links does not fill the log of events, and right links work all the same."""
    found = [kari.visitor().get(f"/login/link/{each}").status_code for each in range(40)]
    for _ in range(30):
        token = kari.store.login_links.create("kari", kari.clock(), Actor(name="test"))
        assert kari.visitor().get(f"/login/link/{token}").status_code == 303
    assert found == [403] * 20 + [429] * 20
    kinds = [kind for kind, _, _ in kari.events(done=False)]
    assert kinds == ["login"] + ["login-by-link"] * 20


def test_refused_attempts_are_one_event_in_a_row(kari: Site) -> None:
    """An account that is tried too often is in the log, once, and not with every attempt."""
    for _ in range(15):
        log_in(kari, "wrong")
    events = kari.store.events.page(done=False)
    assert [each.details for each in events] == [{"why": "too many attempts"}] + [{}] * 5
    assert {each.user for each in events} == {"kari"}


def test_events_have_the_stored_name(site: Site) -> None:
    """However a name is typed, events and sessions have the one that is stored; what is no user's
    name is cut, and cannot write lines of its own."""
    hashed = site.page.passwords.hash(PASSWORD, "åse")
    site.store.users.add("åse", site.clock(), Actor(name="test"), password_hash=hashed)
    assert log_in(site, PASSWORD, " A\u030aSE ") == (303, "/")
    assert log_in(site, "wrong", "A\u030aSE")[0] == 401
    assert log_in(site, "wrong", "\x00\n" + "x" * 20_000)[0] == 401
    names = [user for _, user, _ in site.events()][:3]
    assert names == ["x" * 100, "åse", "åse"]
    assert len(site.store.sessions.of("åse", site.clock())) == 1


def test_who_is_shut_out_while_logging_in_is_refused(
    kari: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who is disabled after the password was checked gets no session and no error page."""
    verify = type(kari.page.passwords).verify

    def slow(*given: object) -> bool:
        fits = verify(*given)  # type: ignore[arg-type]  # as it was called
        kari.store.users.disable("kari", kari.clock(), Actor(name="test"))
        return fits

    monkeypatch.setattr(type(kari.page.passwords), "verify", slow)
    assert log_in(kari, PASSWORD)[0] == 401
    assert kari.events()[0] == ("login", "kari", False)
