"""The PDF of an evidence, read by another program."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.core.model import message_id
from daemon.page.reasons import reasons_in
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.heads import fingerprint, public_of
from tests.unit.conftest import NOW, Clock
from tests.unit.evidence import Case, live, members, new_case
from tests.unit.office import TEXT
from tests.unit.test_retention import keeper

pytest.importorskip("fpdf", reason="fpdf2 is not installed")
_SHOWN_ELSEWHERE = {"body", "summary"}


@pytest.fixture(name="case")
def the_case(store: Store, content: ContentFolder, clock: Clock, database: Path) -> Case:
    """A letter to which everything has happened."""
    case = new_case(store, content, clock, database)
    case.office.put_in_force(TEXT)
    case.office.mailbox.publish("b", b"a file", b"another")
    live(case)
    return case


def text_of(pdf: bytes) -> str:
    """What another program reads: poppler's pdftotext or, where that is missing, pypdf."""
    if shutil.which("pdftotext"):
        done = subprocess.run(
            ["pdftotext", "-raw", "-", "-"], input=pdf, capture_output=True, check=True
        )
        return done.stdout.decode()
    pypdf: Any = pytest.importorskip("pypdf", reason="neither pdftotext nor pypdf is installed")
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def squeezed(text: str) -> str:
    """The text without blanks: lines end where they are full."""
    return re.sub(r"\s", "", text)


def values_of(evidence: Any) -> Iterator[str]:
    """Every date, hash and name that the evidence has."""
    for row in evidence["rows"]:
        for column, value in row["values"].items():
            if value not in {None, "", "[]", "{}", "null"} and column not in _SHOWN_ELSEWHERE:
                yield str(value)


@pytest.mark.parametrize("language", ["nb", "en"])
def test_every_date_hash_and_name_is_on_it(case: Case, language: str) -> None:
    """Another program reads every value of the letter and of its journal from it."""
    for name in ("a", "b"):
        files = members(case.export(name, f"{name}.zip", language=language))
        text, evidence = (
            squeezed(text_of(files["evidence.pdf"])),
            json.loads(files["evidence.json"]),
        )
        missing = [each for each in values_of(evidence) if squeezed(each) not in text]
        assert missing == []
        for row in evidence["journal"]:
            assert f"{row['sequence']},{row['kind']}," in text
        for head in _heads(evidence):
            assert head["hash"] in text
        assert evidence["tables"][0]["version"] in text
        assert public_of(case.key) in text
        assert fingerprint(public_of(case.key)) in text
        assert squeezed("Hei på deg") in text


def _heads(evidence: Any) -> list[Any]:
    rows = [json.loads(each["facts"]) for each in evidence["journal"] if each["kind"] == "head"]
    return [each["head"][0] for each in rows]


def test_people_read_it(case: Case) -> None:
    """Times are those of Norway with their zone, and headings are in the language that was asked
    for."""
    norwegian = text_of(members(case.export("a", "nb.zip", language="nb"))["evidence.pdf"])
    assert norwegian.startswith("Bevis for et brev")
    for words in (
        "24.11.2026 10:00:00 +0100",
        "kvittert av Kari Nordmann: tar den",
        "åpnet av anna 10.0.0.7: saken min",
        "bevis laget av ola: sak 12",
        "Skatt",
        "tok brevet",
        "forsøk på levering til mail: levert",
    ):
        assert words in norwegian
    english = text_of(members(case.export("a", "en.zip", language="en"))["evidence.pdf"])
    assert english.startswith("Evidence of a letter")
    assert "2026-11-24 10:00:00 +0100" in english
    assert "opened by anna 10.0.0.7: saken min" in english


def test_reasons_are_in_its_language(case: Case) -> None:
    """Why routes took the letter or not is said as the page says it; evidence.json has routing's
    own words in each language."""
    files = members(case.export("a", "nb.zip", language="nb", reason_of=reasons_in("nb")))
    norwegian = squeezed(text_of(files["evidence.pdf"]))
    assert squeezed("tok brevet: ord i tittelen: skatt") in norwegian
    assert squeezed("ikke prøvd: en tidligere rute bestemte") in norwegian
    assert squeezed("an earlier route decided") not in norwegian
    assert b'"reason": "an earlier route decided"' in files["evidence.json"]
    assert reasons_in("en") is None


def test_what_was_deleted_is_on_it(
    case: Case, store: Store, content: ContentFolder, clock: Clock
) -> None:
    """Of a deleted letter, what was deleted, when and by which rule."""
    letter = message_id("altinn", "a")
    store.retention.end_hold(letter, "per", NOW)
    case.office.deliver("archive", "mail")
    clock.advance(days=45)
    rules = {"body": "20d", "attachments": "20d", "metadata": "40d"}
    keeper(store, content, clock, **rules).run("service", threading.Event())
    text = text_of(members(case.export(str(letter), language="en"))["evidence.pdf"])
    assert "The letter was deleted by the rules of keeping." in text
    assert "rule [retention]: metadata = 40d" in text
    assert "2027-01-08 10:00:00 +0100, by service" in text


def test_signs_that_it_cannot_show(case: Case) -> None:
    """Letters of other languages are replaced, which it says."""
    case.office.fetch("c", title="Skatt 漢字", sender_name="Áŋŋel")
    text = text_of(members(case.export("c", language="nb"))["evidence.pdf"])
    assert "Skatt ??" in text
    assert "Ánnel" in text
    assert "er erstattet" in text
