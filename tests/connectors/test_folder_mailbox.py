"""The folder's own promises, beside those that every mailbox makes
(tests/contracts/test_mailboxes.py)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from connectors.mailboxes import folder
from daemon.core.errors import MailboxUnavailable

PARTY, SERVICE = "991825827", "4255/8"


def folder_mailbox(base: Path) -> folder.Folder:
    (base / "letters" / "one").mkdir(parents=True)
    return folder.connect(
        "box",
        folder.Settings.model_validate({"path": "letters", "party": PARTY}, context={"base": base}),
    )


PLAIN = {
    "service": SERVICE,
    "title": "Hemmelig tittel",
    "published_at": "2026-03-12T12:00:00+01:00",
}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("{", "not a valid letter"),
        ("[]", "not a JSON object"),
        (json.dumps(PLAIN | {"service": "4255/99"}), "service is unknown"),
        (
            json.dumps(PLAIN | {"published_at": "2026-03-12T12:00:00"}),
            "published_at is not a time with a zone",
        ),
        (json.dumps(PLAIN | {"title": None}), "wrong or missing: title"),
        (json.dumps(PLAIN | {"files": "a.pdf"}), "not a list"),
        (
            json.dumps(PLAIN | {"files": [{"file": "../../etc/passwd", "name": "x"}]}),
            "wrong or missing: file",
        ),
    ],
)
def test_a_letter_json_that_is_wrong_is_listed_and_told(
    tmp_path: Path, told: str, words: str
) -> None:
    """A letter that somebody wrote wrongly is not passed over: fetching it says what to correct,
    and quotes nothing of it."""
    mailbox = folder_mailbox(tmp_path)
    (tmp_path / "letters" / "one" / "letter.json").write_text(told)
    (ref,) = [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    with pytest.raises(MailboxUnavailable, match=words) as caught:
        mailbox.fetch(ref)
    assert "Hemmelig" not in str(caught.value)


def test_a_folder_is_a_letter_once_it_has_its_letter_json(tmp_path: Path) -> None:
    """What is still being put there is not listed; a service may be named by its slug, and
    confidential post is known as such."""
    mailbox = folder_mailbox(tmp_path)
    assert not [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    (tmp_path / "letters" / "one" / "letter.json").write_text(
        json.dumps(PLAIN | {"service": "taushetsbelagt"})
    )
    (ref,) = [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    assert ref.service == "5504/1"
    assert mailbox.fetch(ref).envelope.confidential


def test_the_folder_must_exist(tmp_path: Path) -> None:
    """A folder that is missing is a fault of the configuration; one that goes missing later fails
    the check."""
    with pytest.raises(ValueError, match="create it, or name another one"):
        folder.Settings.model_validate(
            {"path": "nowhere", "party": PARTY}, context={"base": tmp_path}
        )
    mailbox = folder_mailbox(tmp_path)
    (tmp_path / "letters").rename(tmp_path / "elsewhere")
    assert [each.ok for each in mailbox.check()] == [False]


UNSET = (
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59.9999999+00:00",
    "9999-12-31T23:59:59-01:00",
)


@pytest.mark.parametrize("key", ["published_at", "requested_at", "created_at", "due_at"])
@pytest.mark.parametrize("unset", UNSET)
def test_a_time_that_stands_for_none(tmp_path: Path, key: str, unset: str) -> None:
    """What another program left in a time that was never set is none; a letter that tells no time
    was published when it was put here."""
    mailbox = folder_mailbox(tmp_path)
    (tmp_path / "letters" / "one" / "letter.json").write_text(json.dumps(PLAIN | {key: unset}))
    (ref,) = [ref for channel in mailbox.channels() for ref in mailbox.list(channel, None).refs]
    found = mailbox.fetch(ref).envelope
    assert 2025 < found.published_at.year < 9000
    assert getattr(found, key) is None or key in {"published_at", "requested_at"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        json.dumps(PLAIN | {"properties": "DEEP"}).replace(
            '"DEEP"', '{"a":' * 5000 + "1" + "}" * 5000
        ),
    ],
    ids=["no JSON", "not a valid letter", "deep"],
)
def test_one_odd_letter_hides_no_other(tmp_path: Path, text: str) -> None:
    """A letter.json that is nested without end, or a folder whose name is not valid text, is one
    letter, and the others are found as ever."""
    mailbox = folder_mailbox(tmp_path)
    (tmp_path / "letters" / "one" / "letter.json").write_text(text)
    for name in (b"caf\xe9", rb"caf\xe9 it is"):
        folder_there = tmp_path / "letters" / os.fsdecode(name)
        folder_there.mkdir()
        (folder_there / "letter.json").write_text(
            json.dumps(
                PLAIN
                | {
                    "title": "a\ud800",
                    "confidential": "no",
                    "files": [{"file": "x", "name": "\udfff"}],
                }
            )
        )
        (folder_there / "x").write_bytes(b"x")
    found = {
        ref.external_id: ref
        for channel in mailbox.channels()
        for ref in mailbox.list(channel, None).refs
    }
    assert set(found) == {"one", r"caf\xe9", r"caf\xe9 it is"}
    for listed in (r"caf\xe9", r"caf\xe9 it is"):
        letter = mailbox.fetch(found[listed])
        assert (
            letter.envelope.title,
            letter.envelope.confidential,
            letter.parts[0].original_name,
        ) == ("a\ufffd", True, "\ufffd")
        with mailbox.open_part(found[listed], letter.parts[0]) as chunks:
            assert b"".join(chunks) == b"x"
