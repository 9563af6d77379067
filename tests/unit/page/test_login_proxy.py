"""Logging in by a reverse proxy that names the user, over real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers

from benchmarks.loopback import free_port
from daemon.config.listen import Address
from daemon.config.web import WebSettings
from daemon.page.guard.proxy import visitor_address
from daemon.page.guard.signed_in import COOKIE
from daemon.store.users import Actor, RoleGrant
from daemon.web.limits import Limits
from daemon.web.server import WebServer
from tests.unit.page.conftest import Site, opened_site

SECRET = "shared with the proxy, and with nobody else"
BY = Actor(name="test")
NAMED = {"X-Remote-User": "Anna", "X-Postmottak-Proxy": SECRET}
HOST = {"Host": "post.example.no"}
Given = Mapping[str, str] | Sequence[tuple[str, str | bytes]]
ATTACKS: list[Given] = [
    [("X-Remote-User", "anna")],
    [("X-Remote-User", "anna"), ("X-Postmottak-Proxy", "")],
    [("X-Remote-User", "anna"), ("X-Postmottak-Proxy", SECRET[:-1])],
    [("X-Remote-User", "anna"), ("X-Postmottak-Proxy", SECRET + "x")],
    [("X-Remote-User", "anna"), ("X-Postmottak-Proxy", b"\xc3\xa5")],
    [("X-Remote-User", "anna"), ("X-Postmottak-Proxy", b"\xe5")],
    [("X-Remote-User", ""), ("X-Postmottak-Proxy", "wrong")],
    [("Remote-User", "anna"), ("X-Postmottak-Proxy", "wrong")],
    [*NAMED.items(), ("X-Remote-User", "anna")],
    [*NAMED.items(), ("x-remote-user", "admin")],
    [*NAMED.items(), ("X-Postmottak-Proxy", SECRET)],
    [("X-Remote-User", b"\xff"), ("X-Postmottak-Proxy", SECRET)],
]
ORIGINS = [
    ("post.example.no", "https://post.example.no", 200),
    ("post.example.no:8443", "https://post.example.no", 200),
    ("post.example.no", "http://post.example.no", 403),
    ("post.example.no:8443", "https://post.example.no:8443", 403),
    ("post.example.no", "http://127.0.0.1", 403),
    ("127.0.0.1:8770", "http://127.0.0.1:8770", 200),
    ("127.0.0.1:8770", "https://127.0.0.1:8770", 403),
    ("127.0.0.1:8770", "https://post.example.no", 403),
]


@dataclass
class Served:
    """The page on a socket, and ways to ask it."""

    site: Site
    url: str
    path: str | None = None

    def get(self, path: str, headers: Given = (), source: str = "127.0.0.1") -> httpx.Response:
        return self.ask("GET", path, headers, source)

    def ask(
        self, method: str, path: str, headers: Given = (), source: str = "127.0.0.1"
    ) -> httpx.Response:
        local = None if self.path else source
        transport = httpx.HTTPTransport(uds=self.path, local_address=local)
        with httpx.Client(transport=transport, base_url=self.url) as client:
            given = headers.items() if isinstance(headers, dict) else headers
            return client.request(method, path, headers=[*HOST.items(), *given])


@contextmanager
def served(folder: Path, listen: str, trusted: str) -> Iterator[Served]:
    (folder / "proxy.secret").write_text(SECRET, encoding="utf-8")
    settings = f"""
[web]
listen = "{listen}"
public_url = "https://post.example.no"
login = ["proxy"]
trusted_proxies = [{trusted}]
[web.proxy]
secret_file = "proxy.secret"
"""
    with opened_site(folder, settings) as site:
        site.store.users.add("anna", site.clock(), BY, grants=[RoleGrant(role="reader")])
        address, stopping = site.page.settings.listen, threading.Event()
        server = WebServer("the page", site.app, address, limits=Limits(connections=8))
        thread = threading.Thread(target=server.loop, args=(stopping, lambda: None))
        thread.start()
        path = str(address.path) if address.path else None
        found = Served(site, "http://page" if path else f"http://{listen}", path)
        try:
            ends = time.monotonic() + 30
            while not _answers(found):
                assert time.monotonic() < ends
                time.sleep(0.02)
            yield found
        finally:
            stopping.set()
            server.stop()
            thread.join()


def _answers(served: Served) -> bool:
    try:
        return served.get("/help").status_code in {200, 403}
    except httpx.TransportError:
        return False


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, f"127.0.0.1:{free_port()}", '"127.0.0.1"') as found:
        yield found


def test_the_proxy_names_the_user(port: Served) -> None:
    """With the secret, from its address, it logs users in without a cookie; and the page is served
    as one with TLS, because browsers see the proxy's."""
    answer = port.get("/letters", NAMED)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert "anna" in answer.text
    assert answer.headers["strict-transport-security"]
    assert port.get("/letters").headers["location"].startswith("/login")


def test_a_name_without_the_secret_is_refused(port: Served) -> None:
    """Who lacks the secret, or names two users, is answered with 400, at every address."""
    for headers in ATTACKS:
        assert port.get("/", headers).status_code == 400, headers
    for path in ("/", "/login", "/help", "/static/page.css", "/api/v1/deliveries"):
        assert port.get(path, ATTACKS[0]).status_code == 400


def test_a_name_from_elsewhere_is_refused(port: Served, tmp_path: Path) -> None:
    """The secret alone is not enough: the socket's address must be the proxy's, whatever headers
    say about it."""
    assert port.get("/", NAMED, source="127.0.0.2").status_code == 400
    forged = {**NAMED, "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
    assert port.get("/", forged, source="127.0.0.2").status_code == 400
    assert port.get("/help", source="127.0.0.2").status_code == 200


def test_a_unix_socket_needs_the_secret_too(tmp_path: Path) -> None:
    """Over a Unix socket no address is known; the secret is asked for all the same."""
    with served(tmp_path, f"unix:{tmp_path}/page.sock", "") as unix:
        assert unix.get("/letters", NAMED).status_code == 200
        assert unix.get("/letters", {"X-Remote-User": "anna"}).status_code == 400
        assert unix.get("/letters").status_code == 303


def test_without_encryption_others_may_not_connect(tmp_path: Path) -> None:
    """A page that other machines can reach without TLS answers its proxies only."""
    with served(tmp_path, f"0.0.0.0:{free_port()}", '"127.0.0.2"') as page:
        assert page.get("/login").status_code == 403
        assert page.get("/", NAMED).status_code == 403
        assert page.get("/", NAMED, source="127.0.0.2").status_code == 200


def test_a_user_must_be_known_here(port: Served) -> None:
    """Who is not a user, or is disabled, sees that they need a role; the log has the name, a few
    times."""
    stranger = {**NAMED, "X-Remote-User": "ola"}
    assert port.get("/", stranger).headers["location"] == "/login"
    answer = port.get("/login", stranger)
    assert answer.status_code == 403
    assert "Be dem som administrerer brukerne" in answer.text
    assert port.site.events(done=False) == [("login-by-proxy", "ola", False)]
    assert [port.get("/login", stranger).status_code for _ in range(9)] == [403] * 4 + [429] * 5
    assert len(port.site.events(done=False)) == 6
    port.site.store.users.disable("anna", port.site.clock(), BY)
    assert port.get("/letters", NAMED).headers["location"].startswith("/login")


def test_the_name_counts_more_than_a_cookie(port: Served) -> None:
    """Who the proxy names is the user, also in a browser with another's session."""
    site = port.site
    site.store.users.add("admin", site.clock(), BY, grants=[RoleGrant(role="admin")])
    token = site.store.sessions.begin("admin", "127.0.0.1", site.clock())
    headers = {**NAMED, "Cookie": f"{COOKIE}={token}"}
    assert port.get("/admin/log", headers).status_code == 403


def test_the_page_says_who_logs_out(port: Served) -> None:
    """There is no session to end, and the page says that the proxy logs in."""
    origin = {"Origin": "https://post.example.no"}
    answer = port.ask("POST", "/logout", {**NAMED, **origin})
    assert answer.status_code == 200
    assert 'data-testid="proxy"' in answer.text
    assert port.get("/login", NAMED).headers["location"] == "/"


def test_only_the_public_address_changes_something(port: Served) -> None:
    """Under the public name only a form of exactly that address is ours, not one that was loaded
    without encryption; the machine's own names have theirs."""
    with httpx.Client(base_url=port.url) as client:
        for host, origin, status in ORIGINS:
            headers = {**NAMED, "Host": host, "Origin": origin}
            assert client.post("/logout", headers=headers).status_code == status, (host, origin)


def test_events_have_the_visitors_address(port: Served) -> None:
    """Behind a proxy, the log and the limits of attempts have the visitor's address."""
    port.get("/login", {**NAMED, "X-Remote-User": "ola", "X-Forwarded-For": "203.0.113.9"})
    assert port.site.store.events.page()[0].address == "203.0.113.9"


@pytest.mark.parametrize(
    ("source", "forwarded", "address"),
    [
        ("10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "203.0.113.9, 10.0.0.6", "203.0.113.9"),
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "203.0.113.9, x", "10.0.0.5"),
        ("10.0.0.5", "10.0.0.6", "10.0.0.6"),
        ("::ffff:10.0.0.5", "2001:db8::1", "2001:db8::1"),
        ("10.0.1.5", "203.0.113.9", "10.0.1.5"),
    ],
)
def test_only_proxies_say_where_visitors_are(source: str, forwarded: str, address: str) -> None:
    """The last address that no proxy has is the visitor's; a stranger's header says nothing."""
    settings = WebSettings(
        listen=Address(host="10.0.0.1", port=8770), trusted_proxies=("10.0.0.0/24",)
    )
    headers = Headers({"X-Forwarded-For": forwarded})
    assert visitor_address(settings, headers, (source, 1)) == address
