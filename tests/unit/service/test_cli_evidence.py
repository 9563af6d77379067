"""`evidence export` and `evidence verify`, as their user sees them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.cli.output import whoami
from daemon.core.model import message_id
from daemon.service import stack
from tests.unit.conftest import ROOT, stored_letter
from tests.unit.journal_edits import by_hand
from tests.unit.service.conftest import Command, with_letters

EDIT = "UPDATE messages SET title = 'x' WHERE external_id = 'letter-0'"


def test_a_letter_is_exported_and_verified(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """The file is written once, is in order, and the key's fingerprint is what fixes it."""
    with_letters(configure)
    command("poll")
    target = tmp_path / "evidence.zip"
    done = command("evidence", "export", "letter-0", str(target))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"written to {target}, signed with the key ")
    key = done.out.split()[-1]
    again = command("evidence", "export", "letter-0", str(target))
    assert (again.code, again.err) == (1, f"{target} exists already; name another file\n")
    verified = command("evidence", "verify", str(target), "--json").json
    assert (verified["ok"], verified["fingerprint"], verified["findings"]) == (True, key, [])
    assert command("evidence", "verify", str(target), "--key", key).code == 0
    assert "compare this one" in command("evidence", "verify", str(target)).out
    wrong = command("evidence", "verify", str(target), "--key", "0123456789abcdef")
    assert wrong.code == 1
    assert wrong.out.startswith("FAIL the signature: it is signed with another key than yours")
    head = tmp_path / "head.json"
    head.write_text(command("journal", "head").out)
    assert command("evidence", "verify", str(target), "--head", str(head)).code == 0


def test_it_is_verified_anywhere(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """Without a configuration, a store, or a file to be written."""
    with_letters(configure)
    command("poll")
    assert command("evidence", "export", "letter-0", str(tmp_path / "e.zip")).code == 0
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tmp_path / "e.zip", alone / "e.zip")
    done = subprocess.run(
        [sys.executable, str(ROOT / "postmottak.py"), "evidence", "verify", "e.zip", "--json"],
        cwd=alone,
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin", "HOME": str(alone)},
    )
    assert json.loads(done.stdout)["ok"]
    assert [each.name for each in alone.iterdir()] == ["e.zip"]


def test_nothing_of_the_configuration_is_in_it(
    command: Command,
    configure: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No byte of the unpacked file has a word of the configuration or of other letters."""
    with_letters(configure)
    monkeypatch.setenv("POSTMOTTAK_PASSWORD", "planted-in-the-environment")
    configure("[routing]", "# planted-in-the-configuration\n[routing]")
    command("poll")
    assert command("evidence", "export", "letter-0", str(tmp_path / "e.zip")).code == 0
    other = message_id("altinn", "letter-1")
    with zipfile.ZipFile(tmp_path / "e.zip") as archive:
        for name in archive.namelist():
            data = archive.read(name)
            for planted in ("planted-in", other.hex, str(other), "letter-1", str(tmp_path)):
                assert planted.encode() not in data, (name, planted)


def test_what_cannot_be_done(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """What is not there, or not an evidence, ends with a sentence and code 1."""
    with_letters(configure)
    command("poll")
    nothing = command("evidence", "verify", str(tmp_path / "none.zip"))
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.err.endswith(
        "none.zip cannot be read: no such file or directory; name another file\n"
    )
    (tmp_path / "x.zip").write_text("x")
    nonsense = command("evidence", "verify", str(tmp_path / "x.zip"))
    assert (nonsense.code, nonsense.out) == (1, "")
    assert "x.zip is not a valid evidence file: it cannot be read as a zip file" in nonsense.err
    os.mkfifo(tmp_path / "pipe")
    for endless in (Path("/dev/zero"), tmp_path / "pipe"):
        refused = command("evidence", "verify", str(endless))
        assert (refused.code, refused.out) == (1, "")
        assert "is not a valid evidence file: it is not a regular file" in refused.err
    unknown = command("evidence", "export", "nothing", str(tmp_path / "n.zip"))
    assert (unknown.code, unknown.out) == (1, "")
    assert not (tmp_path / "n.zip").exists()


def test_a_store_that_was_edited(
    command: Command, configure: Callable[[str, str], None], tmp_path: Path
) -> None:
    """The file is written, what is wrong is named, and the code is 1."""
    with_letters(configure)
    command("poll")
    with by_hand(tmp_path / "data" / "postmottak.db") as connection:
        connection.execute(EDIT)
    done = command("evidence", "export", "letter-0", str(tmp_path / "e.zip"))
    assert done.code == 1
    assert "FAIL row " in done.out
    assert "messages was changed: private_hash" in done.out
    assert (tmp_path / "e.zip").exists()


def test_exports_of_a_confidential_letter_are_events(
    command: Command, configuration_file: Path, tmp_path: Path
) -> None:
    """Its evidence needs a reason; that, and the plain export, are recorded with who did it."""
    command("poll")
    store = stack.open_store(stack.load_configuration(configuration_file))
    table = store.queries.table_in_force()
    assert table
    letter = stored_letter("secret", confidential=True)
    letter.decision.routing_version = table.version
    stack.open_content(stack.load_configuration(configuration_file)).put([b"pdf"])
    store.letters.add([letter])
    refused = command("evidence", "export", "secret", str(tmp_path / "e.zip"))
    assert (refused.code, refused.out) == (1, "")
    assert "is confidential; give the reason for the export with --reason" in refused.err
    assert store.events.page() == []
    reason = ("--reason", "klage")
    assert command("evidence", "export", "secret", str(tmp_path / "e.zip"), *reason).code == 0
    assert command("messages", "export", "secret", "-o", str(tmp_path / "m.zip")).code == 0
    events = store.events.page(message_id=letter.message.id)
    assert [(each.kind, each.user, each.details) for each in events] == [
        ("letter-exported", whoami(), {}),
        ("evidence-exported", whoami(), {"reason": "klage"}),
    ]
    store.close()
