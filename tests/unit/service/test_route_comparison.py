"""What another routing table would have changed, before it is used: `routes test`, `import`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.cli import route_comparison
from daemon.store import Store
from tests.unit.conftest import TABLE, TABLE_TEXT
from tests.unit.service.conftest import Command, with_letters

MOVES = "  3 from post (erp) to leder (erp)\n"


@pytest.fixture
def sheet(
    command: Command, configure: Callable[[str, str], None], configuration_file: Path
) -> Path:
    """A workbook that sends all stored letters to somebody new."""
    from openpyxl import load_workbook

    with_letters(configure, 3)
    assert command("poll").code == 0
    path = configuration_file.parent / "tabell.xlsx"
    assert command("routes", "export", str(path), "--language", "nb").code == 0
    book = load_workbook(path)
    book["Mottakere"].append(["leder", None, "erp"])
    for row in book["Ruter"].iter_rows(min_row=2):
        row[4].value = "leder" if row[4].value else None
    book.save(path)
    return path


def test_a_workbook_is_tried_as_it_is(command: Command, sheet: Path) -> None:
    """`routes test` reads a workbook as `routes import` does, names the table that it compared it
    with, and says of a faulty one which cell it is."""
    ended = command("routes", "test", str(sheet))
    assert (ended.code, ended.err) == (5, "")
    assert ended.out.startswith(f"3 letters: 3 would change\n{MOVES}compared with /")
    assert re.search(
        rf"routing.toml, version {TABLE.version[:12]}, in force since 2\d{{3}}-", ended.out
    )
    document = command("routes", "test", str(sheet), "--json").json
    assert document["compared_with"]["version"] == TABLE.version
    assert document["compared_with"]["in_force_since"]
    sheet.write_bytes(b"PK nonsense")
    assert "tabell.xlsx" in command("routes", "test", str(sheet)).err


def test_a_table_that_is_not_in_force_is_called_so(
    command: Command, sheet: Path, configuration_file: Path
) -> None:
    """A table that was saved and not read by the service is compared with, and said not to be in
    force."""
    table = configuration_file.parent / "routing.toml"
    table.write_text(f"{TABLE_TEXT}# edited\n")
    ended = command("routes", "test", str(sheet))
    assert ended.out.endswith(", not in force\n")
    assert (
        command("routes", "test", str(sheet), "--json").json["compared_with"]["in_force_since"]
        is None
    )


def test_an_import_shows_which_letters_move(
    command: Command, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preview has what `routes test` shows, of a bounded number of letters; and with --write
    it ends with what was written."""
    shown = command("routes", "import", str(sheet))
    assert f"3 letters of the last 90 days: 3 would have gone elsewhere\n{MOVES}" in shown.out
    assert "routes test" not in shown.out
    monkeypatch.setattr(route_comparison, "_MOST_LETTERS", 2)
    bounded = command("routes", "import", str(sheet))
    assert "first 2 letters of the last 90 days: 2 would have gone elsewhere\n" in bounded.out
    assert f"for all of them: postmottak routes test {sheet}\n" in bounded.out
    written = command("routes", "import", str(sheet), "--write")
    assert written.out.splitlines()[-1].startswith("written to /")
    assert written.out.splitlines()[-1].endswith("routing.toml")


def test_an_import_is_in_the_history(
    command: Command, sheet: Path, configuration_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history of the table says who replaced it by a command; a service that activates it
    adds nothing, and a file that could not be replaced leaves nothing."""

    def history() -> list[tuple[str, str]]:
        store = Store(f"sqlite:///{configuration_file.parent / 'data' / 'postmottak.db'}")
        found = [(each.source.value, each.by) for each in store.routing_changes.page()]
        store.close()
        return found

    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("daemon.runtime.replacing.replace_and_keep", full)
        assert command("routes", "import", str(sheet), "--write").code == 1
    assert [each[0] for each in history()] == ["file"]
    monkeypatch.setenv("SUDO_USER", "ola")
    assert command("routes", "import", str(sheet), "--write").code == 0
    assert command("routes", "apply", "--since", "1d", "--yes").code == 0
    assert history() == [("command", "ola"), ("file", "")]


def test_an_import_needs_no_letters(command: Command, sheet: Path, tmp_path: Path) -> None:
    """Before the first letter there is no database; an import works, and says that nothing was
    compared."""
    for file in (sheet.parent / "data").iterdir():
        file.rename(tmp_path / f"away-{file.name}")
    shown = command("routes", "import", str(sheet), "--write")
    assert shown.code == 0
    assert "stored letters were not compared: the database" in shown.out
    assert "written to" in shown.out
