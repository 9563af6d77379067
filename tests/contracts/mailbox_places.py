"""What is at the other side of each mailbox, for the contract that all of them keep."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.mailboxes import altinn2, altinn3, folder
from connectors.sandbox.altinn2.server import PretendAltinn2
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.samples import sandbox_resource
from connectors.sandbox.setup import altinn2_section
from daemon.core.model import LetterRef
from daemon.core.ports import Channel, Mailbox

PARTY, SERVICE = "991825827", "4255/8"
NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


class Place(ABC):
    """A mailbox, and the other side of it."""

    mailbox: Mailbox
    settings: altinn3.Settings | altinn2.Settings | folder.Settings
    listed_as = SERVICE
    """What a listing says of a letter of SERVICE: that, or as much of it as can be known before the
    letter is open."""

    @property
    def read_by_fetching(self) -> bool:
        """What the mailbox declares (daemon/core/ports.py): fetching a letter notes it as read. All
        others promise that it does not."""
        return self.settings.mark_read == "fetched"

    @abstractmethod
    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        """Put a letter with this title there; its external id."""

    @abstractmethod
    def remove(self, external_id: str) -> None:
        """Take a letter away."""

    @abstractmethod
    def remove_file(self, external_id: str, name: str) -> None:
        """Take the bytes of an attachment away."""

    @abstractmethod
    def marks(self, external_id: str) -> list[str]:
        """What its sender can see of a letter, of Read and Confirmed."""

    def channel(self) -> Channel:
        return next(each for each in self.mailbox.channels() if each.service == self.listed_as)

    def refs(self) -> dict[str, LetterRef]:
        return {ref.external_id: ref for ref in self.mailbox.list(self.channel(), None).refs}


class Altinn3Place(Place):
    """The Altinn 3 mailbox and the simulated Altinn; letters are found by lists."""

    mailbox: altinn3.Altinn3
    bell = "off"

    def __init__(self, base: Path, altinn: FakeAltinn) -> None:
        self.altinn = altinn
        client = altinn.ready_client()
        altinn.allow(client.client_id, PARTY, ["skatt"])
        altinn.letters.confirm_delay = timedelta(seconds=0.05)
        (base / "key.pem").write_text(client.private_key)
        told = {
            "maskinporten_url": altinn.maskinporten_url,
            "platform_url": altinn.platform_url,
            "client_id": client.client_id,
            "key_file": "key.pem",
            "key_id": client.key_id,
            "parties": [PARTY],
            "services": [SERVICE],
            "resources": {SERVICE: ["skatt"]},
            "confidential": "off",
            "bell": self.bell,
        }
        self.settings = altinn3.Settings.model_validate(told, context={"base": base})
        self.mailbox = altinn3.connect("box", self.settings)

    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        attachments = tuple(
            PretendAttachment(name=each, content=content) for each, content in (files or {}).items()
        )
        return self.altinn.publish(
            PretendLetter(
                party=PARTY, resource="skatt", title=name, requested_at=at, attachments=attachments
            )
        )

    def remove(self, external_id: str) -> None:
        self.altinn.withdraw(external_id)

    def remove_file(self, external_id: str, name: str) -> None:
        record = self.altinn.record(external_id)
        for part in record.attachments:
            if part.attachment.name == name:
                self.altinn.set_attachment(external_id, part.id, type(part.status).Purged)

    def marks(self, external_id: str) -> list[str]:
        if self.altinn.count("confirm"):
            self.altinn.wait_for_status(external_id, "Confirmed")
        return [each for each in self.altinn.statuses(external_id) if each in {"Read", "Confirmed"}]


class Altinn3BellPlace(Altinn3Place):
    """The same, where the bell says which letters there are, and lists are not used."""

    bell = "dialogporten"

    def refs(self) -> dict[str, LetterRef]:
        since = self.altinn.clock.now() - timedelta(days=1)
        rings = [ring for answer in self.mailbox.ring({PARTY: since}) for ring in answer.rings]
        found = filter(None, map(self.mailbox.letter_of, rings))
        return {ref.external_id: ref for ref in found}


class Altinn2Place(Place):
    """The Altinn 2 mailbox and the simulated Altinn 2."""

    listed_as = "4255"

    def __init__(self, base: Path, altinn: PretendAltinn2) -> None:
        self.altinn = altinn
        told = altinn2_section(base, altinn, PARTY)
        self.settings = altinn2.Settings.model_validate(told, context={"base": base})
        self.mailbox = altinn2.connect("box", self.settings)

    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        told = PretendLetter(
            party=PARTY,
            resource=sandbox_resource(SERVICE),
            title=name,
            requested_at=at,
            attachments=tuple(
                PretendAttachment(name=each, content=content)
                for each, content in (files or {}).items()
            ),
            confirmation_needed=True,
        )
        return str(self.altinn.publish(told))

    def remove(self, external_id: str) -> None:
        self.altinn.withdraw(int(external_id))

    def remove_file(self, external_id: str, name: str) -> None:
        self.altinn.withdraw_bytes(int(external_id), name)
        # attachments come with their letter: those that were put aside are let go
        self.mailbox.close()

    def marks(self, external_id: str) -> list[str]:
        record = self.altinn.record(int(external_id))
        return [
            name
            for name, at in (("Read", record.read_at), ("Confirmed", record.confirmed_at))
            if at
        ]


class FolderPlace(Place):
    """The folder mailbox and its folder."""

    def __init__(self, base: Path) -> None:
        self.path = base / "letters"
        self.path.mkdir()
        self.settings = folder.Settings.model_validate(
            {"path": "letters", "party": PARTY}, context={"base": base}
        )
        self.mailbox = folder.connect("box", self.settings)

    def put(self, name: str, at: datetime = NOON, files: Mapping[str, bytes] | None = None) -> str:
        letter = self.path / f"letter-{len(list(self.path.iterdir()))}"
        letter.mkdir()
        for each, content in (files or {}).items():
            (letter / each).write_bytes(content)
        told = {
            "service": SERVICE,
            "title": name,
            "published_at": at.isoformat(),
            "files": [{"file": each, "name": each} for each in files or {}],
        }
        (letter / "letter.json").write_text(json.dumps(told))
        return letter.name

    def remove(self, external_id: str) -> None:
        (self.path / external_id / "letter.json").unlink()

    def remove_file(self, external_id: str, name: str) -> None:
        (self.path / external_id / name).unlink()

    def marks(self, external_id: str) -> list[str]:
        return [
            each
            for each in ("Read", "Confirmed")
            if (self.path / external_id / each.upper()).exists()
        ]


@contextmanager
def altinn3_place(base: Path) -> Iterator[Place]:
    with FakeAltinn() as altinn:
        yield Altinn3Place(base, altinn)


@contextmanager
def altinn3_bell_place(base: Path) -> Iterator[Place]:
    with FakeAltinn() as altinn:
        yield Altinn3BellPlace(base, altinn)


@contextmanager
def altinn2_place(base: Path) -> Iterator[Place]:
    with PretendAltinn2() as altinn:
        yield Altinn2Place(base, altinn)


@contextmanager
def folder_place(base: Path) -> Iterator[Place]:
    yield FolderPlace(base)
