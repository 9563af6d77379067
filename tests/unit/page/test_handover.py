"""Somebody leaves: what they hold is shown, handed over by one action, and is one event."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from daemon.cli import app
from daemon.core.model import DeliveryState
from daemon.monitoring.problems import find_problems
from daemon.page.app import application
from daemon.page.assets import Assets
from daemon.page.editing.draft import version_of
from daemon.page.handover import HandOvers
from daemon.routing.table import parse_table
from daemon.store.users import Actor, RoleGrant
from tests.unit.conftest import stored_letter
from tests.unit.page.conftest import Site
from tests.unit.page.test_overview import write_key
from tests.unit.reminding import awaited

TABLE = """\
# who gets what
[[recipient]]
name = "regnskap"   # the accounts
deliver_to = ["erp"]
members = ["Ola", "per@example.no"]
manager = "ola"
acknowledge_within = "2wd"

[[recipient]]
name = "eiendom"
deliver_to = ["erp"]
members = ["ola", "kari"]

[[recipient]]
name = "hansen"
deliver_to = ["erp"]
deputy = "regnskap"
acknowledge_within = "2wd"

[[recipient]]
name = "post"
deliver_to = ["erp"]
deputy = "hansen"

[[delegation]]
from = "hansen"
to = "post"
starts = 2026-12-21
ends = 2027-01-03

[[delegation]]
from = "eiendom"
to = "hansen"
starts = 2026-12-21
ends = 2027-01-03

[[delegation]]
from = "eiendom"
to = "hansen"
starts = 2020-12-21
ends = 2021-01-03

[[route]]
name = "Skatt"
services = ["4255/8"]
to = ["hansen", "post"]
copy_to = ["hansen"]

[[route]]
name = "Alt annet"
to = ["post"]
"""
BY = Actor(name="test")


@pytest.fixture
def office(site: Site) -> Site:
    """A page whose table names people, with a letter that waits for each of two recipients."""
    site.user("anna", "router", "admin")
    for name in ("ola", "kari"):
        site.user(name, RoleGrant(role="receiver", recipients=("eiendom",)))
    _waits(site, "a", "regnskap")
    _waits(site, "b", "hansen")
    site.clock.advance(minutes=1)
    (site.folder / "routing.toml").write_text(TABLE, encoding="utf-8")
    table = parse_table(TABLE, "routing.toml", ("erp",))
    site.store.letters.note_table(table.version, TABLE, site.clock())
    return site


def _waits(site: Site, name: str, recipient: str) -> None:
    """Store a letter that somebody of a recipient is to acknowledge."""
    letter = stored_letter(name, ("erp",))
    letter.decision.recipients = letter.decision.chosen = [recipient]
    waits = awaited(letter.message.id, site.clock(), (recipient,))
    site.store.letters.add([replace(letter, awaited=waits)])


def _file(site: Site) -> str:
    return (site.folder / "routing.toml").read_text(encoding="utf-8")


def _holds(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, about, count in re.findall(
        r'data-testid="holding" data-kind="(\w+)" data-about="([^"]*)" data-count="(\d+)"', text
    ):
        found.setdefault(kind, []).append(about if kind != "letters" else count)
    return found


def _command(site: Site, monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setattr("daemon.service.stack.utc_now", site.clock)
    write_key(site)
    return CliRunner().invoke(
        app, ["-c", str(site.folder / "postmottak.toml"), "recipients", "handover", *words]
    )


def test_a_person_is_handed_over_on_the_page(office: Site) -> None:
    """First what they hold, then what would happen; then the table has the other in every place,
    its comments, and the person nowhere; it is one event, and the history says who."""
    anna = office.visitor("anna")
    office.store.calendars.make(office.clock(), BY, user="ola")
    shown = anna.get("/admin/handover/ola").text
    assert _holds(shown) == {
        "member": ["regnskap", "eiendom"],
        "manager": ["regnskap"],
        "letters": ["1"],
        "calendars": ["ola"],
    }
    asked = anna.get("/admin/handover/ola?to=kari").text
    assert 'data-testid="lacking" data-name="regnskap"' in asked
    assert _file(office) == TABLE
    done = anna.post("/admin/handover/ola", data={"to": "kari"})
    assert done.headers["Location"] == "/admin/handover/ola?notice=handed-over"
    text = _file(office)
    assert 'members = ["kari", "per@example.no"]' in text
    assert 'manager = "kari"' in text
    assert 'members = ["kari"]' in text
    assert text.count("ola") == 0
    assert 'name = "regnskap"   # the accounts' in text
    assert office.store.calendars.all("ola") == []
    (event,) = office.store.events.page(kind="handed-over")
    assert (event.user, event.about, event.details["to"]) == ("anna", "ola", "kari")
    assert event.details["member"] == 2
    assert len([each for each in office.events() if each[1] == "anna"]) == 1
    newest = office.store.routing_changes.page(limit=1)[0]
    assert (newest.by, newest.reason) == ("anna", "ola → kari")
    assert office.woken == [1]
    assert 'data-testid="holdings" data-count="0"' in anna.get("/admin/handover/ola").text


def test_a_recipient_is_handed_over_by_a_command(
    office: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Routes, deputies and coming covers have the other, letters that wait are moved, and nothing
    is left that names the one who left but rows of the past and their own."""
    waiting = next(
        each.id
        for each in office.store.decisions.since(office.clock().replace(year=2020))
        if each.decision.recipients == ["hansen"]
    )
    shown = _command(office, monkeypatch, "hansen", "regnskap", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "the route 'Skatt'" in shown.output
    assert "deputy of post" in shown.output
    assert "letters that nobody has acknowledged: 1" in shown.output
    assert _file(office) == TABLE
    unasked = _command(office, monkeypatch, "hansen", "regnskap")
    assert (unasked.exit_code, _file(office)) == (2, TABLE)
    done = _command(office, monkeypatch, "hansen", "regnskap", "--yes", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["done"], facts["from"], facts["to"]) == (True, "hansen", "regnskap")
    kinds = sorted(each["kind"] for each in facts["holds"])
    assert kinds == ["cover", "cover", "deputy", "letters", "route"]
    table = parse_table(_file(office), "routing.toml", ("erp",))
    route = table.route("Skatt")
    assert route
    assert (route.to, route.copy_to) == (("regnskap", "post"), ("regnskap",))
    assert table.recipients["post"].deputy == "regnskap"
    assert [(each.from_, each.to, each.starts.year) for each in table.delegations] == [
        ("eiendom", "regnskap", 2026),
        ("eiendom", "hansen", 2020),
    ]
    assert office.store.decisions.decided(waiting).decision.recipients == ["regnskap"]
    moved = office.store.awaited.of(waiting)
    assert moved
    assert moved.recipients == ["regnskap"]
    (event,) = office.store.events.page(kind="handed-over")
    assert (event.about, event.details["to"], event.details["letters"]) == ("hansen", "regnskap", 1)
    again = _command(office, monkeypatch, "hansen", "regnskap", "--yes")
    assert again.output == "hansen holds nothing\n"
    assert len(office.store.events.page(kind="handed-over")) == 1


def test_a_letter_of_several_moves_for_one_of_them(
    office: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter with an open deadline goes to the other instead of the one who left, and to those
    who had it besides as before, without a second delivery; a confidential one, for which no route
    names the other, stays; and what a person is a member of does not move."""
    keys = []
    for name, secret in (("c", False), ("d", True)):
        letter = stored_letter(name, ("erp",), confidential=secret)
        letter.message.due_at = office.clock()
        letter.decision.recipients = letter.decision.chosen = ["hansen", "post"]
        letter.deliveries[0].recipients = ["post"]
        letter.deliveries[0].state = DeliveryState.DELIVERED
        office.store.letters.add([letter])
        keys.append(letter.message.id)
    office.clock.advance(minutes=1)
    office.store.letters.note_table(version_of(TABLE), TABLE, office.clock())
    shown = office.visitor("anna").get("/admin/handover/hansen?to=regnskap").text
    assert 'data-kind="deadlines" data-about="hansen" data-count="2"' in shown
    assert "3 brev som ingen er ferdig med, blir flyttet til regnskap." in shown
    done = _command(office, monkeypatch, "hansen", "regnskap", "--yes")
    assert done.exit_code == 0, done.output
    decided = [office.store.decisions.decided(key).decision.recipients for key in keys]
    assert decided == [["regnskap", "post"], ["hansen", "post"]]
    deliveries = office.store.queries.deliveries(message_id=keys[0])
    assert [each.recipients for each in deliveries] == [["post"], ["regnskap", "post"]]


def test_a_letter_that_was_deleted_meanwhile_holds_nothing_up(office: Site) -> None:
    """Retention may delete one after the preview; the rest is handed over, and recorded."""
    table = parse_table(TABLE, "routing.toml", ("erp",))
    handovers = HandOvers(store=office.store, text=TABLE, table=table, clock=office.clock)
    handed = handovers.prepare("hansen", "post")
    (waiting,) = handed.letters
    handovers.finish(replace(handed, letters=[uuid4(), waiting]), table, BY)
    assert office.store.decisions.decided(waiting).decision.recipients == ["post"]
    assert len(office.store.events.page(kind="handed-over")) == 1


@pytest.mark.parametrize(
    ("from_", "to", "said"),
    [
        ("olav", "kari", "neither a user nor in the routing table"),
        ("ola", "OLA", "the same"),
        ("ola", "ukjent", "neither a user"),
        ("hansen", "kari", "is a recipient"),
        ("kari", "post", "is a recipient"),
        ("kari", "ola", "is disabled"),
    ],
)
def test_a_mistake_changes_nothing(
    office: Site, monkeypatch: pytest.MonkeyPatch, from_: str, to: str, said: str
) -> None:
    """A name that is not known, and one that cannot take over, here and on the page."""
    office.store.users.disable("ola", office.clock(), BY) if to == "ola" else None
    ran = _command(office, monkeypatch, from_, to, "--yes")
    assert ran.exit_code == 1
    assert said in str(ran.exception)
    answer = office.visitor("anna").post(f"/admin/handover/{from_}", data={"to": to})
    assert answer.status_code == (404 if from_ == "olav" else 422)
    assert _file(office) == TABLE
    assert office.store.events.page(kind="handed-over") == []


@pytest.mark.parametrize("role", ["reader", "receiver", "operator", "admin"])
def test_who_may_hand_over(office: Site, role: str) -> None:
    """It needs the right to publish, without limits."""
    limited = RoleGrant(role="router", recipients=("regnskap",))
    for name, grant in ((role, RoleGrant(role=role)), ("limited", limited)):
        visitor = office.user(f"u-{name}", grant)
        assert visitor.get("/admin/handover/ola").status_code == 403
        assert visitor.post("/admin/handover/ola", data={"to": "kari"}).status_code == 403
        assert "/admin/handover" not in visitor.get("/routing/recipients/hansen").text
        assert "/admin/handover" not in visitor.get("/admin/users").text
    assert "/admin/handover/hansen" in office.visitor("anna").get("/routing/recipients/hansen").text
    assert "/admin/handover/ola" in office.visitor("anna").get("/admin/users").text
    assert _file(office) == TABLE


def test_a_second_person_approves_the_table(office: Site) -> None:
    """With `approvals = 1` the rest is done at once, and the table waits."""
    configuration = office.page.configuration
    routing = configuration.routing.model_copy(update={"approvals": 1})
    page = replace(office.page, configuration=replace(configuration, routing=routing))
    office.app = application(page, Assets())
    office.store.calendars.make(office.clock(), BY, user="ola")
    done = office.visitor("anna").post("/admin/handover/ola", data={"to": "kari"})
    assert done.headers["Location"].endswith("?notice=handed-over-asked")
    assert _file(office) == TABLE
    assert office.store.calendars.all("ola") == []
    (waiting,) = office.store.approvals.waiting()
    assert waiting.by == "anna"
    assert (
        office.user("per", "router")
        .post(f"/routing/approvals/{waiting.number}/approve")
        .headers["Location"]
        .startswith("/routing?notice=published")
    )
    assert _file(office).count("ola") == 0


def test_a_disabled_user_who_holds_something_is_a_problem(office: Site) -> None:
    """From when they are shut out until it is handed over; operators may open where it leads."""

    def problems() -> list[str]:
        found = find_problems(office.page.configuration, office.store, office.clock())
        return [each.about for each in found if each.kind == "holder"]

    assert problems() == []
    office.store.users.disable("ola", office.clock(), BY)
    assert problems() == ["ola"]
    operator = office.user("drift", "operator")
    shown = operator.get("/").text
    assert 'href="/service#problems"' in shown
    assert operator.get("/service").status_code == 200
    assert "ola er stengt ute" in shown
    office.visitor("anna").post("/admin/handover/ola", data={"to": "kari"})
    office.clock.advance(minutes=1)
    table = parse_table(_file(office), "routing.toml", ("erp",))
    office.store.letters.note_table(table.version, table.text, office.clock())
    assert problems() == []
    office.store.users.disable("kari", office.clock(), BY)
    assert problems() == ["kari"]
