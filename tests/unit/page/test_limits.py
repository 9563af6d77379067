"""What a user with limits sees does not depend on what is outside them, on any page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from daemon.core.bookkeeping import Alert, Bookmark
from daemon.core.model import (
    DeliveryState,
    LetterRef,
    MarkKind,
    PartState,
    Policy,
    SightingState,
)
from daemon.store.users import RoleGrant
from tests.unit.conftest import NOW, stored_letter
from tests.unit.page.conftest import Site

_LEFT_OUT = ("/login", "/my", "/admin/users", "/routing/export")
"""Pages without letters, and a file that has the time of its making."""
OURS, THEIRS = "974761076", "910075918"
TEXT = """\
[[recipient]]
name = "regnskap"
deliver_to = ["erp"]

[[recipient]]
name = "eiendom"
deliver_to = ["erp"]

[[route]]
name = "Alt"
to = ["eiendom"]
"""
ROLES = ("reader", "operator", "router", "confidential")
LIMITS: Mapping[str, tuple[RoleGrant, ...]] = {
    f"{role} of {what}": (RoleGrant(role=role, **limit),)
    for role in ("reader", "operator", "router", "admin", "confidential")
    for what, limit in (
        ("a recipient", {"recipients": ("regnskap",)}),
        ("a party", {"parties": (OURS,)}),
    )
} | {
    "all roles": tuple(
        RoleGrant(role=role, recipients=("regnskap",), parties=(OURS,))
        for role in (*ROLES, "admin")
    )
}


@pytest.mark.parametrize("grants", LIMITS.values(), ids=LIMITS)
def test_no_page_depends_on_what_is_outside_the_limits(
    site: Site, grants: tuple[RoleGrant, ...]
) -> None:
    """Every page, list, count, file and dry run is the same, byte for byte, before and after
    foreign letters, deliveries, channels, problems and alerts of every kind come."""
    mine = _letter(site, "mine", OURS, "regnskap")
    dead = _letter(site, "stopped", OURS, "regnskap", DeliveryState.DEAD)
    ola, per = site.user("ola", *grants), site.user("per", "reader", "operator")
    _draft(site, "ola")
    before = dict(_pages(site, ola, (mine, dead)))
    shown = [name for name, text in before.items() if text.startswith("200")]
    assert len(shown) >= 4
    foreign = _foreign(site, per)
    if any(each.parties for each in grants):  # letters for every recipient may come by any channel
        _foreign_channel(site)
    after = dict(_pages(site, ola, (mine, dead)))
    assert [name for name in before if after[name] != before[name]] == []
    for name, text in after.items():
        assert not [word for word in (*foreign, THEIRS, "hemmelig", "fremmed") if word in text], (
            name
        )
    for address in _addresses((foreign[0], foreign[-1])):
        assert ola.get(address).status_code in {403, 404}, address


def test_without_limits_the_same_pages_change(site: Site) -> None:
    """What the test above adds is seen by those who may, so that it proves something."""
    mine = _letter(site, "mine", OURS, "regnskap")
    kari = site.user("kari", "reader", "operator", "router", "confidential", "admin")
    per = site.user("per", "reader", "operator")
    _draft(site, "kari")
    before = dict(_pages(site, kari, (mine, mine)))
    _foreign(site, per)
    after = dict(_pages(site, kari, (mine, mine)))
    changed = {name for name in before if before[name] != after[name]}
    assert changed >= {
        "/",
        "/letters",
        "/letters.csv",
        "/deliveries",
        "/deliveries?state=dead",
        "/service",
        "/confidential",
        "/routing/new",
        "try",
        "/admin/log",
    }


def test_an_earlier_letter_of_others_is_not_named(site: Site) -> None:
    """A letter that follows another of its case names that one only to those who may see it."""
    foreign = _letter(site, "first", OURS, "eiendom")
    letter = stored_letter("second", party=OURS)
    letter.decision.recipients = ["regnskap"]
    letter.decision.why = {"thread": {"earlier": foreign, "route": "Alt", "shares": "case"}}
    letter.decision.routing_version = _version(site)
    site.store.letters.add([letter])
    address = f"/letters/{letter.message.id}"
    ola = site.user("ola", RoleGrant(role="reader", recipients=("regnskap",)))
    assert foreign[:8] not in ola.get(address).text
    assert foreign in site.user("kari", "reader").get(address).text


def _draft(site: Site, name: str) -> None:
    """Give a user a draft that sends every letter elsewhere."""
    base = site.folder.joinpath("routing.toml").read_text(encoding="utf-8")
    site.store.drafts.put(name, base=base, text=TEXT, now=NOW)


def _version(site: Site) -> str:
    table = site.store.queries.table_in_force()
    assert table
    return table.version


def _letter(
    site: Site, name: str, party: str, to: str, state: DeliveryState | None = None, **changes: Any
) -> str:
    letter = stored_letter(
        name, party=party, title=f"Sak {name}", **changes, marks={MarkKind.READ: Policy.STORED}
    )
    letter.decision.recipients = letter.decision.chosen = [to]
    letter.decision.routing_version = _version(site)
    for each in letter.deliveries:
        each.recipients, each.state = [to], state or DeliveryState.PENDING
        each.last_error = "HTTP 500; the server failed" if state is None else "refused"
    site.store.letters.add([letter])
    return str(letter.message.id)


def _foreign(site: Site, per: TestClient) -> list[str]:
    """Add everything that others may have; return the ids and words that nobody else may see."""
    store, ids = site.store, []
    for number, state in enumerate((*DeliveryState, None)):
        for way, is_secret in (("fremmed", False), ("hemmelig", True)):
            changes: dict[str, Any] = {"destinations": ("erp", "borte"), "confidential": is_secret}
            ids.append(_letter(site, f"{way}-{number}", THEIRS, "eiendom", state, **changes))
    _incomplete(site)
    for state in SightingState:
        ref = LetterRef(
            mailbox="altinn", party=THEIRS, service="5504/1", resource="x", external_id=f"x-{state}"
        )
        store.letters.record_skipped(ref, state, NOW, "HTTP 500")
    for kind in ("dead", "failing", "untold", "collision"):
        text = f"fremmed: 4 letters, {THEIRS}"
        alert = Alert(key=f"{kind} erp", kind=kind, critical=True, text=text, began_at=NOW)
        store.alerts.note([alert], NOW)
    deliveries = store.search.deliveries(state=None, destination=None, limit=100)
    ids += [str(each.id) for each in deliveries if each.destination == "borte"]
    per.get(f"/letters/{ids[0]}")
    form = {"action": "hold", "all": "1", "state": "pending", "destination": "borte"}
    per.post("/deliveries/actions", data={**form, "confirmed": "9"})
    return [*ids, *(key[:8] for key in ids)]


def _foreign_channel(site: Site) -> None:
    channel = Bookmark(mailbox="altinn", party=THEIRS, service="4255/8", resource="skatt")
    channel.begun, channel.refused, channel.last_error = True, True, "Altinn may not read"
    channel.failed_at = channel.failing_since = NOW - timedelta(days=2)
    site.store.bookmarks.save([channel])


def _incomplete(site: Site) -> None:
    letter = stored_letter("fremmed-skadd", party=THEIRS)
    letter.decision.recipients, letter.decision.routing_version = ["eiendom"], _version(site)
    letter.deliveries[0].recipients = ["eiendom"]
    letter.attachments[0].state = PartState.UNAVAILABLE
    site.store.letters.add([letter])


def _addresses(foreign: Iterable[str]) -> Iterator[str]:
    for key in foreign:
        yield f"/letters/{key}"
        yield f"/letters/{key}/attachments/1"
        yield f"/deliveries/{key}"


def _pages(site: Site, client: TestClient, mine: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Yield every page that can be asked for, and what a dry run says."""
    addresses = [each.path for each in _gets(site) if "{" not in each.path]
    more = ["/deliveries?state=dead", "/deliveries?state=delivered", "/letters?q=sak"]
    states = ("held", "pending", "claimed", "withdrawn")
    more += [f"/deliveries?state={state}&destination=erp" for state in states]
    own = [f"/letters/{mine[0]}", f"/letters/{mine[1]}", f"/routing/new?letter={mine[0]}"]
    for address in sorted({*addresses, *more}) + own:
        yield _plain(address, mine), _answer(client, "GET", address)
    form = {"action": "retry", "all": "1", "state": ""}
    yield "retry", _answer(client, "POST", "/deliveries/actions", form)
    yield "try", _tried(client)


def _plain(address: str, mine: tuple[str, str]) -> str:
    return address.partition("?letter=")[0].replace(mine[0], "MINE")


def _gets(site: Site) -> Iterator[Route]:
    routes = [each for each in site.app.routes if isinstance(each, Route)]
    for each in routes:
        if "GET" in (each.methods or ()) and not each.path.startswith(_LEFT_OUT):
            yield each


def _tried(client: TestClient) -> str:
    form = {"kind": "", "key": "", "draft": "1"}
    text = _answer(client, "POST", "/routing/try", form)
    for _ in range(50):
        running = re.search(r'hx-get="(/routing/try/\w+)"', text)
        if not running:
            return text
        text = _answer(client, "GET", running[1])
    return text


def _answer(client: TestClient, method: str, address: str, form: Any = None) -> str:
    """Return status and body, without what changes by itself."""
    answer = client.request(method, address, data=form)
    text = re.sub(r'data-free="\d+">[^<]*<', "", answer.text)
    text = re.sub(r'\s*<li data-testid="event" data-kind="letter-opened">.*', "", text)
    return f"{answer.status_code} {text}"
