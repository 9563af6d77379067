"""Titles that hold personal data, by the owner table, are seen nowhere but in the properties."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from datetime import timedelta
from typing import cast
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from connectors.sandbox.dialogs import DialogFile, PretendAddress, PretendTransmission
from daemon.core.document import letter_document
from daemon.core.model import message_id
from daemon.intake.new_letter import MarkPolicies
from daemon.store.content_folder import ContentFolder
from tests.connectors.dialog_post import (
    SCOPE,
    DialogPost,
    new_post,  # noqa: F401  # a fixture
)
from tests.unit.conftest import TABLE, Clock, new_intake
from tests.unit.page.conftest import Site

PLANTED = ("Planta", "010190", "sykmeldt")


@pytest.fixture
def letters(post: DialogPost, site: Site, caplog: pytest.LogCaptureFixture) -> list[UUID]:
    """A dialog and a transmission, with planted words, fetched into the page's store; no log has
    any."""
    rule = {"hosts": [post.owner.url], "scope": SCOPE, "title": "hide", "name": "Nav"}
    post.open(owners={"nav": rule})
    good = post.file(content=b"%PDF-1.7 vedtak").addresses
    files = (
        DialogFile(addresses=good, display_name="Sykmeldt Kari Planta 010190.pdf"),
        DialogFile(addresses=(PretendAddress(url="https://x.no/1"),), name="Planta 010190.pdf"),
    )
    due = post.altinn.clock.now() + timedelta(days=3)
    post.add(
        PretendTransmission(title="Vedtak for Kari Planta", summary="Sykmeldt", files=files),
        title="Sak Kari Planta 010190",
        summary="Sykmeldt fra mandag",
        due_at=due,
    )
    content = ContentFolder(site.folder / "content")
    clock = cast("Clock", post.altinn.clock.now)
    intake = new_intake(site.store, content, clock, lambda: TABLE)
    site.store.letters.note_table(TABLE.version, TABLE.text, post.altinn.clock.now())
    (channel, *_) = post.mailbox.channels()
    work = [(channel, ref) for ref in post.refs().values()]
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logged:
        intake.fetch(post.mailbox, MarkPolicies(), work, threading.Event())
    assert not planted(f"{logged} {caplog.text}")
    return [message_id("dialoger", ref.external_id) for _, ref in work]


def planted(text: str) -> list[str]:
    """Return the planted words that are in the text."""
    return [each for each in PLANTED if each.lower() in text.lower()]


def test_only_the_properties_have_them(site: Site, letters: list[UUID]) -> None:
    """Of the whole database, so that reminders, digests, warnings and lists, which read it, cannot
    have them; attachments have neutral names."""
    found = set[tuple[str, str]]()
    with sqlite3.connect(site.folder / "postmottak.db") as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            rows = connection.execute(f'SELECT * FROM "{table}"')
            columns = [each[0] for each in rows.description]
            for row in rows:
                pairs = zip(columns, row, strict=True)
                found |= {(table, name) for name, value in pairs if planted(str(value))}
    assert found == {("messages", "properties")}
    names = [each.original_name for key in letters for each in site.store.queries.attachments(key)]
    assert names == ["vedlegg-1", "vedlegg-2"]


def test_what_is_handed_on_has_them_among_the_properties(site: Site, letters: list[UUID]) -> None:
    """Mails, file drops and calls are made from this document."""
    store, kept = site.store, ""
    for key in letters:
        message = store.queries.message(str(key))
        document = letter_document(
            message,
            store.queries.attachments(key),
            store.queries.decisions(key)[-1],
            store.queries.deliveries(message_id=key)[0],
        )
        facts = json.loads(document.model_dump_json())
        kept += json.dumps(facts.pop("properties"), ensure_ascii=False)
        assert not planted(json.dumps(facts, ensure_ascii=False))
    assert planted(kept) == list(PLANTED)


def test_the_page_and_its_index_have_none(site: Site, letters: list[UUID]) -> None:
    """Lists, searches, the CSV list, the letter itself, deadlines and deliveries."""
    visitor = site.user("kari", "reader", "operator", "receiver")
    paths = ["/letters", "/letters.csv", "/deadlines", "/deliveries", "/my", "/overview"]
    paths += [f"/letters/{key}" for key in letters]
    for path in paths:
        assert not planted(visitor.get(path).text), path
    listed = visitor.get("/letters").text
    assert all(str(key) in listed for key in letters)
    for word in PLANTED:
        found = visitor.get("/letters", params={"q": word}).text
        assert not any(str(key) in found for key in letters), word
    for index in site.folder.glob("search.db*"):
        assert not planted(index.read_bytes().decode("latin-1")), index.name
