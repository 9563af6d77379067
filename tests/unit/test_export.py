"""A letter as a zip file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from daemon.core.errors import ContentMissing, OperatorError
from daemon.core.model import Attachment, PartState
from daemon.maintenance.export import write_zip
from daemon.store.content_folder import ContentFolder
from tests.unit.conftest import sha256, stored_letter

LETTER = stored_letter("a", body="<p>Hei på deg</p>", body_type="text/html")
FACTS = '{"id": "ø"}\n'


def part(place: int, state: PartState, data: bytes | None) -> Attachment:
    """An attachment in this state."""
    return Attachment(
        message_id=LETTER.message.id,
        position=place,
        external_id=str(place),
        original_name="../../x",
        safe_name=f"{place:03d}-x",
        state=state,
        size=None if data is None else len(data),
        sha256=None if data is None else sha256(data),
    )


def test_a_letter_is_written_whole(content: ContentFolder, tmp_path: Path) -> None:
    """The zip has the letter's text, what is known of it, and every attachment that is here, under
    its safe name."""
    attachments = [
        part(1, PartState.PRESENT, b"one"),
        part(2, PartState.EXPIRED, None),
        part(3, PartState.CHECKSUM_FAILED, b"three"),
    ]
    for data in (b"one", b"three"):
        content.put([data])
    target = tmp_path / "letter.zip"
    write_zip(target, LETTER.message, attachments, FACTS, content)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "message.json": FACTS.encode(),
            "body.html": "<p>Hei på deg</p>".encode(),
            "001-x": b"one",
            "003-x": b"three",
        }


def test_a_file_that_is_there_stays(content: ContentFolder, tmp_path: Path) -> None:
    """Nothing is written over, and the error says what to do."""
    target = tmp_path / "letter.zip"
    target.write_text("mine")
    with pytest.raises(
        OperatorError, match=rf"{target} exists already; name another file with --output"
    ):
        write_zip(target, LETTER.message, [], FACTS, content)
    assert target.read_text() == "mine"


def test_half_a_letter_is_removed(content: ContentFolder, tmp_path: Path) -> None:
    """If bytes are missing, which is told, no file is left that looks like the letter."""
    target = tmp_path / "letter.zip"
    with pytest.raises(ContentMissing, match=sha256(b"gone")):
        write_zip(target, LETTER.message, [part(1, PartState.PRESENT, b"gone")], FACTS, content)
    assert not target.exists()


def test_a_place_that_cannot_be_written(content: ContentFolder, tmp_path: Path) -> None:
    """A folder that is not there is for the operator to fix."""
    target = tmp_path / "missing" / "letter.zip"
    with pytest.raises(
        OperatorError,
        match=rf"{target} cannot be written: No such file or directory; name another file",
    ):
        write_zip(target, LETTER.message, [], FACTS, content)


def test_nobody_else_may_read_it(content: ContentFolder, tmp_path: Path) -> None:
    """The zip is for who made it alone, whatever the umask."""
    umask = os.umask(0)
    try:
        write_zip(tmp_path / "letter.zip", LETTER.message, [], FACTS, content)
    finally:
        os.umask(umask)
    assert (tmp_path / "letter.zip").stat().st_mode & 0o777 == 0o600
