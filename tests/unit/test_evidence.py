"""The evidence of a letter: whole, of nothing else, and no change of it stays unseen."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from daemon.core.document import letter_document
from daemon.core.errors import ContentMissing, OperatorError
from daemon.core.model import DeliveryState, message_id
from daemon.maintenance.evidence.document import evidence_schema
from daemon.maintenance.evidence.verifying import verify_evidence
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.key import key_path
from tests.unit.conftest import NOW, ROOT, SECRET, Clock, stored_letter
from tests.unit.evidence import (
    KARI,
    Case,
    found,
    live,
    members,
    new_case,
    packed,
    row_of,
    sealed_again,
    with_json,
)
from tests.unit.journal_edits import by_hand
from tests.unit.office import TEXT
from tests.unit.test_retention import keeper

SCHEMA_FILE = ROOT / "docs" / "evidence.schema.json"
RENEW = (
    ".venv/bin/python -c 'import json; from daemon.maintenance.evidence.document import "
    "evidence_schema as s; print(json.dumps(s(), indent=2, ensure_ascii=False))' "
    "> docs/evidence.schema.json"
)
PLANTED = "hemmeligord"


@pytest.fixture(name="case")
def the_case(store: Store, content: ContentFolder, clock: Clock, database: Path) -> Case:
    """A letter to which everything has happened."""
    case = new_case(store, content, clock, database)
    case.office.put_in_force(TEXT)
    case.office.mailbox.publish("a", b"a file")
    live(case)
    return case


def test_the_published_schema_is_the_codes() -> None:
    """docs/evidence.schema.json is what the code says; when a change is meant, renew it with the
    command that a failure shows."""
    text = json.dumps(evidence_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMA_FILE.exists(), f"Renew it: {RENEW}"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == text, f"Renew it: {RENEW}"


def test_an_evidence_has_everything(case: Case) -> None:
    """It has the letter as a drop has it, every row of it in the store, its journal, the table that
    decided with its explanation, who opened it, and the export itself; and it is in order."""
    path = case.export()
    assert found(path) == []
    files = members(path)
    evidence = json.loads(files["evidence.json"])
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(evidence)
    tables = {each["table"] for each in evidence["rows"]}
    assert tables == {
        *("messages", "decisions", "deliveries", "attempts", "acknowledgements", "deadlines"),
        *("legal_holds", "events"),
    }
    events = [each["values"] for each in evidence["rows"] if each["table"] == "events"]
    assert [each["user"] for each in events if each["kind"] == "letter-opened"] == ["anna"]
    assert [each["user"] for each in events if each["kind"] == "evidence-exported"] == ["ola"]
    kinds = {each["kind"] for each in evidence["journal"]}
    assert kinds >= {"stored", "attempt", "acknowledgement", "legal-hold", "head", "event"}
    assert files[f"tables/{case.office.table.version}.toml"].decode() == TEXT
    (explained,) = evidence["explanations"]
    results = {each["route"]: each["result"] for each in explained["routes"]}
    assert results == {"Fortrolig": "lost", "Skatt": "won", "Alt annet": "not reached"}
    assert files["letter/message.json"].decode() == _as_dropped(case)


def _as_dropped(case: Case) -> str:
    """The letter's message.json in the drop that has it."""
    queries = case.store.queries
    message = queries.message("a")
    (delivery, *_) = queries.deliveries(message_id=message.id, state=DeliveryState.DELIVERED)
    document = letter_document(
        message, queries.attachments(message.id), queries.decisions(message.id)[0], delivery
    )
    return document.model_dump_json(indent=2) + "\n"


def test_an_attachment_is_in_it(case: Case) -> None:
    """The bytes of attachments are there, and a change of one is found against the journal."""
    case.office.mailbox.publish("b", b"a file", title="Skatt")
    case.office.clock.advance(hours=1)
    case.office.fetch("c")
    path = case.export("b")
    files = members(path)
    assert (found(path), files["letter/001-vedlegg-1.pdf"]) == ([], b"a file")
    lies = {**files, "letter/001-vedlegg-1.pdf": b"another"}
    assert found(sealed_again(path, lies, case.key)) == [
        "letter/001-vedlegg-1.pdf: was changed: it is not what the journal has"
    ]


def test_any_byte(case: Case, tmp_path: Path) -> None:
    """Whichever byte is changed, removed or added, verification finds it."""
    path = case.export()
    data, by, target = path.read_bytes(), random.Random(24), tmp_path / "changed.zip"
    for _ in range(400):
        place = by.randrange(len(data))
        what = by.randrange(4)
        if what == 0:
            changed = (
                data[:place] + bytes([data[place] ^ (1 << by.randrange(8))]) + data[place + 1 :]
            )
        elif what == 1:
            changed = data[:place] + data[place + 1 :]
        elif what == 2:
            changed = data[:place] + b"\0" + data[place:]
        else:
            changed = data[:place]
        target.write_bytes(changed)
        assert _is_found(target), (what, place)


def _is_found(path: Path) -> bool:
    try:
        return bool(verify_evidence(path).findings)
    except OperatorError:
        return True


def test_each_file_is_named(case: Case, tmp_path: Path) -> None:
    """A file that is changed, removed or added is named, whatever else is found."""
    path = case.export()
    files, comment = members(path), _comment(path)
    for name in files:
        data = files[name]
        place = len(data) // 2
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        shown = "\n".join(found(packed(tmp_path, {**files, name: changed}, comment)))
        expected = "SHA256SUMS" if name == "SHA256SUMS.sig" else name
        assert f"{expected}: " in shown, name
        assert shown.startswith("the file: it was changed, or packed again")
        rest = {each: data for each, data in files.items() if each != name}
        assert f"{name}: is missing" in found(packed(tmp_path, rest, comment))
    added = packed(tmp_path, {**files, "letter/002-x.pdf": b"x"}, comment)
    assert "letter/002-x.pdf: is not in SHA256SUMS: it was added" in found(added)


def test_a_damaged_file_is_named_once(case: Case) -> None:
    """What cannot be read any more is not compared, and is no zip of another kind."""
    path = case.export()
    data = bytearray(path.read_bytes())
    data[data.index(b'"evidence_version"')] ^= 1
    path.write_bytes(data)
    assert [each.partition(":")[0] for each in found(path)] == ["the file", "evidence.json"]


def _comment(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.comment


def _title(evidence: Any) -> None:
    row_of(evidence, "messages")["title"] = "Noe annet"


def _opened_by(evidence: Any) -> None:
    row_of(evidence, "events")["user"] = "per"


def _no_attempt(evidence: Any) -> None:
    evidence["rows"] = [each for each in evidence["rows"] if each["table"] != "attempts"]


def _facts(evidence: Any) -> None:
    row = evidence["journal"][0]
    row["facts"] = row["facts"].replace("2026", "2025")


def _salt(evidence: Any) -> None:
    row = next(each for each in evidence["journal"] if each["salt"])
    row["salt"] = "00" * 16


def _no_journal_row(evidence: Any) -> None:
    number = next(n for n, each in enumerate(evidence["journal"]) if each["kind"] == "event")
    del evidence["journal"][number]


def _other_begin(evidence: Any) -> None:
    evidence["chain"][0]["previous"] = "ab" * 32


def _other_letter(evidence: Any) -> None:
    for each in evidence["rows"]:
        if each["table"] == "events":
            each["values"]["message_id"] = "0" * 32


def _no_table(evidence: Any) -> None:
    evidence["tables"] = []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_title, "messages was changed: private_hash"),
        (_title, "letter/message.json: title is not what the store had"),
        (_opened_by, "events was changed: private_hash"),
        (_no_attempt, "was removed from its table"),
        (_facts, "was changed: it is not the one in the chain"),
        (_salt, "messages was changed: private_hash"),
        (_no_journal_row, "was inserted into its table"),
        (_other_begin, "signs other rows than those of the chain"),
        (_other_letter, "is not about the letter"),
        (_no_table, "evidence.json: the routing table of decision 1 is missing"),
    ],
)
def test_lies_that_are_signed(case: Case, change: Callable[[Any], None], text: str) -> None:
    """What the holder of the key writes into the evidence is compared with the journal's chain."""
    path = case.export()
    sealed_again(path, with_json(members(path), change), case.key)
    assert text in "\n".join(found(path))


def test_another_table_or_chain_that_is_signed(case: Case) -> None:
    """The table's text must have the hash that decided, and the leaves must lead to the head."""
    path = case.export()
    files = members(path)
    (table,) = (name for name in files if name.startswith("tables/"))
    sealed_again(path, {**files, table: files[table] + b"\n"}, case.key)
    assert found(path) == [f"{table}: was changed: its SHA-256 is not the version that decided"]
    leaves = bytearray(files["chain.bin"])
    leaves[40] ^= 1
    sealed_again(path, {**files, "chain.bin": bytes(leaves)}, case.key)
    assert "signs other rows than those of the chain" in "\n".join(found(path))
    sealed_again(path, {**files, "chain.bin": bytes(leaves[:-32])}, case.key)
    assert "the leaves of the chain from here are missing" in "\n".join(found(path))


def test_a_store_that_was_edited(case: Case, database: Path) -> None:
    """The evidence of an edited letter says so."""
    with by_hand(database) as connection:
        connection.execute("UPDATE messages SET title = 'Noe annet'")
    assert any("messages was changed" in each for each in found(case.export()))


def test_nothing_of_others_is_in_it(
    case: Case, store: Store, content: ContentFolder, database: Path
) -> None:
    """No byte of the unpacked file has words of other letters, nor a secret."""
    for name in ("b", "c"):
        case.office.mailbox.publish(name, PLANTED.encode(), title=f"Skatt {PLANTED}")
    case.office.fetch(
        "d",
        title=f"Skatt {PLANTED}",
        body=PLANTED,
        summary=PLANTED,
        sender_reference=PLANTED,
        sender_name=PLANTED,
        properties={"x": PLANTED},
    )
    other = message_id("altinn", "d")
    store.acknowledgements.acknowledge(other, PLANTED, NOW, KARI, PLANTED)
    store.retention.hold(other, PLANTED, PLANTED, NOW)
    store.events.add(NOW, kind="letter-opened", user=PLANTED, message_id=other, about=PLANTED)
    store.users.add(f"{PLANTED}@x", NOW, KARI, password_hash=f"$argon2${PLANTED}")
    case.office.put_in_force(TEXT + f"\n# {PLANTED}\n")
    secrets = [PLANTED.encode(), case.key, case.key.hex().encode(), other.hex.encode()]
    secrets += [str(other).encode(), key_path(database).read_bytes().split(b"\n")[1]]
    for name, data in members(case.export()).items():
        for secret in secrets:
            assert secret not in data, name


def test_a_confidential_letter_needs_a_reason(case: Case) -> None:
    """Without a reason nothing is written; with one the export is an event with it."""
    case.office.mailbox.publish("s", channel=SECRET, confidential=True)
    case.office.fetch("t")
    letter = case.store.queries.message("s").id
    with pytest.raises(OperatorError, match="is confidential; give the reason"):
        case.export("s", "s.zip", reason="")
    assert not (case.folder / "s.zip").exists()
    assert found(case.export("s", "s.zip", reason="klage")) == []
    (event,) = case.store.events.page(kind="evidence-exported", message_id=letter)
    assert (event.user, event.details) == ("ola", {"reason": "klage"})


def test_a_confidential_letter_that_was_deleted(
    case: Case, store: Store, content: ContentFolder, clock: Clock
) -> None:
    """The journal knows that it was one, so its evidence needs a reason too."""
    content.put([b"pdf"])
    store.letters.add([stored_letter("s", confidential=True)])
    case.office.deliver("erp")
    clock.advance(days=45)
    rules = {"body": "20d", "attachments": "20d", "metadata": "40d"}
    keeper(store, content, clock, **rules).run("service", threading.Event())
    letter = str(message_id("altinn", "s"))
    assert store.queries.tombstone(letter)
    with pytest.raises(OperatorError, match="is confidential; give the reason"):
        case.export(letter, reason="")
    assert found(case.export(letter)) == []
    content.put([b"pdf"])
    store.letters.add([stored_letter("s", mailbox="another")], has=content.has)
    with pytest.raises(OperatorError, match="more than one message 's'"):
        case.export("s", "other.zip")


def test_what_retention_deleted(
    case: Case, store: Store, content: ContentFolder, clock: Clock, tmp_path: Path
) -> None:
    """The text that retention deleted, and then the letter, is named with when and by which rule,
    and the evidence stays in order."""
    letter = message_id("altinn", "a")
    store.retention.end_hold(letter, "per", NOW)
    case.office.deliver("archive", "mail")
    clock.advance(days=45)
    keeper(store, content, clock, body="20d").run("service", threading.Event())
    path = case.export(file="text.zip")
    assert found(path) == []
    evidence = json.loads(members(path)["evidence.json"])
    assert row_of(evidence, "deletions")["rule"] == "[retention]: body = 20d"
    rules = {"body": "20d", "attachments": "20d", "metadata": "40d"}
    keeper(store, content, clock, **rules).run("service", threading.Event())
    path = case.export(str(letter), "all.zip")
    assert found(path) == []
    files = members(path)
    evidence = json.loads(files["evidence.json"])
    assert not evidence["is_kept"]
    assert not [name for name in files if name.startswith("letter/")]
    said = {each["values"]["rule"] for each in evidence["rows"] if each["table"] == "deletions"}
    assert said == {"[retention]: body = 20d", "[retention]: metadata = 40d"}
    assert evidence["tables"][0]["version"] == case.office.table.version


def test_a_file_that_is_there_stays(case: Case) -> None:
    """Nothing is written over, and an export that fails leaves no file and no event."""
    (case.folder / "mine.zip").write_text("mine")
    with pytest.raises(OperatorError, match="exists already"):
        case.export(file="mine.zip")
    assert (case.folder / "mine.zip").read_text() == "mine"
    assert not case.store.events.page(kind="evidence-exported")


def test_bytes_that_are_missing(case: Case) -> None:
    """Without an attachment's bytes, which is said, no half file is left."""
    case.office.mailbox.publish("b", b"a file")
    case.office.fetch("c")
    shutil.rmtree(case.folder / "content", ignore_errors=True)
    for file in Path(case.source.content.place).rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(ContentMissing):
        case.export("b")
    assert not list(case.folder.glob("*evidence.zip*"))


def test_leaves_say_nothing(case: Case) -> None:
    """Of other subjects' rows there is a hash of 32 bytes each, and nothing else."""
    case.store.users.add("anna", NOW, KARI)
    files = members(case.export())
    evidence = json.loads(files["evidence.json"])
    rows = sum(each["last"] - each["first"] + 1 for each in evidence["chain"])
    assert len(files["chain.bin"]) == 32 * rows
    assert rows > len(evidence["journal"])
    assert not [each for each in evidence["journal"] if each["subject"].startswith("user")]
    digests = {hashlib.sha256(each["facts"].encode()).hexdigest() for each in evidence["journal"]}
    assert len(digests) == len(evidence["journal"])
