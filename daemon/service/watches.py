"""What mailboxes find out: organisations, resources, what coverage lacks, silent senders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from daemon.config.loader import Configuration
from daemon.core.callbacks import do_nothing
from daemon.core.node_role import NodeRole
from daemon.core.nodes import Duty
from daemon.core.ports import Mailbox
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.clock import Clock
from daemon.service.coverage_watch import CoverageWatch
from daemon.service.party_watch import PartyWatch
from daemon.service.resource_watch import ResourceWatch
from daemon.service.sender_watch import SenderWatch
from daemon.store import Store


class Watches:
    """All of them, as one. Its methods are theirs, and may be called from several threads."""

    def __init__(
        self,
        mailboxes: Sequence[Mailbox],
        configuration: Callable[[], Configuration],
        store: Store,
        problems: ServiceProblems,
        clock: Clock,
        role: NodeRole,
    ) -> None:
        """Watch these mailboxes; answers about resources are kept beside the database."""
        file = configuration().store.beside.with_suffix(".resources.json")
        self._role = role
        self._parties = PartyWatch(mailboxes, store, problems, clock)
        self._resources = ResourceWatch(mailboxes, store, file, problems, clock)
        self._coverage = CoverageWatch(mailboxes, store, configuration, clock)
        names = [each.name for each in mailboxes]
        self._senders = SenderWatch(names, store, clock, lambda: not clock.problems())

    def recall(self, name: str) -> None:
        """Let the mailbox read what was found before this start. Raises StoreError."""
        self._parties.recall(name)
        self._resources.recall(name)

    def refresh(self, name: str) -> None:
        """Ask for what is new, if that is due; or read what another node has found.

        Raises StoreError.
        """
        if not self._role.has(Duty.DISCOVERY):
            self.recall(name)
            return
        self._parties.refresh(name)
        self._resources.refresh(name)
        self._coverage.refresh(name)

    def look_at_senders(
        self, stopping: threading.Event, beat: Callable[[], None] = do_nothing
    ) -> bool:
        """Look whether senders have fallen silent, see `SenderWatch.look`. For one thread."""
        return self._senders.look(stopping, beat)
