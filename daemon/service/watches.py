"""What mailboxes find out by themselves: their organisations, and then their resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from daemon.core.ports import Mailbox
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service.party_watch import PartyWatch
from daemon.service.resource_watch import ResourceWatch
from daemon.store import Store


class Watches:
    """Both, as one. Its methods are theirs, and may be called from several threads."""

    def __init__(
        self,
        mailboxes: Sequence[Mailbox],
        store: Store,
        file: Path,
        problems: ServiceProblems,
        clock: Callable[[], datetime],
    ) -> None:
        """Watch these mailboxes; `file` is where answers about resources are kept."""
        self._parties = PartyWatch(mailboxes, store, problems, clock)
        self._resources = ResourceWatch(mailboxes, store, file, problems, clock)

    def recall(self, name: str) -> None:
        """Let the mailbox read what was found before this start. Raises StoreError."""
        self._parties.recall(name)
        self._resources.recall(name)

    def refresh(self, name: str) -> None:
        """Ask for what is new, if that is due. Raises StoreError."""
        self._parties.refresh(name)
        self._resources.refresh(name)
