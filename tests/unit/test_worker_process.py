"""A worker process's own side, here in the process of the test: what it does with what it gets."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, cast

import pytest

from connectors.destinations import filedrop
from daemon.config.loader import (
    Configuration,
    DeliverySettings,
    DestinationConfiguration,
    MailboxConfiguration,
    RoutingSettings,
)
from daemon.config.store import StoreSettings
from daemon.core.errors import DiskFull, PostmottakError, StoreError
from daemon.core.model import DeliveryState, LetterRef
from daemon.core.ports import Destination
from daemon.core.settings import MailboxSettings
from daemon.intake.carrier import Carried
from daemon.intake.new_letter import MarkPolicies
from daemon.intake.worker.messages import (
    Chunk,
    ChunkEnded,
    ChunkProgress,
    Ping,
    Pong,
    StopWork,
    TimeNow,
    pack_snapshot,
)
from daemon.intake.worker.worker_process import Connectors, WorkerProcess, temporaries_of
from daemon.routing.table import Table
from daemon.store import Store
from daemon.store.outbox import Outbox
from tests.unit.conftest import NOW, TABLE, TABLE_TEXT, TAX, table_of
from tests.unit.memory_batch import BatchMailbox

NAME = "host:1/7.0"
SECONDS = 20.0
CLOCK = TimeNow(line=NOW, certain=True)


class Settings(MailboxSettings):
    """Of the mailbox in memory."""


@dataclass
class Scene:
    """A worker with a mailbox in memory and two folders."""

    folder: Path
    mailbox: BatchMailbox = field(default_factory=BatchMailbox)

    def __post_init__(self) -> None:
        for each in ("erp", "mail", "later"):
            (self.folder / each).mkdir(exist_ok=True)
        self.pipe, theirs = Pipe()
        connectors = Connectors(mailbox=lambda _: self.mailbox, destination=self._connect)
        self.worker = WorkerProcess(theirs, NAME, connectors)

    @staticmethod
    def _connect(each: DestinationConfiguration) -> Any:
        return filedrop.connect(each.name, cast("filedrop.Settings", each.settings))

    def configuration(self, **places: str) -> Configuration:
        """With these folders by the destination's name."""
        return Configuration(
            path=self.folder / "postmottak.toml",
            text="",
            store=StoreSettings(
                database=f"sqlite:///{self.folder}/postmottak.db", content=self.folder / "content"
            ),
            mailboxes=(
                MailboxConfiguration(
                    name="altinn", type="memory", settings=Settings(poll_every=timedelta(hours=1))
                ),
            ),
            destinations=tuple(
                DestinationConfiguration(
                    name=name,
                    type="filedrop",
                    settings=filedrop.Settings(path=self.folder / place),
                )
                for name, place in places.items()
            ),
            delivery=DeliverySettings(),
            routing=RoutingSettings(file=self.folder / "routing.toml"),
        )

    def use(self, table: Table = TABLE, **places: str) -> None:
        """Send a configuration and a table."""
        given = places or {"erp": "erp", "mail": "mail"}
        self.worker._take(pack_snapshot(self.configuration(**given), table))

    def carry(self, *refs: LetterRef, usable: tuple[str, ...] = ("erp", "mail")) -> Any:
        """Send a chunk; its outcome."""
        self.send(*refs, usable=usable)
        while True:
            answer = self.answer()
            if isinstance(answer, ChunkEnded):
                return answer.outcome
            assert isinstance(answer, ChunkProgress)

    def send(self, *refs: LetterRef, usable: tuple[str, ...] = ("erp", "mail")) -> None:
        """Send a chunk."""
        chunk = Chunk(
            number=1,
            mailbox="altinn",
            policies=MarkPolicies(),
            work=[(TAX, ref) for ref in refs],
            at_once=4,
            usable=usable,
            time=CLOCK,
        )
        self.worker._take(chunk)

    def answer(self) -> Any:
        """What the worker says next."""
        assert self.pipe.poll(SECONDS)
        return pickle.loads(self.pipe.recv_bytes())

    def dropped(self, place: str = "erp") -> int:
        """How many letters are in a folder."""
        return len([*(self.folder / place).iterdir()])


@pytest.fixture
def scene(database: Path) -> Iterator[Scene]:
    """It, with a store that has its tables."""
    found = Scene(database.parent)
    yield found
    if found.worker._parts:
        found.worker._parts.store.close()


def test_letters_are_fetched_stored_and_dropped(scene: Scene, store: Store) -> None:
    """All of it by the worker, with its own name on the claims, and the service's time."""
    scene.use()
    refs = [scene.mailbox.publish(each, b"pdf") for each in "abc"]
    outcome = scene.carry(*refs)
    assert isinstance(outcome, Carried)
    assert (outcome.stored, outcome.problems, scene.dropped()) == (3, [], 3)
    (delivery,) = store.queries.deliveries(message_id=refs[0].message_id)
    assert delivery.state is DeliveryState.DELIVERED
    assert abs(delivery.created_at - CLOCK.line) > timedelta(seconds=1)  # `elapsed` is added


def test_an_edit(scene: Scene) -> None:
    """A table and a destination that were edited hold from the next chunk on; those unchanged are
    kept."""
    scene.use()
    scene.carry(scene.mailbox.publish("a"))
    erp = scene.worker._active.snapshot().destinations["erp"] if scene.worker._active else None
    text = TABLE_TEXT.replace('deliver_to = ["erp"]', 'deliver_to = ["mail"]')
    table = table_of(text)
    parts = scene.worker._parts
    assert parts
    parts.store.letters.note_table(table.version, table.text, NOW)
    scene.use(table, erp="erp", mail="later")
    scene.carry(scene.mailbox.publish("b"))
    assert (scene.dropped(), scene.dropped("mail"), scene.dropped("later")) == (1, 0, 1)
    assert scene.worker._active
    assert scene.worker._active.snapshot().destinations["erp"] is erp


def test_a_destination_that_cannot_be_connected(scene: Scene, store: Store) -> None:
    """The worker does not end with it; its letters are left to the outbox, until it can be."""

    def fails(_: object) -> Destination:
        raise OSError("its certificate was moved away")

    connect = scene.worker._connectors.destination
    broken = replace(scene.worker._connectors, destination=fails)
    scene.worker._connectors = broken
    scene.use()
    ref = scene.mailbox.publish("a")
    assert (scene.carry(ref).stored, scene.dropped()) == (1, 0)
    (delivery,) = store.queries.deliveries(message_id=ref.message_id)
    assert delivery.state is DeliveryState.PENDING
    scene.worker._connectors = replace(broken, destination=connect)
    scene.use()
    scene.carry(scene.mailbox.publish("b"))
    assert scene.dropped() == 1


def test_a_store_that_cannot_be_opened(scene: Scene, tmp_path: Path) -> None:
    """The service hears of it, and the next chunk tries again."""
    scene.use()
    (tmp_path / "content").write_text("no folder")
    ref = scene.mailbox.publish("a")
    outcome = scene.carry(ref)
    assert isinstance(outcome, StoreError)
    assert "content" in str(outcome)
    (tmp_path / "content").unlink()
    assert scene.carry(ref).stored == 1


def test_a_disk_that_is_full_once_a_letter_is_stored(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service hears that the letter is stored, and then that no more can be recorded."""

    def fails(*_: object) -> Any:
        raise DiskFull("no room")

    monkeypatch.setattr(Outbox, "end", fails)
    scene.use()
    scene.send(scene.mailbox.publish("a"))
    progress, ended = scene.answer(), scene.answer()
    assert (progress.progress.stored, type(ended.outcome)) == (1, DiskFull)


def test_a_fault_that_nobody_foresaw(scene: Scene) -> None:
    """The service hears of it, as of one of its own."""
    scene.use()

    def fails(_: object) -> Any:
        raise ZeroDivisionError

    scene.worker._connectors = replace(scene.worker._connectors, mailbox=fails)
    outcome = scene.carry(scene.mailbox.publish("a"))
    assert type(outcome) is PostmottakError
    assert "ZeroDivisionError" in str(outcome)


def test_a_ping(scene: Scene) -> None:
    """It is answered, also before there is work; it sets the clock, and the answer names what
    hangs."""
    scene.worker._take(Ping(time=CLOCK))
    assert isinstance(scene.answer(), Pong)
    scene.use()
    scene.carry(scene.mailbox.publish("a"))
    parts = scene.worker._parts
    assert parts
    scene.worker._take(Ping(time=TimeNow(line=NOW + timedelta(days=9), certain=False)))
    assert not scene.answer().stalled
    assert parts.clock() > NOW + timedelta(days=9)
    assert not parts.clock.certain()
    parts.heartbeats.beat("chunk 9", -1)
    scene.worker._take(Ping(time=CLOCK))
    assert scene.answer().stalled == ["chunk 9"]


def test_a_stop(scene: Scene) -> None:
    """Nothing is begun after it, and what is not begun is of no account."""
    scene.use()
    scene.worker._take(StopWork())
    outcome = scene.carry(*(scene.mailbox.publish(f"{number}") for number in range(30)))
    assert outcome.stored < 30
    assert outcome.missing
    assert not outcome.problems


def test_two_workers_with_the_same_letter(database: Path) -> None:
    """Two workers that bring one letter of Altinn 2 and of Altinn 3 at once store and drop it
    once."""
    scenes = [Scene(database.parent, mailbox=BatchMailbox(name=name)) for name in ("altinn", "old")]
    refs = []
    for scene in scenes:
        scene.use()
        refs.append([scene.mailbox.publish(f"{n}", b"pdf", altinn2_id=n) for n in range(1, 40)])
    outcomes: list[Any] = []
    threads = [
        threading.Thread(target=lambda scene=scene, some=some: outcomes.append(scene.carry(*some)))
        for scene, some in zip(scenes, refs, strict=True)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(SECONDS)
    assert sum(each.stored for each in outcomes) == 39
    assert sum(each.duplicates for each in outcomes) == 39
    assert scenes[0].dropped() == 39
    for scene in scenes:
        assert scene.worker._parts
        scene.worker._parts.store.close()


def test_what_a_killed_worker_had_half_written(scene: Scene) -> None:
    """It has the worker's name, so that only that is removed."""
    scene.use()
    scene.carry(scene.mailbox.publish("a"))
    parts = scene.worker._parts
    assert parts
    file, other = parts.content.begin(), scene.folder / "content" / "tmp" / "17.0-x"
    file.write(b"half")
    other.touch()
    parts.content.remove_temporaries(temporaries_of(NAME))
    assert [*(scene.folder / "content" / "tmp").iterdir()] == [other]
    file.discard()
