"""No address is called that the owner table does not allow, and no token goes anywhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import ValidationError

from connectors.dialogporten.addresses import why_not
from connectors.dialogporten.owners import KNOWN_OWNERS, OwnerRule, rule_of
from connectors.net.http_client import Download
from connectors.net.http_response import HttpResponse
from connectors.sandbox.dialogs import DialogFile, PretendAddress, PretendTransmission
from daemon.core.errors import PartUnavailable
from daemon.core.model import PartState
from tests.connectors.dialog_post import (
    SCOPE,
    DialogPost,
    new_post,  # noqa: F401  # a fixture
)

RULE = OwnerRule(hosts=("fil.nav.no",), scope="nav:fil")


def outside(_: str) -> list[str]:
    return ["193.213.1.1", "2a01:1::1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://fil.nav.no/1",
        "https://fil.nav.no:8443/1",
        "https://user@fil.nav.no/1",
        "https://fil.nav.no.evil.example/1",
        "https://evil.example/1",
        "https://evil.example/?https://fil.nav.no/1",
        "https://127.0.0.1/1",
        "https://[::1]/1",
        "https://localhost/1",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/1",
        "https://fil.nav.no@evil.example/1",
        "file:///etc/passwd",
        "ftp://fil.nav.no/1",
        "gopher://fil.nav.no/1",
        "urn:dialogporten:expired",
        "urn:dialogporten:unauthorized",
        "javascript:alert(1)",
        "//fil.nav.no/1",
        "https://fil.nav.no:port/1",
        "https://[fil.nav.no/1",
        "",
    ],
)
def test_an_address_that_is_not_listed_is_refused(url: str) -> None:
    """The reason is said, and nothing is resolved for it."""

    def never(host: str) -> list[str]:
        raise AssertionError(host)

    assert why_not(url, RULE, never)


@pytest.mark.parametrize(
    "found",
    [["127.0.0.1"], ["10.1.2.3"], ["169.254.1.1"], ["::1"], ["fe80::1%eth0"], ["fd00::1"], []],
)
def test_a_listed_name_that_leads_inside_is_refused(found: list[str]) -> None:
    """Loopback, link-local and private addresses are refused, whatever name leads there."""
    assert why_not("https://fil.nav.no/1", RULE, lambda _: ["193.213.1.1", *found] if found else [])


def test_an_address_that_is_listed_is_allowed() -> None:
    """A server of the owner, over https, outside."""
    for url in ("https://fil.nav.no/1?sig=a", "https://FIL.nav.no:443/1"):
        assert why_not(url, RULE, outside) == ""


@pytest.mark.parametrize(
    "host",
    [
        "https://fil.nav.no",
        "10.0.0.1",
        "127.0.0.1",
        "localhost",
        "[::1]",
        "fil.nav.no/x",
        "*.nav no",
    ],
)
def test_a_host_that_cannot_be_listed(host: str) -> None:
    """Hosts are names, so that no rule can lead inside by accident."""
    with pytest.raises(ValidationError):
        OwnerRule(hosts=(host,))


def test_defaults_are_careful() -> None:
    """No owner is opened by default, and an unknown one gets no call at all."""
    rules = [*KNOWN_OWNERS.values(), rule_of({}, "ukjent")]
    assert all(each.seen == "never" and not each.scope for each in rules)
    assert rule_of({}, "ukjent").hosts == ()
    with pytest.raises(ValidationError, match="scope without hosts"):
        OwnerRule(scope="nav:fil")


class Trap:
    """A server on loopback, by both kinds of address, that nobody should ever call."""

    def __init__(self) -> None:
        self.caught: list[str] = []
        trap = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                trap.caught.append(f"{self.path} {self.headers.get('Authorization')}")
                self.send_response(200)
                self.end_headers()

        class Server6(HTTPServer):
            address_family = socket.AF_INET6

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.servers = [self.server]
        with suppress(OSError):  # where there is no IPv6
            self.servers.append(Server6(("::1", self.port), Handler))
        self.url = f"http://127.0.0.1:{self.port}"


@pytest.fixture
def trap() -> Iterator[Trap]:
    made = Trap()
    threads = [
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02})
        for each in made.servers
    ]
    for each in threads:
        each.start()
    yield made
    for server in made.servers:
        server.shutdown()
        server.server_close()
    for each in threads:
        each.join()


TRAPS = {
    "http://127.0.0.1:{port}/x": "not https",
    "https://127.0.0.1:{port}/x": "has the port",
    "https://127.0.0.1/x": "not in `hosts`",
    "http://localhost:{port}/x": "not https",
    "https://localhost/x": "not in `hosts`",
    "http://[::1]:{port}/x": "not https",
    "http://[::ffff:127.0.0.1]:{port}/x": "not https",
    "http://2130706433:{port}/x": "not https",
    "http://127.1:{port}/x": "not https",
    "http://0.0.0.0:{port}/x": "not https",
    "{owner}@127.0.0.1:{port}/x": "a user name",
    "https://169.254.169.254/latest/meta-data": "not in `hosts`",
    "https://[fe80::1]/x": "not in `hosts`",
    "https://10.0.0.1/x": "not in `hosts`",
    "https://192.168.1.1/x": "not in `hosts`",
    "https://[fd00::1]/x": "not in `hosts`",
    "https://fil.fremmed.no/x": "not in `hosts`",
    "https://inside.nav.no/x": "within a private network",
    "https://linklocal.nav.no/x": "within a private network",
    "https://self.nav.no/x": "within a private network",
    "https://self.nav.no:{port}/x": "has the port",
    "http://self.nav.no/x": "not https",
    "ftp://self.nav.no/x": "not https",
    "file:///etc/passwd": "not https",
    "gopher://127.0.0.1:{port}/x": "not https",
    "urn:dialogporten:unauthorized": "withholds it",
}
"""Addresses in a dialog, and a part of the reason why each is refused."""
INSIDE = {
    "inside.nav.no": "10.0.0.1",
    "linklocal.nav.no": "169.254.1.1",
    "self.nav.no": "127.0.0.1",
}


def test_nothing_reaches_a_foreign_host(post: DialogPost, trap: Trap) -> None:
    """Addresses that lead to this machine or network, to other ports, by other schemes or to hosts
    that are not listed, are not called, neither by fetching nor by opening, and no token is sent
    there; nor does a redirect of the owner lead there. Each is refused with its reason."""
    rule = {"hosts": [post.owner.url, *INSIDE], "scope": SCOPE}
    mailbox, called = post.open(owners={"nav": rule}), list[str]()
    downloads = mailbox._downloads
    downloads._resolve, download = lambda host: [INSIDE[host]], downloads._http.download

    def noted(url: str, headers: Mapping[str, str]) -> Download | HttpResponse:
        called.append(url)
        return download(url, headers)

    downloads._http.download = noted  # type: ignore[method-assign]
    urls = [each.format(port=trap.port, owner=post.owner.url) for each in TRAPS]
    files = [
        DialogFile(addresses=(PretendAddress(url=url),), display_name=f"{number}")
        for number, url in enumerate(urls)
    ]
    files += [
        post.file(f"/{status}", status=status, headers={"Location": f"{trap.url}/secret"})
        for status in (301, 302, 303, 307, 308)
    ]
    dialog = post.add(PretendTransmission(files=tuple(files)))
    ref = next(each for key, each in post.refs().items() if key != dialog)
    letter = mailbox.fetch(ref)
    states = [each.state for each in letter.parts]
    assert states == [PartState.UNAVAILABLE] * len(urls) + [PartState.PRESENT] * 5
    for part, words in zip(letter.parts, [*TRAPS.values(), *["redirect"] * 5], strict=True):
        with pytest.raises(PartUnavailable, match=words):
            post.read(ref, part)
    for part, words in zip(letter.parts, TRAPS.values(), strict=False):
        assert words in letter.lacks[part.external_id].reason
    assert trap.caught == []
    assert {each.rpartition("/")[0] for each in called} == {post.owner.url}
    assert len(post.owner.tokens) == len(post.owner.asked)  # for the owner's own addresses
