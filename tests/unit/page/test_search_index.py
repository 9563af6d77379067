"""The search index: what is in it, that it follows the store, and that it forgets."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from daemon.core.model import MessageKind
from daemon.page.search import (
    LetterFinder,
    LetterQuery,
    SearchFault,
    SearchIndex,
    SearchTooSlow,
    Synced,
)
from daemon.page.search import index as index_module
from daemon.store import Store
from tests.unit.conftest import SECRET, Clock, stored_letter

pytestmark = pytest.mark.both_databases

EVERY = LetterQuery()


@pytest.fixture
def index(store: Store, tmp_path: Path) -> Iterator[SearchIndex]:
    """An index beside the database."""
    index = SearchIndex(tmp_path / "search.db", store)
    yield index
    index.close()


@pytest.fixture
def finder(index: SearchIndex, clock: Clock) -> LetterFinder:
    """What reads the index."""
    return LetterFinder(index, clock)


def found(finder: LetterFinder, text: str) -> set[UUID]:
    """The letters with these words."""
    return {each.id for each in finder.find(LetterQuery(text=text), None)}


def bytes_of(path: Path) -> bytes:
    """All that is on the disk of the index."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.glob(path.name + "*")))


def test_the_file_is_private(index: SearchIndex) -> None:
    """Only the owner of the store reads letters."""
    assert stat.S_IMODE(index.path.stat().st_mode) == 0o600
    assert index.sync() == Synced(complete=True, letters=0)


def test_a_letter_is_found_by_all_that_it_says(
    store: Store, index: SearchIndex, finder: LetterFinder
) -> None:
    """Title, text, sender, reference, case number and file names are searched; inside words,
    without case and accents, but ø stays ø."""
    letter = stored_letter(
        title="Pålegg om merverdiavgift",
        body="Se sak 2026/1234 om miljø.",
        sender_name="Miljødirektoratet",
        sender_reference="REF-77",
    )
    store.letters.add([letter, stored_letter("b", title="Møte")])
    index.sync()
    for text in (
        "avgift",
        "miljø",
        "direktoratet avgift",
        "PÅLEGG",
        "palegg",
        "2026/1234",
        "ref-77",
        "974761076",
        "å.pdf merverdi",
        "om pålegg",
    ):
        assert letter.message.id in found(finder, text), text
    for text in (
        "miljo",
        "avgift møte",
        "2026/12345",
        "tittel:avgift",
        "avgift OR møte",
        '"avgift"',
    ):
        assert found(finder, text) == set(), text


@pytest.mark.parametrize("guard", ["flag", "service", "notice"])
def test_nothing_confidential_is_in_the_file(
    store: Store, index: SearchIndex, finder: LetterFinder, guard: str
) -> None:
    """A confidential letter and a notice of one leave no word in the file, however they are
    marked."""
    letter = stored_letter(
        title="Barnevernet Hemmeligsak",
        sender_name="Hemmeligetaten",
        service=SECRET.service if guard == "service" else "4255/8",
        confidential=guard == "flag",
        kind=MessageKind.NOTICE if guard == "notice" else MessageKind.LETTER,
    )
    store.letters.add([letter])
    assert index.sync() == Synced(complete=True, letters=0)
    assert finder.total(EVERY, None) == 0
    assert b"emmelig" not in bytes_of(index.path)


def test_markup_is_not_searched_and_long_texts_are_cut(
    store: Store, index: SearchIndex, finder: LetterFinder
) -> None:
    """Of HTML only the words count; of any text the first 10,000 characters."""
    markup = stored_letter("a", body="<span>blå&aring;r</span>", body_type="text/html")
    long = stored_letter("b", body="x" * 9_990 + " midten " + "slutten")
    store.letters.add([markup, long])
    index.sync()
    assert found(finder, "blåår") == {markup.message.id}
    assert found(finder, "midten") == {long.message.id}
    assert found(finder, "span") | found(finder, "slutten") == set()


@pytest.mark.parametrize("damage", [b"rubbish" * 1000, b"", None])
def test_a_damaged_or_missing_file_is_made_again(
    store: Store, index: SearchIndex, damage: bytes | None
) -> None:
    """A file that is damaged, empty or gone costs nothing but the time to make it."""
    store.letters.add([stored_letter()])
    index.sync()
    index.close()
    for each in index.path.parent.glob("search.db*"):
        each.unlink()
    if damage is not None:
        index.path.write_bytes(damage)
    with closing(SearchIndex(index.path, store)) as other:
        assert other.sync() == Synced(complete=True, letters=1)
    index.path.unlink()
    assert index.sync().letters == 1  # while it is open, too
    assert LetterFinder(index).total(EVERY, None) == 1


def test_a_file_of_another_version_is_made_again(store: Store, index: SearchIndex) -> None:
    """What an earlier or later version wrote is not read."""
    store.letters.add([stored_letter()])
    index.sync()
    index.close()
    with closing(sqlite3.connect(index.path)) as connection:
        connection.execute("PRAGMA user_version = 999")
        connection.execute("ALTER TABLE letter RENAME COLUMN title TO heading")
    with closing(SearchIndex(index.path, store)) as other:
        assert other.sync() == Synced(complete=True, letters=1)


def test_damage_that_a_read_meets_is_mended_for_the_next(store: Store, index: SearchIndex) -> None:
    """A list fails plainly once; then the index is made again."""
    store.letters.add([stored_letter(str(number)) for number in range(50)])
    index.sync()
    index.close()
    data = bytearray(index.path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    index.path.write_bytes(data)
    finder = LetterFinder(index)
    with pytest.raises(SearchFault, match="search index"):
        finder.look(EVERY, None)
    assert index.sync() == Synced(complete=True, letters=50)
    assert finder.total(EVERY, None) == 50


def test_a_search_that_takes_too_long_says_so(
    store: Store, index: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement beyond the limit ends with what to do, and the next one is as good as ever."""
    store.letters.add([stored_letter(str(number)) for number in range(300)])
    index.sync()
    finder = LetterFinder(index)
    monkeypatch.setattr(index_module, "_READ_AT_MOST", -1.0)
    monkeypatch.setattr(index_module, "_OPERATIONS", 10)
    with pytest.raises(SearchTooSlow, match="search for more words"):
        finder.look(LetterQuery(text="vedtak"), None)
    monkeypatch.undo()
    assert finder.total(LetterQuery(text="vedtak"), None) == 300


def test_several_may_sync_at_once(store: Store, index: SearchIndex) -> None:
    """Two indexes on one file, as in two processes, and several threads: every letter once."""
    store.letters.add([stored_letter(str(number)) for number in range(900)])
    with closing(SearchIndex(index.path, store)) as other:
        threads = [threading.Thread(target=each.sync) for each in (index, other) * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert index.sync() == Synced(complete=True, letters=0)
        assert LetterFinder(other).total(LetterQuery(text="vedtak"), None) == 900


def test_a_budget_ends_a_sync_and_the_next_goes_on(store: Store, index: SearchIndex) -> None:
    """A first sync with little time writes some letters, and the ones after it the rest."""
    store.letters.add([stored_letter(str(number)) for number in range(900)])
    first = index.sync(0.0)
    assert (first.complete, first.letters, index.is_complete()) == (False, 200, False)
    seen: list[tuple[int, int]] = []
    rest = index.sync(progress=lambda done, of: seen.append((done, of)))
    assert (rest.complete, rest.letters, index.is_complete()) == (True, 700, True)
    assert seen[0] == (200, 900)
