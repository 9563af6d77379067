"""The journal: nothing that is bound by it is changed unseen, and it agrees with the tables."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.errors import OperatorError
from daemon.core.model import MarkKind, Policy, message_id
from daemon.store import Actor, RoleGrant, Store, results
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.bindings import BINDINGS, Binding
from daemon.store.journal.heads import Head, head_of, public_of
from daemon.store.journal.key import key_path, make_key, read_key
from daemon.store.journal.rows import canonical, ordered, private_hash
from tests.unit.claiming import LEASE, RECEIPT, SECOND
from tests.unit.conftest import NOW, Clock, stored_letter
from tests.unit.journal_edits import (
    a_field,
    a_lie,
    a_row_removed,
    by_hand,
    change,
    edit_at_random,
    one_inserted,
    two_swapped,
)
from tests.unit.test_retention import keeper

pytestmark = pytest.mark.both_databases

KARI = Actor(name="kari")
RULES = {"body": "20d", "attachments": "20d", "metadata": "40d"}


def live(store: Store, content: ContentFolder, clock: Clock) -> None:
    """Do everything that the journal binds: letters come and go, people answer, rights change."""
    marks = {MarkKind.READ: Policy.STORED, MarkKind.CONFIRMED: Policy.DELIVERED}
    content.put([b"pdf"])
    for name in ("gone 1", "gone 2"):
        store.letters.add([stored_letter(name, marks={MarkKind.READ: Policy.STORED})])
        (claim,) = store.outbox.claim("me", NOW, LEASE, 20)
        store.outbox.end([results.delivered(claim, RECEIPT, NOW, NOW + SECOND)])
    mark_all(store)
    clock.advance(days=45)
    keeper(store, content, clock, **RULES).run("service", threading.Event())
    names = [f"letter {number}" for number in range(8)]
    content.put([b"pdf"])
    letters = [stored_letter(name, marks=marks, due_at=NOW) for name in names]
    store.letters.add(letters, has=content.has)
    claims = sorted(store.outbox.claim("me", NOW, LEASE, 20), key=lambda each: each.id)
    ends = [results.delivered(each, RECEIPT, NOW, NOW + SECOND) for each in claims[:6]]
    ends.append(results.deferred(claims[6], "nobody is at home", NOW, NOW, NOW + SECOND))
    ends.append(results.dead(claims[7], "no such folder", NOW, NOW + SECOND))
    store.outbox.end(ends)
    mark_all(store)
    store.outbox.picked_up(ends[0].claim.id, NOW + SECOND, None)
    first = ends[0].claim.delivery.message_id
    store.acknowledgements.acknowledge(first, "Kari Nordmann", NOW, KARI)
    store.deadlines.confirm(first, "Kari Nordmann", NOW, KARI, due_at=NOW + timedelta(days=9))
    held = ends[1].claim.delivery.message_id
    store.retention.hold(held, "ola", "sak 12", NOW)
    store.retention.end_hold(held, "ola", NOW + SECOND)
    store.retention.hold(held, "ola", "sak 13", NOW + SECOND)
    rules = {**RULES, "metadata": "50d"}
    keeper(store, content, clock, **rules).run("service", threading.Event())
    store.letters.add([stored_letter("new", marks=marks), stored_letter("secret", ("erp", "mail"))])
    store.users.add("anna", NOW, KARI, grants=[RoleGrant(role="reader")], password_hash="$argon2$x")
    store.users.grant("anna", [RoleGrant(role="reader"), RoleGrant(role="confidential")], NOW, KARI)
    store.users.disable("anna", NOW, KARI)
    store.events.add(NOW, kind="letter-opened", user="anna", message_id=message_id("altinn", "new"))


def mark_all(store: Store) -> None:
    """Send every mark that is due."""
    for mark, _ in store.marks.due("altinn", NOW + SECOND, 100):
        store.marks.done(mark, NOW + SECOND)


@pytest.fixture(name="key")
def the_key(database: Path) -> bytes:
    """The key that signs."""
    make_key(key_path(database))
    return read_key(key_path(database))


@pytest.fixture(name="lived")
def a_store_with_everything(
    store: Store, content: ContentFolder, clock: Clock, key: bytes
) -> tuple[Store, Head]:
    """A store in which everything has happened, with a head that was published."""
    live(store, content, clock)
    store.journal.sign(key, NOW)
    store.events.add(NOW, kind="letter-opened", user="anna")
    return store, store.journal.sign(key, NOW)


def faults(path: Path, heads: list[Head], key: bytes) -> list[str]:
    """What `journal verify` finds."""
    store = Store(f"sqlite:///{path}")
    try:
        found = [str(each) for each in store.journal.verify(heads, [public_of(key)]).faults]
    finally:
        store.close()
    assert [each for each in found if "(," in each or each.startswith(":")] == []
    return found


def test_an_untouched_store_has_no_fault(lived: tuple[Store, Head], key: bytes) -> None:
    """Whatever the service did, the journal agrees with the tables, and its heads are valid."""
    store, head = lived
    found = store.journal.verify([head], [public_of(key)])
    assert ([str(each) for each in found.faults], found.signed_until) == ([], head.sequence - 1)
    kinds = {row[0] for row in rows_of(store, "SELECT DISTINCT kind FROM journal")}
    assert kinds >= {
        *("begun", "stored", "attempt", "mark", "pickup", "acknowledgement", "deadline", "head"),
        *("legal-hold", "retention", "user", "rights", "event", "table-in-force"),
    }


def rows_of(store: Store, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with store.events._database.read_one() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement)]


@pytest.mark.about_sqlite("the columns are the same, and asked for by SQLite's own word")
def test_every_column_of_a_bound_table_is_decided(lived: tuple[Store, Head]) -> None:
    """A new column fails this until it is in the journal, or is named as not bound."""
    store, _ = lived
    for binding in BINDINGS:
        there = {row[1] for row in rows_of(store, f"PRAGMA table_info({binding.table})")}
        assert there == {*binding.columns, *binding.unbound}, binding.table


def test_facts_are_canonical_json(lived: tuple[Store, Head]) -> None:
    """The facts are what a library for RFC 8785 writes."""
    store, _ = lived
    for (facts,) in rows_of(store, "SELECT facts FROM journal"):
        assert rfc8785.dumps(json.loads(facts)).decode() == facts


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc_zZ09"), inner),
    )
)
def test_canonical_json_is_that_of_a_library(value: object) -> None:
    """The encoders that are faster write the same bytes."""
    wanted = rfc8785.dumps(value)  # type: ignore[arg-type]  # JSON
    assert canonical(value).encode() == wanted
    assert ordered(json.loads(canonical(value))) == wanted


def test_no_words_of_a_letter_are_in_the_journal(lived: tuple[Store, Head]) -> None:
    """Titles, texts, names of files, senders and persons are hashes."""
    store, _ = lived
    written = " ".join(str(row) for row in rows_of(store, "SELECT * FROM journal")).lower()
    for word in ("næringsareal", "hei på deg", "å.pdf", "skatteetaten", "nordmann", "argon"):
        assert word not in written


def test_what_retention_deleted_has_no_salt(lived: tuple[Store, Head]) -> None:
    """The salts of deleted texts and letters are gone, so that nobody can try what they were; their
    rows stay."""
    store, _ = lived
    texts = "SELECT message_id FROM deletions WHERE part = 'body'"
    gone = "SELECT message_id FROM tombstones"
    assert (len(rows_of(store, texts)), len(rows_of(store, gone))) == (7, 2)
    salts = "SELECT count(*), count(salt), count(body_salt) FROM journal WHERE subject IN ({})"
    assert rows_of(store, salts.format(gone)) == [(8, 0, 0)]
    ((count, salted, body),) = rows_of(store, salts.format(f"{texts} EXCEPT {gone}"))
    assert (body, count > salted > 0) == (0, True)


@pytest.mark.about_sqlite("others verify values as SQLite has them")
def test_private_values_can_be_verified_by_others(lived: tuple[Store, Head]) -> None:
    """A hash is that of the salt of the letter and its values by name, as canonical JSON."""
    store, _ = lived
    letter = f"'{message_id('altinn', 'new').hex}'"
    ((facts, salt),) = rows_of(
        store, f"SELECT facts, salt FROM journal WHERE subject = {letter} AND kind = 'stored'"
    )
    values = rows_of(store, f"SELECT * FROM decisions WHERE message_id = {letter}")[0]
    names = [row[1] for row in rows_of(store, "PRAGMA table_info(decisions)")]
    there = dict(zip(names, values, strict=True))
    (binding,) = [each for each in BINDINGS if each.table == "decisions"]
    usual = {name: binding.defaults.get(name) for name in there}
    private = {name: there[name] for name in binding.private if there[name] != usual[name]}
    (entry,) = json.loads(facts)["decisions"]
    digest = sha256(salt + rfc8785.dumps({"decisions": private})).hexdigest()
    assert entry["private_hash"] == digest[:32]
    assert private_hash("decisions", dict(sorted(private.items())), salt) == digest[:32]


@pytest.mark.about_sqlite("edits of the file; `test_postgresql` has one of a row there")
def test_a_letter_has_its_salts_once(lived: tuple[Store, Head], key: bytes, database: Path) -> None:
    """Salts are in the first row of a letter; one that is put elsewhere is found."""
    store, head = lived
    letter = message_id("altinn", "letter 0").hex
    ((count, salts),) = rows_of(
        store, f"SELECT count(*), count(salt) FROM journal WHERE subject = '{letter}'"
    )
    assert (count > 3, salts) == (True, 1)
    store.close()
    with by_hand(database) as connection:
        connection.execute(
            "UPDATE journal SET salt = (SELECT salt FROM journal WHERE subject = ?1 AND salt "
            "IS NOT NULL) WHERE sequence = (SELECT max(sequence) FROM journal WHERE subject = ?1)",
            (letter,),
        )
    (fault,) = faults(database, [head], key)
    assert "its salt was inserted" in fault
    with by_hand(database) as connection:
        connection.execute("UPDATE journal SET salt = NULL WHERE subject = ?", (letter,))
    assert any("its salt was removed" in each for each in faults(database, [head], key))


@pytest.mark.about_sqlite("edits of the file; `test_postgresql` has one of a row there")
@pytest.mark.parametrize("binding", BINDINGS, ids=lambda each: each.table)
def test_each_bound_column_is_bound(
    binding: Binding, lived: tuple[Store, Head], key: bytes, database: Path
) -> None:
    """A change of any column, and of which letter a row belongs to, is found."""
    lived[0].close()
    content = database.read_bytes()
    for column in sorted({*binding.columns, binding.walked}):
        with by_hand(database) as connection:
            row = connection.execute(f"SELECT rowid FROM {binding.table} LIMIT 1").fetchone()
            change(connection, binding.table, column, row[0], random.Random(column))
        assert faults(database, [lived[1]], key), column
        database.write_bytes(content)


@pytest.mark.about_sqlite("PostgreSQL keeps nothing in a column that is not of its type")
@pytest.mark.parametrize("value", ["x'ff'", "CAST(x'ff' AS TEXT)"], ids=["bytes", "no UTF-8"])
@pytest.mark.parametrize("binding", BINDINGS, ids=lambda each: each.table)
def test_what_is_no_text_is_found(
    binding: Binding, value: str, lived: tuple[Store, Head], key: bytes, database: Path
) -> None:
    """Bytes in place of any bound value, and texts that are not UTF-8, are found as each change is,
    and keep nobody from verifying the rest."""
    lived[0].close()
    content = database.read_bytes()
    with by_hand(database) as connection:
        columns = connection.execute(f"PRAGMA table_info({binding.table})").fetchall()
    of_numbers = {name for _, name, kind, *_, is_key in columns if is_key and kind == "INTEGER"}
    for column in sorted({*binding.columns, binding.walked} - of_numbers):
        with by_hand(database) as connection:
            first = f"rowid = (SELECT min(rowid) FROM {binding.table})"
            connection.execute(f'UPDATE {binding.table} SET "{column}" = {value} WHERE {first}')
        assert faults(database, [lived[1]], key), column
        database.write_bytes(content)


@pytest.mark.about_sqlite("edits of the file; `test_postgresql` has one of a row there")
@pytest.mark.parametrize("turn", range(10))
def test_a_thousand_random_edits_are_found(
    turn: int, lived: tuple[Store, Head], key: bytes, database: Path
) -> None:
    """Each edit of the file by hand is found with the head that was published; without any, there
    is no fault."""
    store, head = lived
    store.close()
    content = database.read_bytes()
    assert faults(database, [head], key) == []
    for number in range(100):
        edit = edit_at_random(database, random.Random(1000 * turn + number))
        assert faults(database, [head], key), (edit.__name__, turn, number)
        database.write_bytes(content)


@pytest.mark.about_sqlite("edits of the file; `test_postgresql` has one of a row there")
def test_a_fault_is_named(lived: tuple[Store, Head], key: bytes, database: Path) -> None:
    """The row of the journal, its letter and the table are named, and no word of the letter."""
    store, head = lived
    letter = message_id("altinn", "new")
    with by_hand(database) as connection:
        connection.execute("UPDATE messages SET title = 'Sak 1' WHERE id = ?", (letter.hex,))
        connection.execute("DELETE FROM journal WHERE sequence = 1")
    first, *rest = [str(each) for each in store.journal.verify([head], [public_of(key)]).faults]
    assert first == "row 1: is missing"
    (fault,) = [each for each in rest if "messages" in each]
    assert str(letter) in fault
    assert fault.endswith("messages was changed: private_hash")


NEWEST = "(SELECT max(sequence) FROM journal)"


@pytest.mark.about_sqlite("edits of the file; `test_postgresql` has one of a row there")
@pytest.mark.parametrize(
    "edit",
    [
        f"UPDATE journal SET hash = 'no bytes' WHERE sequence = {NEWEST}",
        f"UPDATE journal SET hash = 10000000000000 WHERE sequence = {NEWEST}",
        f"UPDATE journal SET hash = CAST(x'ff' AS TEXT) WHERE sequence = {NEWEST}",
        (
            "INSERT INTO journal SELECT 9223372036854775807, at, kind, subject, facts, NULL, NULL, "
            f"hash FROM journal WHERE sequence = {NEWEST}"
        ),
    ],
    ids=["text for a hash", "a number for a hash", "no UTF-8", "the highest number"],
)
def test_an_edit_of_the_newest_row_stops_no_letter(
    edit: str, lived: tuple[Store, Head], key: bytes, database: Path
) -> None:
    """Letters are stored as before, also after another start, and the edit is found."""
    store, head = lived
    with by_hand(database) as connection:
        connection.execute(edit)
    assert store.letters.add([stored_letter("later")]).new
    again = Store(f"sqlite:///{database}")
    assert again.letters.add([stored_letter("after another start")]).new
    again.close()
    assert faults(database, [head], key)


def test_a_foreign_key_signs_nothing(lived: tuple[Store, Head], tmp_path: Path) -> None:
    """Heads that somebody else has signed are found by the key, and a changed head is refused."""
    store, head = lived
    make_key(tmp_path / "other")
    other = public_of(read_key(tmp_path / "other"))
    found = [str(each) for each in store.journal.verify([], [other]).faults]
    assert len(found) == 2
    assert all("another key" in each for each in found)
    with pytest.raises(OperatorError, match="its signature is wrong"):
        head_of(replace(head, sequence=head.sequence + 1).text())
    assert head_of(head.text()) == head


@pytest.mark.about_sqlite("it has no database")
def test_the_key_is_its_owners_and_stays(database: Path) -> None:
    """The key is made once, and nobody else can read it."""
    path = key_path(database)
    assert make_key(path)
    first = read_key(path)
    assert not make_key(path)
    assert (read_key(path), path.stat().st_mode & 0o777) == (first, 0o600)


@pytest.mark.about_sqlite("edits of the file; `test_postgresql` has one of a row there")
def test_a_letter_of_an_earlier_version_is_bound_from_the_upgrade_on(
    lived: tuple[Store, Head], key: bytes, database: Path
) -> None:
    """An empty journal begins with a row for each letter that is there already."""
    lived[0].close()
    with by_hand(database) as connection:
        connection.execute("DELETE FROM journal")
    store = Store(f"sqlite:///{database}")
    assert store.journal.verify().faults == []
    head = store.journal.sign(key, NOW)
    kinds = {row[0] for row in rows_of(store, "SELECT kind FROM journal")}
    assert kinds == {"begun", "migrated", "head"}
    store.close()
    for edit in (a_field, a_row_removed, two_swapped, one_inserted, a_lie):
        content = database.read_bytes()
        with by_hand(database) as connection:
            edit(connection, random.Random(1))
        assert faults(database, [head], key), edit.__name__
        database.write_bytes(content)


def undone(store: Store) -> None:
    """A transaction that changes something, and fails."""
    with store.events._database.write() as session:
        session.connection().exec_driver_sql("UPDATE routing_versions SET text = 'x'")
        raise RuntimeError


def test_a_transaction_that_is_undone_leaves_no_row(store: Store) -> None:
    """What a transaction did before it failed is in no row of the journal, nor in the next one."""
    before = rows_of(store, "SELECT count(*) FROM journal")
    with pytest.raises(RuntimeError):
        undone(store)
    store.users.all()  # a transaction that reads, by the same connection
    assert rows_of(store, "SELECT count(*) FROM journal") == before
    store.events.add(NOW, kind="test", user="anna")
    assert rows_of(store, "SELECT count(*) FROM journal")[0][0] == before[0][0] + 1
    assert store.journal.verify().faults == []
