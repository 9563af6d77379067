"""What guards every address: the origin of requests, the host, sizes, and the headers."""

from __future__ import annotations

import pytest

from tests.unit.page.conftest import HOME, Site

EVIL = "https://evil.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": HOME}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": EVIL}, 303),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HOME}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": HOME}, 403),
        ({"Sec-Fetch-Site": "none", "Origin": HOME}, 403),
        ({}, 403),
    ],
)
def test_changes_come_from_the_page_itself(
    site: Site, headers: dict[str, str], status: int
) -> None:
    """A POST that another site sent, or that does not say where it comes from, changes nothing."""
    ola = site.user("ola", "reader")
    del ola.headers["Origin"]
    assert ola.post("/logout", headers=headers).status_code == status
    assert (ola.get("/").status_code == 200) == (status == 403)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8770", "127.0.0.1.evil.example", ""]
)
def test_other_names_are_misdirected(site: Site, host: str) -> None:
    """A page of another name that is pointed at this address gets no answer from it."""
    assert site.visitor().get("/login", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("name", ["X-Remote-User", "Remote-User"])
def test_nobody_names_the_user_but_the_proxy(site: Site, name: str) -> None:
    """A header that names a user is an attack where no proxy is trusted."""
    assert site.visitor().get("/", headers={name: "admin"}).status_code == 400


def test_large_bodies_are_refused(site: Site) -> None:
    """A form of more than 64 kB is not read."""
    answer = site.visitor().post("/login", data={"name": "x" * 70_000})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/login", "/", "/letters", "/nothing", "/letters/abcdef", "/help"]
)
def test_every_answer_has_the_headers(site: Site, path: str) -> None:
    """No page runs what is not the page's own, is framed, or is kept by a cache."""
    for visitor in (site.visitor(), site.user("ola", "reader")):
        headers = visitor.get(path).headers
        assert "unsafe-" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
