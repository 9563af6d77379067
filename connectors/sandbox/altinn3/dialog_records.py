"""The dialogs of the simulated Dialogporten, and how they change: its rules, without HTTP.

Source: Altinn/dialogporten, DialogEntity.cs, UnitOfWork.cs and DialogSeenLogWriter.cs.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid4

from connectors.sandbox.clock import Clock
from connectors.sandbox.dialogs import PretendDialog, PretendTransmission

_PLANNED = timedelta(minutes=1)
"""A correspondence that is planned for later than this has a dialog that is not visible yet."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An entry of the seen log: visible to the agency and to every colleague."""

    by: str
    revision: str
    at: datetime


@dataclass(kw_only=True)
class TransmissionRecord:
    """A transmission as the server keeps it."""

    id: str
    sent: PretendTransmission
    created_at: datetime


@dataclass(kw_only=True)
class DialogRecord:
    """A dialog as the server keeps it. Its times are resolved."""

    id: str
    dialog: PretendDialog
    created_at: datetime
    updated_at: datetime
    content_updated_at: datetime
    revision: str = field(default_factory=lambda: str(uuid4()))
    transmissions: list[TransmissionRecord] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    deleted: bool = False

    def is_listed(self, now: datetime) -> bool:
        """Return whether a search can find it: not deleted, visible, and not expired."""
        return not self.deleted and self.is_visible(now) and not self.has_expired(now)

    def is_visible(self, now: datetime) -> bool:
        """Return whether its time has come."""
        return self.dialog.visible_from is None or self.dialog.visible_from <= now

    def has_expired(self, now: datetime) -> bool:
        """Return whether its time is over."""
        return self.dialog.expires_at is not None and self.dialog.expires_at <= now


class Dialogs:
    """All dialogs. May be used from any thread."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._records: dict[str, DialogRecord] = {}
        self._by_party: dict[str, list[DialogRecord]] = {}
        self._mirrors: dict[str, str] = {}

    def add(self, dialog: PretendDialog) -> str:
        """Take a dialog in, with its transmissions, and return its id."""
        now = self._clock.now()
        planned = dialog.visible_from if dialog.visible_from and dialog.visible_from > now else None
        begun = planned or dialog.created_at or now
        record = DialogRecord(
            id=(dialog.id or str(uuid4())).lower(),
            dialog=dialog,
            created_at=begun,
            updated_at=begun,
            content_updated_at=begun,
            transmissions=[_transmission(each, begun) for each in dialog.transmissions],
        )
        with self.lock:
            self._records[record.id] = record
            self._by_party.setdefault(dialog.party, []).append(record)
            if dialog.correspondence:
                self._mirrors[dialog.correspondence] = record.id
        return record.id

    def mirror(self, dialog: PretendDialog, requested_at: datetime, *, migrated: bool) -> str:
        """Take in the dialog that a correspondence makes when it comes in.

        A migrated one is dated back to its old publishing, without a sign; one that is planned for
        later is not visible until then. Source: Altinn/altinn-correspondence,
        InitializeCorrespondencesHandler.cs and CreateDialogRequestMapper.cs.
        """
        later = requested_at > self._clock.now() + _PLANNED
        dated = replace(
            dialog,
            created_at=requested_at if migrated else None,
            visible_from=requested_at if later else None,
        )
        return self.add(dated)

    def add_transmission(
        self, dialog_id: str, transmission: PretendTransmission, *, silent: bool = False
    ) -> str:
        """Add a letter to a dialog, and return its id; a silent one moves no time."""
        with self.lock:
            record = self._records[dialog_id]
            now = self._clock.now()
            new = _transmission(transmission, now)
            record.transmissions.append(new)
            self._changed(record, now, silent=silent)
            return new.id

    def touch(self, dialog_id: str, *, silent: bool = False) -> None:
        """Change the dialog's text; a silent update moves no time."""
        with self.lock:
            self._changed(self._records[dialog_id], self._clock.now(), silent=silent)

    def delete(self, dialog_id: str) -> None:
        """Delete the dialog: 410 from now on."""
        self._records[dialog_id].deleted = True

    def restore(self, dialog_id: str) -> None:
        """Bring a deleted dialog back, with its old times."""
        self._records[dialog_id].deleted = False

    def forget_mirror(self, correspondence: str) -> None:
        """Delete the dialog of a letter that was purged or has failed."""
        if found := self._mirrors.get(correspondence):
            self.delete(found)

    def see(self, record: DialogRecord, by: str) -> None:
        """Write the seen log, once for each user and revision."""
        with self.lock:
            if not any((each.by, each.revision) == (by, record.revision) for each in record.seen):
                record.seen.append(Seen(by=by, revision=record.revision, at=self._clock.now()))

    def record(self, dialog_id: str) -> DialogRecord | None:
        """Return the dialog with that id."""
        return self._records.get(dialog_id.lower())

    def mirror_of(self, correspondence: str) -> DialogRecord | None:
        """Return the dialog of a letter of Correspondence."""
        found = self._mirrors.get(correspondence)
        return self._records.get(found) if found else None

    def of_parties(self, parties: Collection[str]) -> Iterator[DialogRecord]:
        """Yield all dialogs of these parties, deleted ones included."""
        with self.lock:
            for party in parties:
                yield from list(self._by_party.get(party, ()))

    def parties(self) -> frozenset[str]:
        """Return the parties that have dialogs."""
        with self.lock:
            return frozenset(self._by_party)

    def seen_log(self) -> list[Seen]:
        """Return what all callers have left in the seen logs; empty is what neutral means."""
        with self.lock:
            return [each for record in self._records.values() for each in record.seen]

    def _changed(self, record: DialogRecord, now: datetime, *, silent: bool) -> None:
        record.revision = str(uuid4())
        if not silent:
            record.updated_at = record.content_updated_at = now


def _transmission(sent: PretendTransmission, now: datetime) -> TransmissionRecord:
    return TransmissionRecord(
        id=(sent.id or str(uuid4())).lower(), sent=sent, created_at=sent.created_at or now
    )
