"""The journal of several nodes is signed with one key, whichever node signs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from daemon.config.store import StoreSettings
from daemon.core.errors import StoreError
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service.journal_heads import JournalHeads
from daemon.store import Store
from daemon.store.journal.key import key_path, make_key
from tests.unit.conftest import Clock, active_snapshot, configuration_of, stored_letter

pytestmark = pytest.mark.both_databases


class Machine:
    """A machine of its own that signs the journal of the store."""

    def __init__(self, store: Store, folder: Path, clock: Clock) -> None:
        settings = StoreSettings(
            database="postgresql+psycopg://db/postmottak",
            content=folder / "content",
            own_files=folder,
        )
        configuration = configuration_of(settings, folder)
        folder.mkdir()
        self.key = key_path(settings.beside)
        self.problems = ServiceProblems()
        active = active_snapshot({}, configuration=configuration)
        self.heads = JournalHeads(store, active, clock, self.problems)


def test_every_node_needs_the_same_key(store: Store, tmp_path: Path, clock: Clock) -> None:
    """Where machines share the store, one makes the key; another signs nothing with none or one of
    its own, and says which file to copy, also while others sign; with that, it signs."""
    first, second = (Machine(store, tmp_path / name, clock) for name in ("a", "b"))
    head = first.heads.sign()
    assert head
    store.letters.add([stored_letter("later")])
    if not store.is_shared:
        assert second.heads.sign()
        return
    assert second.heads.sign() is None
    assert "is not there; copy the file" in str(second.problems.all())
    assert not second.key.exists()

    with pytest.raises(StoreError, match="is not there; copy the file"):
        store.journal.own_key(second.key)
    assert not second.key.exists(), "whatever signs makes no key of its own"

    make_key(second.key)
    assert second.heads.sign() is None
    assert "is another one; copy the file" in str(second.problems.all())

    second.heads.leave_to_others()
    assert "could not be signed if the other nodes ended" in str(second.problems.all())
    shutil.copy(first.key, second.key)
    second.heads.leave_to_others()
    assert not second.problems.all()
    again = second.heads.sign()
    assert again
    assert again.key == head.key
    assert not second.problems.all()
    assert store.journal.verify(keys={head.key}).faults == []
