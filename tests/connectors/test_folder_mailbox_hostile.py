"""A folder mailbox that others write to: whatever lies in it, nothing hangs, and nothing outside is
read or touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.mailboxes import folder
from daemon.core.errors import LetterGone, MailboxUnavailable
from daemon.core.model import LetterRef, PartState
from tests.connectors.hostile import KINDS, LINKS, NEITHER_FILE_NOR_FOLDER, make_outside, picture

pytestmark = pytest.mark.timeout(30)
PLAIN = {
    "service": "4255/8",
    "title": "Vedtak",
    "published_at": "2026-03-12T12:00:00+01:00",
    "files": [{"file": "a.pdf", "name": "Vedtak.pdf"}],
}
PLACES = {"letter": "one", "description": "one/letter.json", "attachment": "one/a.pdf"}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """With a letter in it, that somebody could want to have fetched."""
    outside = make_outside(tmp_path)
    put(outside / "folder")
    return outside


@pytest.fixture
def mailbox(tmp_path: Path) -> folder.Folder:
    for name in ("one", "two"):
        put(tmp_path / "letters" / name)
    return folder.connect(
        "box",
        folder.Settings.model_validate({"path": str(tmp_path / "letters"), "party": "991825827"}),
    )


def put(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / "a.pdf").write_bytes(b"%PDF-1.7")
    (place / "letter.json").write_text(json.dumps(PLAIN))


def clear(place: Path) -> None:
    shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()


def refs(mailbox: folder.Folder) -> dict[str, LetterRef]:
    return {
        ref.external_id: ref
        for channel in mailbox.channels()
        for ref in mailbox.list(channel, None).refs
    }


def fetched(mailbox: folder.Folder, ref: LetterRef) -> bytes:
    """The letter's attachment."""
    (part,) = mailbox.fetch(ref).parts
    with mailbox.open_part(ref, part) as chunks:
        return b"".join(chunks)


CASES = [
    (where, kind)
    for where in PLACES
    for kind in KINDS
    if (where, kind) != ("attachment", "a_huge_file")
]
"""Any file may be an attachment."""


@pytest.mark.parametrize(("where", "kind"), CASES)
def test_whatever_is_planted(
    tmp_path: Path, mailbox: folder.Folder, outside: Path, where: str, kind: str
) -> None:
    """Each thing in each place: it is left, and the reason names it or it does not count as a
    letter; the other letter comes, and this one afterwards."""
    planted = tmp_path / "letters" / PLACES[where]
    clear(planted)
    KINDS[kind](planted, outside)
    before, found = picture(outside), refs(mailbox)
    if "one" in found:
        with pytest.raises(MailboxUnavailable, match=str(planted)):
            mailbox.fetch(found["one"])
    else:
        assert where == "letter"
        assert kind not in LINKS
    assert fetched(mailbox, found["two"]) == b"%PDF-1.7"
    assert picture(outside) == before
    clear(planted)
    put(tmp_path / "letters" / "one")
    assert fetched(mailbox, refs(mailbox)["one"]) == b"%PDF-1.7"


@pytest.mark.parametrize("kind", [*NEITHER_FILE_NOR_FOLDER, "a_folder", "a_hard_link"])
def test_an_attachment_that_is_exchanged(
    tmp_path: Path, mailbox: folder.Folder, outside: Path, kind: str
) -> None:
    """An attachment that has become something else since the letter was fetched is not read."""
    ref = refs(mailbox)["one"]
    (part,) = mailbox.fetch(ref).parts
    planted = tmp_path / "letters" / "one" / "a.pdf"
    clear(planted)
    KINDS[kind](planted, outside)
    with pytest.raises(MailboxUnavailable, match=str(planted)), mailbox.open_part(ref, part):
        pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mark", ["READ", "CONFIRMED"])
def test_a_mark_is_made_nowhere_else(
    tmp_path: Path, mailbox: folder.Folder, outside: Path, mark: str, kind: str
) -> None:
    """Whatever has a mark's name stays as it is, and nothing is made or touched where a link
    leads."""
    ref = refs(mailbox)["one"]
    KINDS[kind](tmp_path / "letters" / "one" / mark, outside)
    before = picture(outside)
    mailbox.mark_read(ref)
    mailbox.confirm(ref)
    assert mailbox.confirmed(ref)
    assert picture(outside) == before


@pytest.mark.parametrize(
    "use",
    [folder.Folder.mark_read, folder.Folder.confirm, folder.Folder.confirmed, folder.Folder.fetch],
)
def test_a_letter_that_became_a_link(
    tmp_path: Path, mailbox: folder.Folder, outside: Path, use: Callable[..., Any]
) -> None:
    """A letter's folder that has become a link is not used; one that has gone is gone; a mailbox
    that is not mounted loses no letter."""
    ref, before, letters = refs(mailbox)["one"], picture(outside), tmp_path / "letters"
    clear(letters / "one")
    with pytest.raises(LetterGone):
        use(mailbox, ref)
    (letters / "one").symlink_to(outside / "folder")
    with pytest.raises(MailboxUnavailable, match="one is a symbolic link"):
        use(mailbox, ref)
    assert picture(outside) == before
    letters.rename(tmp_path / "unmounted")
    with pytest.raises(MailboxUnavailable, match="cannot be read"):
        use(mailbox, ref)


def test_an_attachment_that_grows_while_it_is_read(tmp_path: Path, mailbox: folder.Folder) -> None:
    """As much is read as there was: a file to which somebody adds all the time has no end."""
    ref = refs(mailbox)["one"]
    (part,) = mailbox.fetch(ref).parts
    place = tmp_path / "letters" / "one" / "a.pdf"
    place.write_bytes(b"x" * 300_000)
    total = 0
    with mailbox.open_part(ref, part) as chunks:
        for chunk in chunks:
            total += len(chunk)
            with place.open("ab") as file:
                file.write(b"y" * 300_000)
            assert total <= 300_000
    assert total == 300_000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_a_letter_json_that_is_nested_too_deep(
    tmp_path: Path, mailbox: folder.Folder, text: str
) -> None:
    """It is told as what it is, and holds up no other letter."""
    (tmp_path / "letters" / "one" / "letter.json").write_text(text)
    found = refs(mailbox)
    with pytest.raises(MailboxUnavailable, match="is not a valid letter"):
        mailbox.fetch(found["one"])
    assert fetched(mailbox, found["two"]) == b"%PDF-1.7"


def test_a_letter_json_with_something_too_deep(tmp_path: Path, mailbox: folder.Folder) -> None:
    """What is nested too deep to be kept holds up nothing else of the letter."""
    deep = json.dumps(PLAIN)[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}"
    (tmp_path / "letters" / "one" / "letter.json").write_text(deep)
    assert fetched(mailbox, refs(mailbox)["one"]) == b"%PDF-1.7"


def test_a_file_name_that_is_too_long(tmp_path: Path, mailbox: folder.Folder) -> None:
    """It is a fault of the letter.json."""
    told = PLAIN | {"files": [{"file": "x" * 300, "name": "Vedtak.pdf"}]}
    (tmp_path / "letters" / "one" / "letter.json").write_text(json.dumps(told))
    with pytest.raises(MailboxUnavailable, match="is not a valid letter"):
        mailbox.fetch(refs(mailbox)["one"])


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_a_file_name_that_no_file_can_have(
    tmp_path: Path, mailbox: folder.Folder, name: str
) -> None:
    """Nothing can have that name, so the attachment is missing, and the letter comes without it."""
    told = PLAIN | {"files": [{"file": name, "name": "Vedtak.pdf"}]}
    (tmp_path / "letters" / "one" / "letter.json").write_text(json.dumps(told))
    (part,) = mailbox.fetch(refs(mailbox)["one"]).parts
    assert part.state is PartState.UNAVAILABLE


def test_a_missing_attachment_is_none(tmp_path: Path, mailbox: folder.Folder) -> None:
    """An attachment that is not there is known to be missing, and the letter comes without it."""
    (tmp_path / "letters" / "one" / "a.pdf").unlink()
    (part,) = mailbox.fetch(refs(mailbox)["one"]).parts
    assert part.state is PartState.UNAVAILABLE


def test_the_mailbox_itself_may_be_named_by_a_link(tmp_path: Path, mailbox: folder.Folder) -> None:
    """The configuration may name it by a link."""
    (tmp_path / "named").symlink_to(tmp_path / "letters")
    named = folder.connect(
        "box",
        folder.Settings.model_validate({"path": str(tmp_path / "named"), "party": "991825827"}),
    )
    assert refs(named).keys() == refs(mailbox).keys() == {"one", "two"}
