"""The desk of deadlines: what is on it for whom, what persons say, and calendars of it."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar
from starlette.testclient import TestClient

from daemon.core.deadlines import end_of_day
from daemon.core.model import DeliveryState
from daemon.store.users import Actor, RoleGrant
from tests.unit.conftest import NOW, stored_letter
from tests.unit.page.conftest import Site
from tests.unit.page.everything import version

WEEK = timedelta(days=7)
SENT = NOW - timedelta(hours=1)
KARI = Actor(name="kari")
LINE = re.compile(r'data-testid="deadline" data-source="([\w-]+)" data-workdays="(-?\d+)"')
GROUP = re.compile(r'data-testid="group" data-name="([\w-]+)" data-count="(\d+)"')


def keep(
    site: Site, name: str, due_at: datetime | None, to: str = "regnskap", **changes: Any
) -> str:
    letter = stored_letter(name, title=f"Sak {name}", published_at=SENT, **changes)
    letter.message.due_at = due_at
    letter.decision.recipients = letter.decision.chosen = [to]
    letter.decision.routing_version = version(site)
    letter.deliveries[0].state = DeliveryState.DELIVERED
    site.store.letters.add([letter])
    return str(letter.message.id)


def groups(client: TestClient, query: str = "") -> dict[str, int]:
    found = GROUP.findall(client.get(f"/deadlines{query}").text)
    return {name: int(count) for name, count in found if count != "0"}


def lines(text: str) -> list[tuple[str, int]]:
    return [(source, int(days)) for source, days in LINE.findall(text)]


@pytest.fixture(name="kari")
def a_receiver(site: Site) -> TestClient:
    """A receiver of the letters to regnskap."""
    return site.user("kari", RoleGrant(role="receiver", recipients=("regnskap",)))


def feed(client: TestClient, **form: str) -> str:
    """Make a calendar and return its address, without the host."""
    made = client.post("/deadlines/calendars", data=form).text
    (address,) = re.findall(r"<code>http://127.0.0.1:8770(/deadlines/[\w-]+\.ics)</code>", made)
    return str(address)


def events(site: Site, address: str) -> list[dict[str, str]]:
    answer = site.visitor().get(address)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        200,
        "text/calendar; charset=utf-8",
    )
    found = Calendar.from_ical(answer.content).walk("VEVENT")
    return [
        {name.lower(): plain(each[name]) for name in each if name != "DTSTAMP"} for each in found
    ]


def plain(value: Any) -> str:
    text = value.to_ical()
    return text.decode() if isinstance(text, bytes) else str(text)


def test_seven_days_are_apart_until_somebody_confirms(site: Site, kari: TestClient) -> None:
    """Exactly seven days are shown as the sending system's; confirming records who and when, is
    shown on the desk, and the letter's page and its timeline have it."""
    key = keep(site, "a", SENT + WEEK)
    assert groups(kari) == {"sender-default": 1}
    assert lines(kari.get(f"/letters/{key}").text) == [("sender-default", 5)]
    sent = kari.post(f"/letters/{key}/deadline", data={"day": "2026-12-04", "note": "§ 29"})
    assert (sent.status_code, sent.headers["Location"]) == (
        303,
        f"/letters/{key}?notice=deadline-confirmed",
    )
    desk = kari.get("/deadlines").text
    assert (groups(kari), lines(desk)) == ({"next-week": 1}, [("confirmed", 8)])
    shown = kari.get(f"/letters/{key}").text
    assert lines(shown) == [("confirmed", 8)]
    assert re.search(r"bekreftet av en person: kari, .*24\.11\.2026 10:00.*\(§ 29\)", shown)
    assert "satt av avsenderens system" in shown
    assert 'data-kind="deadline-confirmed"' in shown
    assert ("deadline-confirmed", "kari", True) in site.events()


def test_groups_are_by_week(site: Site, kari: TestClient) -> None:
    """What is past, due this week, next week and later is apart, and so are letters without."""
    for number, days in enumerate((-3, -1, 1, 9, 30)):
        keep(site, f"d{number}", NOW + timedelta(days=days))
    keep(site, "none", None)
    expected = {"overdue": 2, "this-week": 1, "next-week": 1, "later": 1}
    assert groups(kari) == expected
    text = kari.get("/deadlines").text
    assert 'data-testid="total" data-count="5"' in text
    assert [days for _, days in lines(text)] == [-1, -2, 1, 7, 22]
    assert groups(kari, "?group=later") == {"later": 1}
    assert groups(kari, "?group=nonsense&after=x") == expected


def test_a_long_group_goes_on(site: Site, kari: TestClient) -> None:
    """Of many the desk shows some, and the rest page by page, each letter once."""
    for number in range(130):
        keep(site, f"n{number:03d}", NOW + timedelta(days=60, minutes=number % 7))
    text = kari.get("/deadlines").text
    assert (len(lines(text)), groups(kari)) == (25, {"later": 130})
    found: list[str] = []
    address = "/deadlines?group=later"
    while address:
        page = kari.get(address).text
        found += re.findall(r'data-workdays="\d+" data-id="([\w-]+)"', page)
        more = re.search(r'href="(/deadlines\?group=later[^"]*after=[^"]+)"', page)
        address = more[1].replace("&amp;", "&") if more else ""
    assert (len(found), len(set(found))) == (130, 130)


def test_done_is_acknowledged_and_handled(site: Site, kari: TestClient) -> None:
    """A letter leaves the desk when it was acknowledged and marked as handled, not before; another
    day opens it again."""
    key = keep(site, "a", NOW + timedelta(days=1))
    refused = kari.post(f"/letters/{key}/deadline/handled")
    assert refused.status_code == 409
    kari.post(f"/letters/{key}/acknowledge")
    assert groups(kari) == {"this-week": 1}
    assert kari.post(f"/letters/{key}/deadline/handled").status_code == 303
    assert groups(kari) == {}
    assert "Merket som behandlet av" in kari.get(f"/letters/{key}").text
    kari.post(f"/letters/{key}/deadline", data={"day": "27.11.2026"})
    assert groups(kari) == {"this-week": 1}


def test_nothing_is_due(site: Site, kari: TestClient) -> None:
    """A person's word that nothing is due takes the letter off the desk, with the reason."""
    key = keep(site, "a", NOW + timedelta(days=1))
    kari.post(f"/letters/{key}/deadline/drop", data={"reason": "bare til orientering"})
    assert groups(kari) == {}
    shown = kari.get(f"/letters/{key}").text
    assert lines(shown) == []
    assert "bare til orientering" in shown


@pytest.mark.parametrize("day", ["i morgen", "2026-02-30", "31.13.2026", "24.12.26.1", "9" * 400])
def test_what_is_no_day(site: Site, kari: TestClient, day: str) -> None:
    """Nothing is recorded for what is no day, or for no day where none is known."""
    key = keep(site, "a", None)
    for written in (day, ""):
        answer = kari.post(f"/letters/{key}/deadline", data={"day": written})
        assert answer.status_code == 422
        assert "Skriv en dag" in answer.text
    assert list(site.store.deadlines.answers(site.store.queries.message(key).id)) == []


def test_only_receivers_say_it(site: Site, kari: TestClient) -> None:
    """Readers see the deadline and no buttons, and are refused; a letter of others is not there."""
    mine, foreign = keep(site, "a", NOW + WEEK), keep(site, "b", NOW + WEEK, to="eiendom")
    reader = site.user("per", "reader")
    shown = reader.get(f"/letters/{mine}").text
    assert "Bekreft fristen" not in shown
    for what in ("", "/drop", "/handled"):
        assert reader.post(f"/letters/{mine}/deadline{what}").status_code == 403
        assert kari.post(f"/letters/{foreign}/deadline{what}").status_code == 404
    assert ("refused", "per", False) in site.events()
    assert (groups(kari), groups(reader)) == ({"next-week": 1}, {"next-week": 2})
    assert groups(reader, "?recipient=eiendom") == {"next-week": 1}
    assert groups(kari, "?recipient=eiendom") == {}


def test_confidential_letters_show_no_words(site: Site, kari: TestClient) -> None:
    """On the desk and in calendars they are only for whom may open them, without title and sender;
    to say something of the deadline, one has to open them first."""
    key = keep(
        site, "hemmelig", NOW + timedelta(days=1), confidential=True, sender_name="Barnevern"
    )
    assert groups(kari) == {}
    eva = site.user("eva", "receiver", "confidential")
    text = eva.get("/deadlines").text
    assert lines(text) == [("sender", 1)]
    assert not [word for word in ("hemmelig", "Barnevern", "Sak") if word in text]
    asked = eva.post(f"/letters/{key}/deadline", data={"day": "2026-12-24"}).text
    assert f'action="/letters/{key}/open"' in asked
    assert groups(eva) == {"this-week": 1}
    eva.post(f"/letters/{key}/open", data={"reason": "saken er min"})
    eva.post(f"/letters/{key}/deadline", data={"day": "2026-12-24"})
    assert groups(eva) == {"later": 1}
    (event,) = events(site, feed(eva, titles="1"))
    assert event["summary"] == "Frist: taushetsbelagt brev"
    assert not [word for word in ("hemmelig", "Barnevern") if word in str(event)]
    assert events(site, feed(kari, titles="1")) == []


def test_a_calendar_is_the_desk(site: Site, kari: TestClient) -> None:
    """It parses, has an event for each deadline of the desk, a stable UID, and growing numbers when
    something changes; what is over is cancelled."""
    keys = [keep(site, f"a{days}", NOW + timedelta(days=days)) for days in (-1, 1, 9)]
    keep(site, "default", SENT + WEEK)
    keep(site, "foreign", NOW, to="eiendom")
    address = feed(kari)
    first = events(site, address)
    total = re.search(r'data-testid="total" data-count="(\d+)"', kari.get("/deadlines").text)
    assert total
    assert len(first) == int(total[1]) == 4
    assert sorted(each["status"] for each in first) == ["CONFIRMED"] * 3 + ["TENTATIVE"]
    assert {each["summary"] for each in first} == {"Frist: brev fra Skatteetaten"}
    site.clock.advance(hours=2)
    kari.post(f"/letters/{keys[0]}/deadline", data={"day": "2026-12-24"})
    kari.post(f"/letters/{keys[1]}/deadline/drop")
    second = {each["uid"]: each for each in events(site, address)}
    assert set(second) == {each["uid"] for each in first}
    moved, dropped = (second[f"{key}@postmottak"] for key in keys[:2])
    assert (moved["dtstart"], moved["sequence"], moved["status"]) == ("20261224", "1", "CONFIRMED")
    assert moved["last-modified"] == "20261124T110000Z"
    assert dropped["status"] == "CANCELLED"
    site.clock.advance(days=31)
    assert f"{keys[1]}@postmottak" not in {each["uid"] for each in events(site, address)}


def test_titles_only_if_chosen(site: Site, kari: TestClient) -> None:
    """A title is text, whatever is in it, and only in a calendar for which that was chosen."""
    name = "x\nEND:VEVENT\nBEGIN:VEVENT, ; \\ \u202eæ"
    keep(site, name, NOW + WEEK)
    (event,) = Calendar.from_ical(
        site.visitor().get(feed(kari, titles="1", recipient="regnskap")).content
    ).walk("VEVENT")
    assert str(event["summary"]) == "Frist: Sak x END:VEVENT BEGIN:VEVENT, ; \\ \ufffdæ"
    assert "Sak" not in str(events(site, feed(kari)))


def test_a_calendar_stops(site: Site, kari: TestClient) -> None:
    """A revoked one is not found, nor that of a disabled user, nor an unknown one; no cookie helps,
    and no right of another."""
    keep(site, "a", NOW + WEEK)
    first, second = feed(kari), feed(kari)
    listed = kari.get("/deadlines/calendars").text
    ids = re.findall(r'name="calendar" value="(\w+)"', listed)
    assert len(ids) == 2
    assert first[-47:-4] not in listed
    other = site.user("per", "reader")
    assert other.post("/deadlines/calendars/revoke", data={"calendar": ids[0]}).status_code == 404
    kari.post("/deadlines/calendars/revoke", data={"calendar": ids[0]})
    found = [site.visitor().get(each).status_code for each in (first, second)]
    assert sorted(found) == [200, 404]
    site.store.users.disable("kari", site.clock(), KARI)
    for each in (first, second, "/deadlines/nonsense.ics"):
        assert site.visitor().get(each).status_code == 404
        assert other.get(each).status_code == 404
    kinds = [kind for kind, *_ in site.events()]
    assert (kinds.count("calendar-made"), kinds.count("calendar-revoked")) == (2, 1)


def test_a_calendar_follows_the_rights(site: Site) -> None:
    """It never has more than its user sees now; of a recipient that the user does not see, none can
    be made; one that a command made has its recipient's letters."""
    keep(site, "a", NOW + WEEK)
    keep(site, "b", NOW + WEEK, to="eiendom", confidential=True)
    keep(site, "c", NOW + WEEK, to="eiendom")
    per = site.user("per", "reader")
    address = feed(per)
    assert len(events(site, address)) == 2
    site.store.users.grant("per", [], site.clock(), KARI)
    assert events(site, address) == []
    kari = site.user("kari", RoleGrant(role="reader", recipients=("regnskap",)))
    made = kari.post("/deadlines/calendars", data={"recipient": "eiendom"})
    assert made.status_code == 404
    token = site.store.calendars.make(NOW, KARI, recipient="eiendom")
    assert len(events(site, f"/deadlines/{token}.ics")) == 1


def test_who_is_shut_out_meanwhile_reads_nothing(
    site: Site, kari: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who is disabled while a program reads the calendar has no limits any more, and so no
    letters."""
    keep(site, "a", NOW + WEEK)
    address = feed(kari)
    find = site.store.calendars.find

    def found_before(token: str, now: datetime) -> object:
        found = find(token, now)
        site.store.users.disable("kari", NOW, KARI)
        return found

    monkeypatch.setattr(site.store.calendars, "find", found_before)
    assert site.visitor().get(address).status_code == 404


def test_a_flood_of_readers_is_bounded(site: Site, kari: TestClient) -> None:
    """One address may ask for calendars only so often; people are not held up by it."""
    site.clock.advance(hours=1)
    visitor = site.visitor()
    answers = [visitor.get("/deadlines/unknown.ics").status_code for _ in range(601)]
    assert (answers.count(404), answers[-1]) == (600, 429)
    assert kari.get("/deadlines").status_code == 200


def test_the_log_has_no_secret_address(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When a calendar fails, the log does not have its token."""

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(site.store.calendars, "find", fail)
    assert site.visitor().get("/deadlines/s3cr3t.ics").status_code == 500
    captured = capsys.readouterr()
    assert "a page failed" in captured.out + captured.err
    assert "s3cr3t" not in captured.out + captured.err


def test_the_overview_has_the_urgent_ones(site: Site, kari: TestClient) -> None:
    """The nearest deadlines of the overview are open and somebody's decision, with their source."""
    key = keep(site, "a", NOW + timedelta(days=3))
    keep(site, "default", SENT + WEEK)
    handled = keep(site, "done", NOW + timedelta(days=2))
    kari.post(f"/letters/{handled}/acknowledge")
    kari.post(f"/letters/{handled}/deadline/handled")
    found = site.store.queries.message(key)
    site.store.deadlines.confirm(found.id, "kari", NOW, KARI, due_at=end_of_day(date(2026, 11, 27)))
    assert lines(kari.get("/").text) == [("confirmed", 3)]
