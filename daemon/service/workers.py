"""The worker processes of the service: their fork server, and how they are wired to the rest."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import NoReturn

from daemon.core.backoff import Backoff
from daemon.core.bookkeeping import STALLED
from daemon.core.callbacks import do_nothing
from daemon.core.pacing import PROCESSES
from daemon.core.ports import Mailbox
from daemon.core.shared_tokens import SharesTokens
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.snapshot import ActiveSnapshot
from daemon.intake.carrier import Carrier
from daemon.intake.worker import worker_process
from daemon.intake.worker.worker_client import WorkerClient
from daemon.intake.worker.worker_pool import WorkerPool, time_of
from daemon.intake.worker.worker_process import Connectors, temporaries_of
from daemon.intake.worker.worker_supervisor import WorkerSupervisor, slot_of
from daemon.monitoring.problem import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.clock import Clock
from daemon.runtime.fork_server import ForkServer
from daemon.runtime.heartbeat import Heartbeats
from daemon.runtime.process import freeze_gc, pin_to, pin_to_one_core
from daemon.service import plugins

_CONNECTORS = Connectors(mailbox=plugins.connect_mailbox, destination=plugins.connect_destination)
_AT_MOST = 4
"""Workers, unless more are configured: they share one disk and one writer of the database."""
_PAUSES = Backoff(timedelta(seconds=1), timedelta(minutes=1))
_TROUBLE = Problem(
    kind=STALLED,
    about="workers",
    text=(
        "The worker processes, which fetch letters, keep ending; see the log and the system's "
        "journal, for example for a lack of memory"
    ),
)


def start_fork_server(confirm: Callable[[], None] = do_nothing) -> tuple[ForkServer, int]:
    """Start the fork server, and keep this process to one core. Returns how many cores there are.

    `confirm` says in every worker whether this node may still deliver, as in a parcel. Call this
    with the store's lock held, and before anything is opened that another process must
    not have.
    """
    # so that all processes keep sharing memory: the garbage collector writes into what it visits
    freeze_gc()
    number = len(os.sched_getaffinity(0))
    others = pin_to_one_core()
    own = os.sched_getaffinity(0) if others else ()
    return ForkServer(partial(_work, [*sorted(others), *own], confirm)), number


def _work(
    cores: Sequence[int], confirm: Callable[[], None], pipe: Connection, name: str
) -> NoReturn:
    """Be a worker. Each has a core, since its threads run one at a time; the service's is last."""
    if cores:
        pin_to([cores[slot_of(name) % len(cores)]])
    worker_process.work(_CONNECTORS, pipe, name, confirm)


def _lend_tokens(
    mailboxes: Mapping[str, Mailbox], name: str, parties: Collection[str]
) -> Sequence[object]:
    mailbox = mailboxes[name]
    return mailbox.lend_tokens(parties) if isinstance(mailbox, SharesTokens) else ()


class Workers:
    """The supervisor of the workers, and the pool that shares letters among them."""

    def __init__(
        self,
        started: tuple[ForkServer, int],
        here: Carrier,
        dispatch: Dispatch,
        active: ActiveSnapshot,
        clock: Clock,
        problems: ServiceProblems,
        heartbeats: Heartbeats,
        mailboxes: Sequence[Mailbox],
    ) -> None:
        """Wire them; `started` is what `start_fork_server` returned."""
        server, cores = started
        self._here, self._dispatch, self._clock = here, dispatch, clock
        self._problems = problems
        time_now = partial(time_of, clock)
        wanted = active.configuration().delivery.workers
        number = min(cores, _AT_MOST) if wanted == "auto" else wanted
        PROCESSES.number = number + 1
        self.supervisor = WorkerSupervisor(
            server,
            number,
            time_now=time_now,
            release=self._release,
            backoff=_PAUSES,
            on_trouble=self._note_trouble,
            owner=dispatch.role.owner,
        )
        self.pool = WorkerPool(
            self.supervisor,
            here,
            active=active,
            time_now=time_now,
            usable=lambda: dispatch.usable_by_workers,
            note_local=dispatch.note_local,
            tokens=partial(_lend_tokens, {each.name: each for each in mailboxes}),
            heartbeats=heartbeats,
        )
        dispatch.leases.worker_names = self.supervisor.busy

    def _release(self, worker: WorkerClient, *, stopped: bool) -> None:
        """Release what a worker that has ended had in hand, and clear away what it left."""
        self._here.store.outbox.release_abandoned(self._clock(), owner=worker.name, stopped=stopped)
        self._here.fetcher.content.remove_temporaries(temporaries_of(worker.name))
        self._dispatch.worker_ended()

    def _note_trouble(self, there_is: bool) -> None:  # a callback has no names
        if there_is:
            self._problems.begin(_TROUBLE)
        else:
            self._problems.end(_TROUBLE.kind, _TROUBLE.about)
