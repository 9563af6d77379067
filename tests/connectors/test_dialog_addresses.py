"""No address is called that the owner table does not allow, and no token goes anywhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import ValidationError

from connectors.dialogporten.addresses import why_not
from connectors.dialogporten.owners import KNOWN_OWNERS, OwnerRule, rule_of
from connectors.sandbox.dialogs import DialogFile, PretendAddress, PretendTransmission
from daemon.core.errors import PartUnavailable
from daemon.core.model import PartState
from tests.connectors.dialog_post import (
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
    """A server on loopback that nobody should ever call."""

    def __init__(self) -> None:
        self.caught: list[str] = []
        trap = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                trap.caught.append(f"{self.path} {self.headers.get('Authorization')}")
                self.send_response(200)
                self.end_headers()

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def trap() -> Iterator[Trap]:
    made = Trap()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_nothing_reaches_a_foreign_host(post: DialogPost, trap: Trap) -> None:
    """Addresses in a dialog that lead to this network are not called, neither by fetching nor by
    opening, and no token is sent there; nor does a redirect of the owner lead there."""
    port = trap.server.server_port
    urls = [
        f"{trap.url}/secret",
        f"https://127.0.0.1:{port}/secret",
        f"http://localhost:{port}/secret",
        f"http://[::ffff:127.0.0.1]:{port}/secret",
        f"{post.owner.url}@127.0.0.1:{port}/secret",
    ]
    files = [
        DialogFile(addresses=(PretendAddress(url=url),), display_name=f"{number}")
        for number, url in enumerate(urls)
    ]
    files.append(post.file("/away", status=302, headers={"Location": f"{trap.url}/secret"}))
    dialog = post.add(PretendTransmission(files=tuple(files)))
    ref = next(each for key, each in post.refs().items() if key != dialog)
    letter = post.mailbox.fetch(ref)
    states = [each.state for each in letter.parts]
    assert states == [PartState.UNAVAILABLE] * len(urls) + [PartState.PRESENT]
    for part in letter.parts:
        with pytest.raises(PartUnavailable):
            post.read(ref, part)
    assert trap.caught == []
    assert len(post.owner.tokens) == 1  # for the owner's own address
