"""The table goes out as a spreadsheet, and comes back as a draft."""

from __future__ import annotations

import html
import io
import zipfile
from collections.abc import Callable

import pytest

from daemon.page.editing.draft import Draft, checked
from daemon.page.editing.sheet import with_rows_of
from daemon.routing.table import parse_table
from tests.unit.page.routing.conftest import DESTINATIONS, TEXT, Desk, Person

Diff = Callable[[str], dict[str, str]]
HEADER = "kind;name;title;deliver_to;title_contains;to;senders"
ROWS = (
    "recipient;regnskap;;erp;;;",
    "recipient;post;;erp;;;",
    "route;Skatt;;;skatt, avgift;regnskap;",
    "route;Alt annet;;;;post;",
)


def _upload(person: Person, content: bytes, name: str = "ark.csv") -> tuple[int, str]:
    answer = person.post("/routing/import", files={"sheet": (name, content)})
    return answer.status_code, html.unescape(answer.text)


def _sheet(*rows: str) -> bytes:
    return "\r\n".join((HEADER, *rows)).encode()


def test_a_sheet_becomes_a_draft_with_the_same_effect(desk: Desk, diff: Diff) -> None:
    """A spreadsheet is tried out like any edit, keeps the comments, and writes nothing itself."""
    desk.letter("a", "Avgift")
    person = desk.person("anna", "router")
    assert _upload(person, _sheet(*ROWS))[0] == 303
    assert desk.file.read_text() == TEXT
    draft = desk.store.drafts.find("anna")
    assert draft
    assert draft.text == TEXT.replace('["skatt"]', '["skatt", "avgift"]')
    assert diff(person.try_out({}).text)["moved"] == "1"
    assert person.post("/routing/publish", {"reason": "regneark"}).status_code == 303
    assert desk.file.read_text() == draft.text


def test_faults_of_a_sheet_name_the_cell(desk: Desk) -> None:
    """A bad row is shown by its cell, and nothing becomes a draft."""
    person = desk.person("anna", "router")
    bad = "route;Feil;;;;post;974761077"
    status, text = _upload(person, _sheet(*ROWS[:3], bad, ROWS[3]))
    assert status == 422
    assert 'data-key="G5 (senders)"' in text
    assert "er ikke et gyldig organisasjonsnummer" in text
    assert desk.store.drafts.find("anna") is None


def test_what_is_downloaded_can_be_uploaded(desk: Desk) -> None:
    """A workbook of the page is the table: uploaded as it is, there is nothing to publish."""
    person = desk.person("anna", "router")
    answer = person.get("/routing/export.xlsx")
    assert answer.headers["content-disposition"] == 'attachment; filename="routing.xlsx"'
    assert answer.content.startswith(b"PK")
    assert _upload(person, answer.content, "routing.xlsx")[0] == 303
    assert desk.store.drafts.find("anna") is None


def _bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (8 << 20))
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        (b"", "ark.csv", "ingen fil er valgt"),
        (_bomb(), "ark.xlsx", "for stor når den er pakket ut"),
        (b"PK\x03\x04 no workbook", "ark.xlsx", "ikke en lesbar Excel-fil"),
        (b"\xff\xfe\x00", "ark.csv", "ikke i UTF-8"),
        (b"hei;du\r\n1;2\r\n", "ark.csv", "mangler"),
    ],
)
def test_what_is_no_table_is_refused(desk: Desk, content: bytes, name: str, problem: str) -> None:
    """A file that is no table, or that would fill the memory, is refused with what to do."""
    status, text = _upload(desk.person("anna", "router"), content, name)
    assert status == 422
    assert problem in text
    assert desk.store.drafts.find("anna") is None


def test_a_sheet_of_more_than_two_megabytes_is_refused(desk: Desk) -> None:
    """The size is known before anything is read."""
    status, _ = _upload(desk.person("anna", "router"), _sheet(*ROWS) + b" " * (2 << 20))
    assert status == 413


def test_rows_of_a_sheet_are_put_into_the_text() -> None:
    """Rows that are gone, new, changed and moved; comments of those that stay are kept."""
    wanted = parse_table(
        """\
[[recipient]]
name = "post"
deliver_to = ["erp"]
[[recipient]]
name = "ny"
deliver_to = ["erp"]
[[route]]
name = "Bygg"
senders = ["*kommune*"]
to = ["ny"]
[[route]]
name = "Skatt"
title_contains = ["skatt"]
to = ["post"]
[route.not]
senders = ["*bank*"]
[[route]]
name = "Alt annet"
to = ["post"]
""",
        "sheet",
        DESTINATIONS,
    )
    merged = with_rows_of(TEXT, wanted)
    found = checked(merged, DESTINATIONS).table
    assert found
    assert found.rows == wanted.rows
    kept = [line for line in TEXT.splitlines() if "kept:" in line]
    assert len(kept) == 4
    assert all(f"# {line.partition('# ')[2]}" in merged for line in kept)
    assert Draft(TEXT, TEXT).document.keys("route") == ["Skatt", "Alt annet"]


def test_a_sheet_that_the_text_cannot_take_replaces_it() -> None:
    """What holds for the whole table is not a row; then the sheet's own text is the draft."""
    wanted = parse_table("follow_thread = true\n" + TEXT, "sheet", DESTINATIONS)
    assert with_rows_of(TEXT, wanted) == wanted.text
    assert with_rows_of("[[route", wanted) == wanted.text
