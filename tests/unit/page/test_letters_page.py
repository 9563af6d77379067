"""Lists of letters, one letter and its attachments, for each kind of user."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest

from daemon.store.users import RoleGrant
from tests.unit.conftest import stored_letter
from tests.unit.page.conftest import Site

RECEIVER = RoleGrant(role="receiver", recipients=("regnskap",))
MARKUP = '<script>alert(1)</script><img src="https://evil.example/x"><b onclick="x()">fet</b>'


def keep(site: Site, name: str, recipient: str = "regnskap", **changes: Any) -> str:
    """Store a letter for a recipient; return its id."""
    letter = stored_letter(name, ("erp",), **changes)
    letter.decision.recipients = letter.decision.chosen = [recipient]
    table = site.store.queries.table_in_force()
    assert table
    letter.decision.routing_version = table.version
    site.page.content.put([b"pdf"])
    site.store.letters.add([letter])
    return str(letter.message.id)


def total(text: str) -> int:
    return int(text.partition('data-testid="total" data-count="')[2].partition('"')[0])


def test_a_receiver_sees_only_their_own(site: Site) -> None:
    """Letters of others are in no list, count, search, CSV, and not found by address."""
    own, other = keep(site, "a", title="Vår sak"), keep(site, "b", "eiendom", title="Deres sak")
    ola = site.user("ola", RECEIVER)
    page = ola.get("/letters").text
    assert total(page) == 1
    assert own in page
    assert other not in page
    assert total(ola.get("/letters?q=Deres").text) == 0
    assert "Deres" not in ola.get("/letters.csv").text
    assert (ola.get(f"/letters/{own}").status_code, ola.get(f"/letters/{other}").status_code) == (
        200,
        404,
    )
    assert ola.get(f"/letters/{other}/attachments/1").status_code == 404


@pytest.mark.parametrize(
    ("roles", "letter", "attachment"),
    [
        (("reader",), 200, 200),
        (("receiver",), 200, 200),
        (("router",), 200, 200),
        (("operator",), 403, 403),
        (("admin",), 404, 404),
        ((RoleGrant(role="reader", parties=("910075918",)),), 404, 404),
        ((), 404, 404),
    ],
)
def test_who_may_open_a_letter(
    site: Site, roles: tuple[str | RoleGrant, ...], letter: int, attachment: int
) -> None:
    """Operators and administrators do not read letters by that; a refusal is an event."""
    key = keep(site, "a")
    visitor = site.user("ola", *roles)
    assert visitor.get(f"/letters/{key}").status_code == letter
    assert visitor.get(f"/letters/{key}/attachments/1").status_code == attachment
    refused = site.events(done=False)
    assert refused == ([("refused", "ola", False)] * 2 if letter == 403 else [])


SECRET = pytest.mark.parametrize(
    "mark", [{"confidential": True}, {"service": "5504/1"}], ids=["confidential", "5504/1"]
)


@SECRET
def test_a_confidential_letter_needs_its_right_and_a_reason(
    site: Site, mark: dict[str, Any]
) -> None:
    """Without the right it is in no list, and refused by address; with it each opening needs a
    reason and is an event, and attachments come only after that."""
    key = keep(site, "a", **mark, title="Hemmelig vedtak")
    reader = site.user("leser", "reader")
    both = ("reader", RoleGrant(role="confidential", recipients=("regnskap",)))
    other = site.user("annen", "reader", RoleGrant(role="confidential", recipients=("eiendom",)))
    assert [each.get(f"/letters/{key}").status_code for each in (reader, other)] == [403, 403]
    trusted = site.user("kari", *both)
    for visitor in (reader, trusted):
        assert "Hemmelig" not in visitor.get("/letters").text
        assert total(visitor.get("/letters?q=hemmelig").text) == 0
        assert "Hemmelig" not in visitor.get("/letters.csv").text
    asked = trusted.get(f"/letters/{key}")
    assert asked.status_code == 200
    assert "Hemmelig" not in asked.text
    assert trusted.get(f"/letters/{key}/attachments/1").content != b"pdf"
    assert trusted.post(f"/letters/{key}/open", data={"reason": " "}).status_code == 422
    assert "Hemmelig" in trusted.post(f"/letters/{key}/open", data={"reason": "saken min"}).text
    assert trusted.get(f"/letters/{key}/attachments/1").content == b"pdf"
    found = [
        (each.kind, each.details.get("reason")) for each in site.store.events.page(user="kari")
    ]
    assert found == [
        ("attachment-downloaded", None),
        ("letter-opened", "saken min"),
        ("list-exported", None),
    ]
    assert "Hemmelig" not in str([each.model_dump() for each in site.store.events.page()])


def test_a_letters_markup_is_harmless(site: Site) -> None:
    """Script, what is fetched from elsewhere, and handlers are gone, in text, title and sender."""
    key = keep(site, "a", title=MARKUP, sender_name=MARKUP, body=MARKUP, body_type="text/html")
    text = site.user("ola", "reader").get(f"/letters/{key}").text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "<b onclick" not in text
    assert "<b>fet</b>" in text


def test_attachments_are_downloads(site: Site) -> None:
    """An attachment is the very bytes, is saved and not shown, and cannot act in the page's
    name."""
    key = keep(site, "a")
    answer = site.user("ola", "reader").get(f"/letters/{key}/attachments/1?open=1")
    assert sha256(answer.content).hexdigest() == sha256(b"pdf").hexdigest()
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("mark", ["\0", "\x1b", "\u202e", "\u2066", "\u2028", "\x85"])
def test_no_title_turns_the_text_around_it(site: Site, mark: str) -> None:
    """What moves a cursor, turns the direction of writing or ends a line is shown as U+FFFD, in
    lists, on the letter's page and in its title; other signs stay."""
    key = keep(site, "a", title=f"exe{mark}fdp 👩\u200d👧 é", sender_name=f"Eta{mark}ten")
    ola = site.user("ola", "reader")
    for path in ("/letters", f"/letters/{key}", "/letters.csv"):
        text = ola.get(path).text
        assert mark not in text, path
        assert "exe\ufffdfdp 👩\u200d👧 é" in text
        assert "Eta\ufffdten" in text
    assert "<title>exe\ufffdfdp" in ola.get(f"/letters/{key}").text


def test_a_letter_that_is_deleted_while_it_opens_is_not_found(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention may delete a letter between two reads of a view: that is 404, and no failure."""
    key = keep(site, "a", title="Vår sak")
    ola = site.user("ola", "reader")
    add = site.store.events.add

    def add_and_delete(*place: Any, **named: Any) -> None:
        add(*place, **named)
        with closing(sqlite3.connect(site.folder / "postmottak.db")) as other, other:
            for table in ("deliveries", "decisions", "attachments", "marks", "threads", "messages"):
                other.execute(f"DELETE FROM {table}")

    monkeypatch.setattr(site.store.events, "add", add_and_delete)
    assert ola.get(f"/letters/{key}").status_code == 404


def test_the_csv_is_the_list_without_formulas(site: Site) -> None:
    """As many rows as the list has, and no title that a spreadsheet would run."""
    titles = ("=1+1", "+1", "@x", "-1", "\t=2", " =3", "\uff1d4", "a\r\n=5", "vanlig; med skille")
    for number, title in enumerate(titles):
        keep(site, str(number), title=title)
    answer = site.user("ola", "reader").get("/letters.csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    shown = {"'=1+1", "'+1", "'@x", "'-1", "'=2", "'=3", "'\uff1d4", "a\ufffd =5", titles[-1]}
    assert {each["title"] for each in rows} == shown


def test_why_is_what_the_command_line_explains(site: Site) -> None:
    """The page lists every route of the table that decided, in order, with its result, also after
    the table has changed."""
    key = keep(site, "a", service="4255/8", title="Skatt")
    site.store.letters.note_table("new", ROUTING_AFTER, site.clock.advance(hours=1))
    text = site.user("ola", "reader").get(f"/letters/{key}").text
    assert 'data-route="Skatt" data-result="won"' in text
    assert 'data-route="Alt annet" data-result="not-reached"' in text
    assert "Ny rute" not in text


ROUTING_AFTER = """
[[recipient]]
name = "post"
deliver_to = ["erp"]

[[route]]
name = "Ny rute"
to = ["post"]
"""


@pytest.mark.parametrize(
    "query",
    [
        "?service=%00",
        "?since=99999-99-99",
        "?after=nonsense",
        "?q=%22%20OR%20*",
        "?state=x&due=y",
        "?q=" + "a" * 5000,
    ],
)
def test_nonsense_in_an_address_is_no_failure(site: Site, query: str) -> None:
    """What is not understood does not count."""
    keep(site, "a")
    assert site.user("ola", "reader").get(f"/letters{query}").status_code == 200


@SECRET
def test_receivers_see_who_opened_a_confidential_letter_and_why(
    site: Site, mark: dict[str, Any]
) -> None:
    """Each opening with its reason, each download and each refusal is in the letter's timeline, and
    an entry of the log; neither they nor what the page shows otherwise have the title."""
    key = keep(site, "a", **mark, title="Hemmelig vedtak")
    secret = RoleGrant(role="confidential", recipients=("regnskap",))
    ola, kari = site.user("ola", secret), site.user("kari", RECEIVER, secret)
    stranger = site.user("fremmed", "reader", "admin")
    ola.post(f"/letters/{key}/open", data={"reason": "svarer på vedtaket"})
    ola.get(f"/letters/{key}/attachments/1")
    assert stranger.get(f"/letters/{key}").status_code == 403
    assert stranger.get(f"/letters/{key}/attachments/1").status_code == 403
    shown = kari.post(f"/letters/{key}/open", data={"reason": "sjekker"}).text
    told = re.findall(r'data-testid="event" data-kind="([\w-]+)">.*?</time> ([^<]*)<?', shown)
    assert [each for each in told if each[0] not in {"published", "fetched", "decided"}] == [
        ("letter-opened", "åpnet av: ola "),
        ("attachment-downloaded", "vedlegg lastet ned av: ola"),
        ("refused", "nektet adgang: fremmed"),
        ("refused", "nektet adgang: fremmed"),
        ("letter-opened", "åpnet av: kari "),
    ]
    assert "svarer på vedtaket" in shown
    log = stranger.get("/admin/log").text
    entries = re.findall(r'data-testid="log-entry" data-kind="([\w-]+)"', log)
    assert [each for each in entries if not each.startswith("user-")] == [
        "letter-opened",
        "refused",
        "refused",
        "attachment-downloaded",
        "letter-opened",
    ]
    elsewhere = ("/", "/letters", "/letters?q=vedtak", "/letters.csv", "/confidential", "/my")
    assert not any("Hemmelig" in kari.get(each).text for each in elsewhere)
    assert "Hemmelig" not in log


@SECRET
def test_the_confidential_are_listed_without_titles(site: Site, mark: dict[str, Any]) -> None:
    """Those whom the route appoints find them on a page of their own; operators see that some
    wait, others nothing."""
    key = keep(site, "a", **mark, title="Hemmelig vedtak")
    keep(site, "b")
    trusted = site.user("kari", RoleGrant(role="confidential", recipients=("regnskap",)))
    other = site.user("annen", RoleGrant(role="confidential", recipients=("eiendom",)))
    pages = [each.get("/confidential") for each in (trusted, other, site.user("drift", "operator"))]
    assert [each.status_code for each in pages] == [200, 200, 200]
    assert [key in each.text for each in pages] == [True, False, False]
    assert "Hemmelig" not in "".join(each.text for each in pages)
    assert pages[0].text.count('data-testid="confidential"') == 1
    assert site.user("leser", "reader").get("/confidential").status_code == 403
