"""`coverage`: whose post can be read, and whose delegation is missing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from daemon.core.bookkeeping import Bookmark
from daemon.core.coverage import CoverageFinding, FindingKind
from daemon.core.parties import MailboxParty
from daemon.service import stack
from tests.unit.conftest import NOW
from tests.unit.service.conftest import Command

READ, REFUSED, NEW, GONE = "991825827", "974761076", "971032081", "974760673"


@pytest.fixture
def clients(command: Command, configuration_file: Path) -> None:
    """Four clients: one that is read, one without a delegation, one that is new, one that left."""
    command("poll")
    store = stack.open_store(stack.load_configuration(configuration_file))
    rows = [(READ, "4255/8", True), (READ, "5504/1", False), (REFUSED, "4255/8", False)]
    store.bookmarks.save(
        [
            Bookmark(
                mailbox="altinn",
                party=party,
                service=service,
                resource=service,
                begun=begun,
                refused=not begun,
            )
            for party, service, begun in rows
        ]
    )
    store.mailbox_parties.save(
        MailboxParty(
            mailbox="altinn",
            party=party,
            name=f"Firma {party}",
            found_at=NOW,
            gone_at=NOW if party == GONE else None,
        )
        for party in (READ, REFUSED, NEW, GONE)
    )
    store.close()


def test_each_client_is_listed(command: Command, clients: None) -> None:
    """Ordinary and confidential post apart, and what is not known yet as such."""
    ended = command("coverage", "--clients", "--json")
    found = {each["party"]: (each["ordinary"], each["confidential"]) for each in ended.json}
    assert found == {
        READ: (True, False),
        REFUSED: (False, None),
        NEW: (None, None),
        GONE: (None, None),
    }
    assert ended.code == 3
    out = command("coverage", "--clients").out
    assert all(each in out for each in (READ, REFUSED, NEW, GONE, "Firma", "not known yet"))


def test_what_is_missing_comes_first(command: Command, clients: None) -> None:
    """Without --clients only those are listed whose post cannot be read, with what to do."""
    out = command("coverage").out
    assert REFUSED in out
    assert GONE in out
    assert NEW not in out
    assert "2 of 4 organisations cannot be read" in out
    missing = command("coverage", "--json").json
    assert (missing["organisations"], len(missing["missing"])) == (4, 2)


def test_what_was_never_asked_is_not_read(command: Command, configuration_file: Path) -> None:
    """Organisations that nobody has asked for yet are named, and not counted as read."""
    command("poll")
    path = stack.load_configuration(configuration_file).store.beside
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM bookmarks")
    ended = command("coverage")
    assert "not known yet whether the ordinary post of 1 organisation can be read" in ended.out
    assert "as far as is known" not in ended.out
    assert command("coverage", "--json").json["unknown"] == 1
    assert READ in command("coverage", "--clients").out


def test_without_a_store_row_nothing_is_missing(command: Command) -> None:
    """A mailbox that was never read has nothing to report."""
    command("poll")
    ended = command("coverage")
    assert ended.code == 0
    assert "1 organisation can be read" in ended.out


def test_it_says_when_it_was_looked(command: Command, configuration_file: Path) -> None:
    """What was never looked at is not called fine; afterwards it says when that was."""
    command("poll")
    path = stack.load_configuration(configuration_file).store.beside
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM coverage_looks")
    ended = command("coverage")
    assert "not every mailbox has been looked at yet" in ended.out
    assert "senders have not been looked at yet" in ended.out
    assert command("coverage", "--json").json["senders_at"] is None
    command("poll")
    found = command("coverage", "--json").json
    assert found["compared_at"]
    assert found["senders_at"]
    assert "yet" not in command("coverage").out


def test_what_keeps_letters_away_is_listed(command: Command, configuration_file: Path) -> None:
    """With first seen, since when and what to do; exit code 3; no sender of confidential post."""
    command("poll")
    store = stack.open_store(stack.load_configuration(configuration_file))
    rows = [
        CoverageFinding(
            kind=FindingKind.SENDER,
            mailbox="altinn",
            party=READ,
            subject=number,
            name=name,
            confidential=secret,
            reason="it was regular, and its longest pause in a year was 7 days",
            first_seen_at=NOW,
            since=NOW - timedelta(days=30),
        )
        for number, name, secret in ((NEW, "Etaten", False), (GONE, "Domstolen", True))
    ]
    store.coverage.note("altinn", (FindingKind.SENDER,), rows, NOW)
    store.close()
    ended = command("coverage", "--json")
    assert ended.code == 3
    known, hidden = ended.json["findings"]
    assert (known["kind"], known["party"], known["subject"]) == ("sender", READ, NEW)
    assert known["name"] == "Etaten"
    assert "ask the sender" in known["remedy"]
    assert known["first_seen_at"].startswith(f"{NOW:%Y-%m-%d}")
    assert (hidden["subject"], hidden["name"], hidden["confidential"]) == ("", "", True)
    out = command("coverage").out
    assert all(each in out for each in (NEW, "Etaten", "(confidential post)", "ask the sender"))
    last, longest = f"{NOW - timedelta(days=30):%Y-%m-%d}", "its longest pause in a year was 7 days"
    assert all(each in out for each in (f"its last letter came {last}", longest, "six days"))
    assert GONE not in out
    assert "Domstolen" not in out
