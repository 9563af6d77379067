"""A table is published with a reason, once, whole, and can be rolled back."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.page.editing.draft import version_of
from daemon.page.editing.publishing import Publisher
from daemon.store import Store
from tests.unit.conftest import NOW, ROOT
from tests.unit.page.routing.conftest import TEXT, Desk, Person

SKATT = {"kind": "route", "row": "Skatt"}
EDIT = {**SKATT, "title_contains": "skatt, avgift"}
EDITED = TEXT.replace('["skatt"]', '["skatt", "avgift"]')
THIRD = TEXT.replace('["skatt"]', '["gebyr"]')


def _history(store: Store) -> list[tuple[str, str, str]]:
    return [(each.source.value, each.by, each.reason) for each in store.routing_changes.page()]


def test_a_table_is_published_with_a_reason(desk: Desk) -> None:
    """Without a reason nothing is published; with one the file has the change and its comments,
    the service is woken, and history and log have who and why."""
    desk.letter("a", "Avgift")
    person = desk.person("anna", "router")
    refused = person.post("/routing/publish", EDIT | {"reason": "  "})
    assert refused.status_code == 422
    assert 'data-key="reason"' in refused.text
    assert desk.file.read_text() == TEXT
    desk.file.chmod(0o640)
    answer = person.post("/routing/publish", EDIT | {"reason": "Ny avgift"})
    version = version_of(EDITED)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/routing?notice=published&watch={version}"
    assert desk.file.read_text() == EDITED
    assert desk.file.stat().st_mode & 0o777 == 0o640
    assert len(desk.site.woken) == 1
    assert desk.store.drafts.find("anna") is None
    assert _history(desk.store)[0] == ("page", "anna", "Ny avgift")
    newest = desk.store.routing_changes.page(limit=1)[0]
    assert (newest.version, newest.version_before) == (version, version_of(TEXT))
    assert newest.counts == {"letters": 1, "moved": 1}
    assert ("routing-published", "anna", True) in desk.site.events()
    assert person.get(f"/routing/in-force/{version}").status_code == 204
    assert desk.activate() == version
    assert 'data-testid="in-force"' in person.get(f"/routing/in-force/{version}").text
    assert _history(desk.store)[0] == ("page", "anna", "Ny avgift")


def test_nothing_is_published_where_nothing_has_changed(desk: Desk) -> None:
    """A publication that would be no change is none, and is not in the history."""
    person = desk.person("anna", "router")
    before = _history(desk.store)
    for path, form in (
        ("publish", {"reason": "ny"}),
        ("publish", {**SKATT, "title_contains": " skatt ", "reason": "ny"}),
        ("rollback", {"version": version_of(TEXT), "base": version_of(TEXT), "reason": "ny"}),
    ):
        answer = person.post(f"/routing/{path}", form)
        assert answer.headers["location"] == "/routing?notice=unchanged"
    assert _history(desk.store) == before
    assert desk.site.woken == []


def test_the_later_of_two_editors_gets_a_conflict(desk: Desk) -> None:
    """Who publishes second overwrites nothing, and has the draft still, also after a restart."""
    first, second = desk.person("anna", "router"), desk.person("kari", "router")
    second.post("/routing/routes/Skatt", {**SKATT, "title_contains": "gebyr"})
    assert first.post("/routing/publish", EDIT | {"reason": "en"}).status_code == 303
    refused = second.post("/routing/publish", {"reason": "to"})
    assert refused.status_code == 409
    assert 'data-testid="conflict"' in refused.text
    assert "anna" in refused.text
    assert desk.file.read_text() == EDITED
    desk.restart()
    second = Person(desk.site.visitor("kari"))
    draft = desk.store.drafts.find("kari")
    assert draft
    assert draft.text == THIRD
    shown = second.get("/routing").text
    assert 'data-testid="conflict"' in shown
    assert not re.search(r'<button[^>]*id="publish"[^>]* disabled', shown)
    assert "gebyr" in shown
    assert second.post("/routing/publish", {"reason": "to"}).status_code == 409
    assert ("routing-published", "kari", False) in desk.site.events()


def test_a_draft_is_taken_over_to_the_newest_table(desk: Desk) -> None:
    """After a conflict the second editor's changes go onto the first one's table, unless both
    changed the same; then the draft stays as it was."""
    first, second = desk.person("anna", "router"), desk.person("kari", "router")
    second.post("/routing/routes/Skatt", {**SKATT, "senders": "974761076"})
    first.post("/routing/publish", EDIT | {"reason": "en"})
    answer = second.post("/routing/rebase")
    assert (answer.status_code, answer.headers["location"]) == (303, "/routing?notice=rebased")
    assert second.post("/routing/publish", {"reason": "to"}).status_code == 303
    both = '["skatt", "avgift"] # kept: words\nto = ["regnskap"]\nsenders = ["974761076"]'
    assert both in desk.file.read_text()
    second.post("/routing/routes/Skatt", {**SKATT, "title_contains": "a"})
    first.post("/routing/publish", {**SKATT, "title_contains": "b", "reason": "tre"})
    clash = second.post("/routing/rebase")
    assert clash.status_code == 409
    assert "Skatt" in clash.text
    draft = desk.store.drafts.find("kari")
    assert draft
    assert 'title_contains = ["a"]' in draft.text


def test_an_edit_of_the_file_is_a_conflict_too(desk: Desk) -> None:
    """What IT has written in the file meanwhile is not overwritten, in force or not."""
    person = desk.person("anna", "router")
    person.post("/routing/routes/Skatt", EDIT)
    desk.file.write_text("# mine\n" + TEXT)
    assert person.post("/routing/publish", {"reason": "ny"}).status_code == 409
    assert desk.file.read_text() == "# mine\n" + TEXT
    desk.activate()
    assert _history(desk.store)[0] == ("file", "", "")
    assert 'data-source="file"' in person.get("/routing/history").text


def test_only_who_may_publish_does(desk: Desk) -> None:
    """A draft of somebody who lost the right stays a draft; the refusal is in the log."""
    person = desk.person("anna", "reader")
    assert person.post("/routing/publish", EDIT | {"reason": "ny"}).status_code == 403
    form = {"version": version_of(TEXT), "base": version_of(TEXT), "reason": "ny"}
    assert person.post("/routing/rollback", form).status_code == 403
    assert desk.site.events()[0] == ("refused", "anna", False)
    assert desk.file.read_text() == TEXT


def test_an_earlier_version_comes_back_byte_for_byte(desk: Desk) -> None:
    """Rolling back is a publication: with a reason, in the history, and not over somebody's."""
    person = desk.person("anna", "router")
    person.post("/routing/publish", EDIT | {"reason": "en"})
    desk.activate()
    old, new = version_of(TEXT), version_of(EDITED)
    shown = person.get(f"/routing/history/{old}").text
    assert "# kept: words" in shown
    assert 'data-state="done"' in person.try_out({"version": old}).text
    form = {"version": old, "base": new, "reason": "det var feil"}
    assert person.post("/routing/rollback", form | {"reason": ""}).status_code == 422
    assert person.post("/routing/rollback", form | {"base": old}).status_code == 409
    assert person.post("/routing/rollback", form | {"version": "0" * 64}).status_code == 404
    assert desk.file.read_text() == EDITED
    assert person.post("/routing/rollback", form).status_code == 303
    assert desk.file.read_bytes() == TEXT.encode()
    assert _history(desk.store)[0] == ("rollback", "anna", "det var feil")
    changed = person.get(f"/routing/history/{new}").text
    assert "<ins>" in changed
    assert "<del>" in changed
    listed = person.get("/routing/history").text
    assert listed.count('data-testid="version"') == 5
    assert "det var feil" in listed


def test_a_version_that_the_service_never_had_can_come_back(desk: Desk) -> None:
    """What was published while the service stood still is in the history with its text."""
    person = desk.person("anna", "router")
    person.post("/routing/publish", EDIT | {"reason": "en"})
    person.post("/routing/publish", {**SKATT, "title_contains": "gebyr", "reason": "to"})
    form = {"version": version_of(EDITED), "base": version_of(desk.file.read_text())}
    assert person.post("/routing/rollback", form | {"reason": "tre"}).status_code == 303
    assert desk.file.read_text() == EDITED


@pytest.mark.parametrize("mode", [0o444, 0o400])
def test_a_read_only_file_is_not_replaced(desk: Desk, mode: int) -> None:
    """A file that is meant not to be written is left alone; the draft is kept, and why is said."""
    person = desk.person("anna", "router")
    desk.file.chmod(mode)
    answer = person.post("/routing/publish", EDIT | {"reason": "ny"})
    assert answer.status_code == 503
    assert "it is read-only" in answer.text
    assert desk.file.read_text() == TEXT
    assert desk.store.drafts.find("anna")
    assert {each[0] for each in _history(desk.store)} == {"file"}
    assert list(desk.file.parent.glob(".*.half")) == []


def test_a_link_to_the_file_stays_a_link(desk: Desk) -> None:
    """Where routing.toml is a symbolic link, the file that it names is replaced."""
    person = desk.person("anna", "router")
    target = desk.file.with_name("elsewhere.toml")
    desk.file.rename(target)
    desk.file.symlink_to(target)
    assert person.post("/routing/publish", EDIT | {"reason": "ny"}).status_code == 303
    assert desk.file.is_symlink()
    assert target.read_text() == EDITED
    target.unlink()
    assert person.post("/routing/publish", EDIT | {"reason": "ny"}).status_code == 409


def test_line_ends_of_the_file_stay(desk: Desk) -> None:
    """A file with the line ends and the mark of Windows keeps both."""
    person = desk.person("anna", "router")
    desk.file.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert person.post("/routing/publish", EDIT | {"reason": "ny"}).status_code == 303
    assert desk.file.read_bytes() == b"\xef\xbb\xbf" + EDITED.replace("\n", "\r\n").encode()


_CHILD = """\
import os, signal, sys
from pathlib import Path
from daemon.page.editing.draft import version_of
from daemon.page.editing.publishing import Publisher
from daemon.runtime.clock import utc_now
from daemon.store import Intent, Store
from daemon.store.publications import Publications

folder, wanted = Path(sys.argv[1]), sys.argv[2]
last = steps = 0

def step(*_):
    global steps
    steps += 1
    if steps == last:
        os.kill(os.getpid(), signal.SIGKILL)

for name in ("begin", "finish"):
    def wrapped(self, *given, inner=getattr(Publications, name)):
        step()
        found = inner(self, *given)
        step()
        return found
    setattr(Publications, name, wrapped)
for name in ("open", "write", "fsync", "rename", "replace", "unlink", "fchmod"):
    def wrapped(*given, inner=getattr(os, name), **options):
        found = inner(*given, **options)
        step()
        return found
    setattr(os, name, wrapped)

def publish():
    global steps
    store = Store(f"sqlite:///{folder}/postmottak.db")
    publisher = Publisher(store, folder / "routing.toml", utc_now)
    base = publisher.read().version
    steps = 0
    intent = Intent(
        version=version_of(wanted), version_before=base, text=wanted, by="anna", reason="ny"
    )
    publisher.publish(intent, base)

for line in sys.stdin:
    last = int(line)
    child = os.fork()
    if child == 0:
        publish()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Callable[[int], int]]:
    """Publishes in a process that kills itself at a step, and returns how it ended; each is the
    fork of one that has imported what it needs."""
    command = [sys.executable, "-c", _CHILD, str(tmp_path), EDITED]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdin
        assert process.stdout
        ask, answers = process.stdin, process.stdout

        def publish(last: int) -> int:
            ask.write(f"{last}\n")
            ask.flush()
            return int(answers.readline())

        yield publish
        ask.close()


def test_a_kill_at_any_step_leaves_file_and_history_agreed(
    tmp_path: Path, new_database: Path, killed: Callable[[int], int]
) -> None:
    """However far a publication came when its process was killed: the file is the old one or the
    new one, whole, and the history says which, whoever looks first."""
    file = tmp_path / "routing.toml"
    results = []
    for last in range(1, 40):
        for left in tmp_path.glob("postmottak.db*"):
            left.unlink()
        shutil.copy(new_database, tmp_path / "postmottak.db")
        file.write_text(TEXT)
        store = Store(f"sqlite:///{tmp_path}/postmottak.db")
        store.letters.note_table(version_of(TEXT), TEXT, NOW)
        store.drafts.put("anna", base=TEXT, text=EDITED, now=NOW)
        code = killed(last)
        found = file.read_text()
        assert found in {TEXT, EDITED}
        if last % 2:  # the service looks first
            store.letters.note_table(version_of(found), found, NOW)
        Publisher(store, file, lambda: NOW).read()
        published = [("page", "anna", "ny")] if found == EDITED else []
        newest = [*published, ("file", "", "")]
        assert _history(store)[: len(newest)] == newest, last
        assert (store.drafts.find("anna") is None) == (found == EDITED)
        store.close()
        results.append(found == EDITED)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert code == 0
    assert results[0] is False
    assert results[-1] is True
    assert len(results) > 6
