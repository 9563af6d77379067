"""What the tests of evidence share: a letter with everything, and changes of its file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from daemon.core.parcels import Receipt
from daemon.maintenance.evidence.sealed_zip import MANIFEST, PUBLIC_KEY, SIGNATURE, write_sealed
from daemon.maintenance.evidence.verifying import VerifiedEvidence, verify_evidence
from daemon.service.evidence import EvidenceSource, Exporter, export
from daemon.store import Actor, Store, results
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.key import key_path, make_key, read_key
from tests.unit.conftest import NOW, Clock
from tests.unit.office import LEASE, Office

KARI = Actor(name="kari")
SUMS = {MANIFEST, SIGNATURE, PUBLIC_KEY}


@dataclass(frozen=True)
class Case:
    """An office with a letter that is disputed, and the key that signs its journal."""

    office: Office
    source: EvidenceSource
    folder: Path

    @property
    def store(self) -> Store:
        """The office's store."""
        return self.office.store

    @property
    def key(self) -> bytes:
        """The private key."""
        return read_key(self.source.key)

    def export(self, name: str = "a", file: str = "evidence.zip", **by: Any) -> Path:
        """Write the evidence of a letter, and return where it is."""
        path = self.folder / file
        exporter = Exporter(**{"user": "ola", "reason": "sak 12", **by})
        export(self.source, name, path, exporter, self.office.clock())
        return path


def new_case(store: Store, content: ContentFolder, clock: Clock, database: Path) -> Case:
    """An office with a letter to which everything happens."""
    office = Office(store, content, clock)
    make_key(key_path(database))
    source = EvidenceSource(store=store, content=content, key=key_path(database))
    return Case(office, source, database.parent)


def live(case: Case) -> None:
    """Let the letter `a` come, with everything that can happen to a letter."""
    office, store = case.office, case.store
    letter = office.fetch(
        "a", sender_reference="sak 2026/12", summary="Kort fortalt", due_at=NOW + timedelta(days=9)
    )
    (failed, *rest) = store.outbox.claim("me", office.clock(), LEASE, 99)
    receipt = Receipt(reference="erp/17", details={"status": 200})
    store.outbox.end([results.deferred(failed, "no answer", NOW, NOW, NOW)])
    store.outbox.end([results.delivered(each, receipt, NOW, NOW) for each in rest])
    store.journal.sign(case.key, NOW)
    store.acknowledgements.acknowledge(letter, "Kari Nordmann", NOW, KARI, "tar den")
    store.deadlines.confirm(letter, "Kari Nordmann", NOW, KARI, due_at=NOW + timedelta(days=9))
    store.retention.hold(letter, "per", "varslet krav", NOW)
    store.events.add(
        NOW,
        kind="letter-opened",
        user="anna",
        address="10.0.0.7",
        message_id=letter,
        details={"reason": "saken min"},
    )


def members(path: Path) -> dict[str, bytes]:
    """The files in a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def found(path: Path, *keys: str) -> list[str]:
    """What verification finds."""
    return [str(each) for each in verified(path, *keys).findings]


def verified(path: Path, *keys: str) -> VerifiedEvidence:
    """The result of verification."""
    return verify_evidence(path, keys)


def sealed_again(path: Path, files: Mapping[str, bytes], key: bytes) -> Path:
    """Write other files, signed with a key."""
    path.unlink(missing_ok=True)
    with path.open("w+b") as file:
        write_sealed(
            file, [(name, [data]) for name, data in files.items() if name not in SUMS], key
        )
    return path


def with_json(files: Mapping[str, bytes], change: Callable[[Any], None]) -> dict[str, bytes]:
    """The files, with a change of evidence.json."""
    evidence = json.loads(files["evidence.json"])
    change(evidence)
    return {**files, "evidence.json": json.dumps(evidence).encode()}


def row_of(evidence: Any, table: str) -> dict[str, Any]:
    """The first row of a table in evidence.json."""
    values: dict[str, Any] = next(
        each["values"] for each in evidence["rows"] if each["table"] == table
    )
    return values


def packed(folder: Path, files: dict[str, bytes], comment: bytes = b"") -> Path:
    """A zip that somebody without the key has packed."""
    path = folder / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.comment = comment
    return path
