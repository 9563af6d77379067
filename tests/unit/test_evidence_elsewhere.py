"""Evidence as others verify it: files that may be anything, and by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from daemon.core.errors import OperatorError
from daemon.maintenance.evidence.verifying import verify_evidence
from daemon.store import Store
from daemon.store.content_folder import ContentFolder
from daemon.store.journal.heads import Head, fingerprint, public_of
from daemon.store.journal.key import make_key, read_key
from tests.unit.conftest import NOW, ROOT, Clock
from tests.unit.evidence import Case, found, live, members, new_case, packed, sealed_again, verified
from tests.unit.office import TEXT


@pytest.fixture(name="case")
def the_case(store: Store, content: ContentFolder, clock: Clock, database: Path) -> Case:
    """A letter to which everything has happened."""
    case = new_case(store, content, clock, database)
    case.office.put_in_force(TEXT)
    live(case)
    return case


def named(path: Path) -> str:
    """What is said of a file that may be anything."""
    try:
        return "\n".join(found(path))
    except OperatorError as error:
        return str(error)


NONSENSE: dict[str, dict[str, Any]] = {
    "not a zip": {},
    "another zip": {"files": {"x": b"x"}},
    "path traversal": {"files": {"../../x": b"x"}, "sealed": True},
    "an absolute path": {"files": {"/etc/passwd": b"x"}, "sealed": True},
    "a hidden file": {"files": {"letter/.ssh": b"x"}, "sealed": True},
    "a bomb": {"files": {"evidence.json": bytes(10_000_000)}, "sealed": True, "deflated": True},
    "no JSON": {"files": {"evidence.json": b"{"}, "sealed": True},
    "another JSON": {"files": {"evidence.json": b'{"letter": []}'}, "sealed": True},
    "deep JSON": {"files": {"evidence.json": b"[" * 100_000}, "sealed": True},
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense(tmp_path: Path, name: str) -> None:
    """Bombs, paths that lead out, and nonsense are refused with a sentence, and nothing else."""
    path, what = tmp_path / "x.zip", NONSENSE[name]
    make_key(tmp_path / "key")
    if what.get("deflated"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, data in what["files"].items():
                archive.writestr(each, data)
            archive.comment = f"postmottak-evidence-1 {'0' * 64} {'0' * 128}".encode()
    elif what.get("sealed"):
        sealed_again(path, what["files"], read_key(tmp_path / "key"))
    elif what:
        packed(tmp_path, what["files"]).rename(path)
    else:
        path.write_bytes(b"PK nonsense")
    assert ": " in named(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["key", "x.zip"]


def test_files_that_overlap(tmp_path: Path, case: Case) -> None:
    """A zip in which many names share the same bytes is refused before anything is read."""
    path = case.export()
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.infolist()[0]
        for number in range(20):
            entry = zipfile.ZipInfo(f"letter/{number}.pdf")
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(entry, name, getattr(first, name))
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(OperatorError, match="larger than it is"):
        verify_evidence(path)


@pytest.mark.skipif(
    not all(map(shutil.which, ("openssl", "sha256sum", "unzip"))),
    reason="openssl, sha256sum or unzip is not installed",
)
def test_by_hand(case: Case, tmp_path: Path) -> None:
    """What docs/evidence.md says for those without Postmottak works, and finds a change."""
    path = case.export()
    text = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    begin, code = "```sh\n", text.partition("```python\n")[2].partition("```")[0]
    script = text.partition(begin)[2].partition("```")[0]
    done = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Signature Verified Successfully" in done.stdout
    assert fingerprint(public_of(case.key)) in done.stdout
    chained = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "evidence",
        capture_output=True,
        text=True,
        check=True,
    )
    heads = {head.sequence for head in _heads(path)}
    assert all(f"row {sequence + 1} " in chained.stdout for sequence in heads)
    with (tmp_path / "evidence" / "evidence.json").open("a") as file:
        file.write(" ")
    script = script.replace("unzip", "true")
    failed = subprocess.run(
        ["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert failed.returncode != 0
    assert "evidence.json: FAILED" in failed.stdout


def _heads(path: Path) -> list[Head]:
    evidence = json.loads(members(path)["evidence.json"])
    return [
        Head.of_facts(json.loads(each["facts"]))
        for each in evidence["journal"]
        if each["kind"] == "head"
    ]


def test_another_key(case: Case, tmp_path: Path) -> None:
    """Who signs everything again has another key: it differs from the reader's fingerprint, and
    from the key of the heads in the chain."""
    path = case.export()
    mine = fingerprint(public_of(case.key))
    assert (found(path, mine), verified(path).fingerprint) == ([], mine)
    make_key(tmp_path / "other")
    other = read_key(tmp_path / "other")
    forged = sealed_again(tmp_path / "forged.zip", members(path), other)
    theirs = fingerprint(public_of(other))
    assert f"the signature: it is signed with another key than yours: {theirs}" in found(
        forged, mine
    )
    assert f"is signed with another key, {mine}" in "\n".join(found(forged))


def test_a_key_that_was_replaced(case: Case) -> None:
    """Earlier heads have another key, which is said, unless the reader names both."""
    old = fingerprint(public_of(case.key))
    case.source.key.unlink()
    make_key(case.source.key)
    new = fingerprint(public_of(case.key))
    path = case.export()
    assert [each.rpartition(": ")[2] for each in found(path, new)] == [
        f"is signed with another key, {old}"
    ]
    assert found(path, new, old) == []


def test_a_published_head_fixes_it(case: Case, database: Path) -> None:
    """A head that was published before fixes the rows up to it, even against who has the key."""
    head = case.store.journal.sign(case.key, NOW)
    honest = case.export(file="honest.zip")
    assert verify_evidence(honest, heads=[head]).findings == []
    case.store.events.add(NOW, kind="login", user="anna")
    later = case.store.journal.sign(case.key, NOW)
    missing = [str(each) for each in verify_evidence(honest, heads=[later]).findings]
    assert len(missing) == 1
    assert "a head was published for it, and the chain here does not have it" in missing[0]
    lie = type(head)(**{**vars(head), "hash": "ab" * 32})
    shown = [str(each) for each in verify_evidence(honest, heads=[lie]).findings]
    assert shown == [f"row {head.sequence} of the journal: is not the row that was published"]
