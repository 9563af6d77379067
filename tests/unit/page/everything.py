"""A store with everything that others may have, and every page that a user can ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

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
from daemon.core.parties import MailboxParty
from daemon.intake.rerouting import Rerouter
from daemon.routing.table import read_table
from daemon.service import stack
from daemon.store.users import Actor
from tests.unit.conftest import NOW, stored_letter
from tests.unit.page.conftest import Site
from tests.unit.reminding import awaited

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


def draft(site: Site, name: str) -> None:
    """Give a user a draft that sends every letter elsewhere."""
    base = site.folder.joinpath("routing.toml").read_text(encoding="utf-8")
    site.store.drafts.put(name, base=base, text=TEXT, now=NOW)


def activate(site: Site) -> None:
    """Put the table of the file in force."""
    table = read_table(site.folder / "routing.toml", ("erp",))
    site.store.letters.note_table(table.version, table.text, NOW + timedelta(seconds=1))


def version(site: Site) -> str:
    table = site.store.queries.table_in_force()
    assert table
    return table.version


def keep_letter(
    site: Site, name: str, party: str, to: str, state: DeliveryState | None = None, **changes: Any
) -> str:
    letter = stored_letter(
        name, party=party, title=f"Sak {name}", **changes, marks={MarkKind.READ: Policy.STORED}
    )
    letter.decision.recipients = letter.decision.chosen = [to]
    letter.decision.routing_version = version(site)
    for each in letter.deliveries:
        each.recipients, each.state = [to], state or DeliveryState.PENDING
        each.last_error = "HTTP 500; the server failed" if state is None else "refused"
    site.store.letters.add([letter])
    return str(letter.message.id)


def add_foreign(site: Site, per: TestClient) -> list[str]:
    """Add everything that others may have; return the ids and words that nobody else may see."""
    store, ids = site.store, []
    for number, state in enumerate((*DeliveryState, None)):
        for way, is_secret in (("fremmed", False), ("hemmelig", True)):
            changes: dict[str, Any] = {"destinations": ("erp", "borte"), "confidential": is_secret}
            ids.append(keep_letter(site, f"{way}-{number}", THEIRS, "eiendom", state, **changes))
    _incomplete(site)
    ids += _waiting(site)
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


def foreign_channel(site: Site) -> None:
    channel = Bookmark(mailbox="altinn", party=THEIRS, service="4255/8", resource="skatt")
    channel.begun, channel.refused, channel.last_error = True, True, "Altinn may not read"
    channel.failed_at = channel.failing_since = NOW - timedelta(days=2)
    site.store.bookmarks.save([channel])
    client = MailboxParty(mailbox="altinn", party=THEIRS, name="Fremmed AS", found_at=NOW)
    site.store.mailbox_parties.save([client])


def _waiting(site: Site) -> list[str]:
    """Letters of others that are moved alike, wait for a person and have deadlines."""
    store, ids = site.store, []
    table = stack.table_in_force(store, site.page.configuration)
    rerouter = Rerouter(store=store, table=lambda: table, clock=lambda: NOW)
    fremmed = Actor(name="fremmed")
    for number in range(6):
        letter = stored_letter(
            f"fremmed-frist-{number}",
            party=THEIRS,
            title="Sak fremmed",
            sender_org="889640782",
            confidential=number >= 4,
        )
        to = "regnskap" if number < 4 else "eiendom"
        letter.decision.recipients = letter.decision.chosen = [to]
        letter.decision.routing_version = version(site)
        key = letter.message.id
        waits = awaited(key, NOW - timedelta(days=9), (to,))
        store.letters.add([replace(letter, awaited=waits)])
        if number < 4:
            rerouter.route(key, "eiendom")
        due_at = NOW + timedelta(days=3 * number - 3)
        store.deadlines.confirm(key, "fremmed", NOW, fremmed, due_at=due_at, note="fremmed")
        ids.append(str(key))
    store.deadlines.drop(UUID(ids[0]), "fremmed", NOW, fremmed)
    store.acknowledgements.acknowledge(UUID(ids[1]), "fremmed", NOW, fremmed, "fremmed")
    store.calendars.make(NOW, fremmed, user="per")
    return ids


def _incomplete(site: Site) -> None:
    letter = stored_letter("fremmed-skadd", party=THEIRS)
    letter.decision.recipients, letter.decision.routing_version = ["eiendom"], version(site)
    letter.deliveries[0].recipients = ["eiendom"]
    letter.attachments[0].state = PartState.UNAVAILABLE
    site.store.letters.add([letter])


def addresses_of(foreign: Iterable[str]) -> Iterator[str]:
    for key in foreign:
        yield f"/letters/{key}"
        yield f"/letters/{key}/attachments/1"
        yield f"/deliveries/{key}"


def actions_on(key: str) -> list[str]:
    """Return where forms about a letter are sent."""
    names = ("acknowledge", "reject", "deadline", "deadline/drop", "deadline/handled", "route")
    return [f"/letters/{key}/{name}" for name in names]


def pages(site: Site, client: TestClient, mine: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Yield every page that can be asked for, and what a dry run says."""
    addresses = [each.path for each in _gets(site) if "{" not in each.path]
    more = ["/deliveries?state=dead", "/deliveries?state=delivered", "/letters?q=sak"]
    more.append("/service/clients?missing=1")
    states = ("held", "pending", "claimed", "withdrawn")
    more += [f"/deliveries?state={state}&destination=erp" for state in states]
    own = [f"/letters/{mine[0]}", f"/letters/{mine[1]}", f"/routing/new?letter={mine[0]}"]
    for address in sorted({*addresses, *more}) + own:
        yield _plain(address, mine), answer(client, "GET", address)
    form = {"action": "retry", "all": "1", "state": ""}
    yield "retry", answer(client, "POST", "/deliveries/actions", form)
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
    text = answer(client, "POST", "/routing/try", form)
    for _ in range(50):
        running = re.search(r'hx-get="(/routing/try/\w+)"', text)
        if not running:
            return text
        text = answer(client, "GET", running[1])
    return text


def answer(client: TestClient, method: str, address: str, form: Any = None) -> str:
    """Return status and body, without what changes by itself."""
    answer = client.request(method, address, data=form)
    text = re.sub(r'data-free="\d+">[^<]*<', "", answer.text)
    text = re.sub(r'\s*<li data-testid="event" data-kind="letter-opened">.*', "", text)
    return f"{answer.status_code} {text}"
