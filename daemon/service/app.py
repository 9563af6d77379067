"""Builds the parts that a configuration names and wires them, for one round or for the service."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from daemon.config.loader import Configuration
from daemon.core.bookkeeping import CLOCK, LOCK, PICKUP
from daemon.core.errors import Fault
from daemon.core.model import Outcome
from daemon.core.node_role import NodeRole
from daemon.core.nodes import Duty
from daemon.core.pacing import PaceNumbers, added_up
from daemon.core.ports import Destination, HasTokens, TellsTime
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.marks import MarkSender
from daemon.delivery.pickup import Pickups, PickupWatch
from daemon.delivery.reminders import ReminderSender
from daemon.delivery.snapshot import ActiveSnapshot, Snapshot
from daemon.intake.carrier import Carrier
from daemon.intake.fetch import Fetcher
from daemon.intake.late_files import ask_again
from daemon.intake.mailboxes import paces_of, polled_mailboxes
from daemon.intake.notices import Notices
from daemon.intake.party_names import names_of
from daemon.intake.poll import Intake
from daemon.intake.reconcile import Compared, Reconciliation, is_due
from daemon.intake.rerouting import Rerouter
from daemon.intake.worker.worker_process import temporaries_of_node
from daemon.intake.worker.worker_supervisor import CLOCK_HEARD_AFTER
from daemon.maintenance.housekeeping import Housekeeping
from daemon.maintenance.retention import Retention
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems, clock_problems, pickup_problems
from daemon.routing.table import Table
from daemon.runtime.clock import Clock
from daemon.runtime.fork_server import ForkServer
from daemon.runtime.heartbeat import OUTBOX, Heartbeats
from daemon.runtime.process import allow_enough_files, leave_no_core, tune_malloc
from daemon.runtime.process_usage import ProcessUsage
from daemon.service import plugins
from daemon.service.away import open_alone, open_when_reachable
from daemon.service.canaries import canary_sender
from daemon.service.edit_warnings import log_configuration_warnings, log_table_warnings
from daemon.service.journal_heads import JournalHeads
from daemon.service.membership import Membership, new_lease, sole_process, taking_part
from daemon.service.poll_summary import PollSummary
from daemon.service.preflight import refuse_shared_file_systems
from daemon.service.pull_api import pull_api_server, token_guard
from daemon.service.restart_sections import needs_restart
from daemon.service.stack import LoadedConfig, open_content, retention
from daemon.service.store_access import lock_of, refuse_closed_store
from daemon.service.upkeep import (
    ClockCorrections,
    CoverFollower,
    bring_up_to_date,
    clock_of,
)
from daemon.service.watches import Watches
from daemon.service.workers import Workers, start_fork_server
from daemon.store import Store
from daemon.store.in_use import POLL, SERVICE
from daemon.store.lock import InstanceLock

_log = structlog.get_logger(__name__)


class App:
    """All parts of the service, wired. Made by `open_app`."""

    def __init__(
        self,
        checked: LoadedConfig,
        store: Store,
        clock: Clock,
        lock: InstanceLock,
        fork_server: tuple[ForkServer, int] | None = None,
        membership: Membership | None = None,
    ) -> None:
        configuration, self.membership = checked.configuration, membership
        self.role: NodeRole = membership or sole_process()
        self._lock, self._ignored = lock, checked.ignored
        self.store, self.clock, self._names = store, clock, names_of(store, configuration)
        self.problems, self.heartbeats = ServiceProblems(), Heartbeats()
        self.problems.follow(CLOCK, lambda: clock_problems(clock.problems()))
        self.content = open_content(configuration, temporaries_of_node(self.role.node))
        self.content.remove_temporaries(temporaries_of_node(self.role.node))
        places, table = plugins.connect_destinations(configuration), checked.table
        self._active = ActiveSnapshot(
            Snapshot(configuration=configuration, table=table, destinations=places)
        )
        self.canaries = canary_sender(
            store, self.content, self._active, clock, self.heartbeats, self.role.has
        )
        self.heads = JournalHeads(store, self._active, clock, self.problems)
        self.mailboxes = plugins.connect_mailboxes(configuration)
        clock.follow(*(each.source_time for each in self.mailboxes if isinstance(each, TellsTime)))
        self.polled_mailboxes = polled_mailboxes(configuration, self.mailboxes, self.heartbeats)
        self.resources = Watches(
            self.mailboxes, self.configuration, store, self.problems, clock, self.role
        )
        self.tokens = token_guard(configuration, self.problems)
        self.web = pull_api_server(
            configuration,
            store=store,
            content=self.content,
            tokens=self.tokens,
            clock=clock,
            problems=self.problems,
            destinations=self._active.destinations,
        )
        late = CLOCK_HEARD_AFTER if fork_server else timedelta()
        self._corrections = ClockCorrections(store, clock, late)
        self._wire_deliveries(configuration)
        self._wire_intake(fork_server)
        self._housekeeping = Housekeeping(
            store=store,
            content=self.content,
            retention=self._retention,
            clock=clock,
            heartbeats=self.heartbeats,
            settled=self._corrections.settled,
            right_for=clock.right_for,
        )
        self._recover()

    def _wire_deliveries(self, configuration: Configuration) -> None:
        store, clock, heartbeats = self.store, self.clock, self.heartbeats
        self._dispatch = Dispatch(
            store=store,
            content=self.content,
            active=self._active,
            clock=clock,
            give_up_after=configuration.delivery.give_up_after,
            heartbeats=heartbeats,
            steady=clock.steady,
            corrections=self._corrections,
            role=self.role,
        )
        self.timings = self._dispatch.timings
        self.pickups = Pickups(store=store, active=self._active, clock=clock, heartbeats=heartbeats)
        self.problems.follow(PICKUP, lambda: pickup_problems(self.pickups.unseen))
        self._mark_sender = MarkSender(store=store, clock=clock)
        self.reminders = ReminderSender(
            store, self._active, clock, clock.problems, heartbeats, self.role.has
        )

    def _wire_intake(self, fork_server: tuple[ForkServer, int] | None) -> None:
        store, table, clock, names = self.store, self._active.table, self.clock, self._names
        fetcher = Fetcher(store=store, content=self.content, table=table, clock=clock, names=names)
        here = Carrier(store=store, fetcher=fetcher, backlog=self._dispatch.backlog.is_set)
        found = self._dispatch, self._active, clock, self.problems, self.heartbeats
        workers = fork_server and Workers(fork_server, here, *found, self.mailboxes)
        self.workers = workers.supervisor if workers else None
        self.intake = Intake(
            store=store,
            fetcher=fetcher,
            notices=Notices(store=store, table=table, clock=clock, names=names),
            here=here,
            carrier=workers.pool if workers else None,
        )
        self._reconciliation = Reconciliation(store=store, intake=self.intake)
        beat = partial(self.heartbeats.beat, OUTBOX)
        rerouter = Rerouter(store=store, table=table, clock=clock, beat=beat)
        self._covers = CoverFollower(rerouter, self._active, clock)

    def _recover(self) -> None:
        """Bring the store up to date with this start. Raises StoreError."""
        self._note_table(self.table)
        log_table_warnings(self.table)
        bring_up_to_date(self.store, self.clock(), self.polled_mailboxes, self.resources)

    def _note_table(self, table: Table) -> None:
        self.store.letters.note_table(table.version, table.text, self.clock())

    @property
    def table(self) -> Table:
        """The active routing table."""
        return self._active.table()

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """The active destinations by name."""
        return self._active.destinations()

    def pickup_watch(self) -> PickupWatch:
        """Return a watch for pickups, which needs its own thread."""
        return PickupWatch(self.pickups, self._active, self.heartbeats)

    def poll(self, stopping: threading.Event) -> PollSummary:
        """Do one round: fetch, deliver, mark letters, send alerts, and so on. Raises StoreError."""
        summary = PollSummary()
        for box in self.polled_mailboxes:
            self.resources.refresh(box.mailbox.name)
            summary.intake.append(self.intake.poll(box.mailbox, box.policies, stopping))
            if self.role.has(Duty.LATE_FILES):
                ask_again(self.intake, box.mailbox, stopping)
        summary.outcomes, summary.marks_failed = self.deliver_due(stopping)
        self.pickups.look()
        self.reminders.look(stopping)
        self.canaries.look(stopping)
        if self.role.has(Duty.HOUSEKEEPING):
            self.resources.look_at_senders(stopping)
            self.heads.look()
        self.alerter(lambda: self._ignored).look()
        summary.ignored = self._ignored
        summary.unfinished = self.store.queries.unfinished()
        return summary

    def alerter(self, faults: Callable[[], Sequence[Fault]]) -> AlertNotifier:
        """Return a notifier of problems. `faults` returns those of an edit that was ignored."""
        notifier = AlertNotifier(
            store=self.store,
            active=self._active,
            faults=faults,
            clock=self.clock,
            heartbeats=self.heartbeats,
            service_problems=self.problems,
            steady=self.clock.steady,
            role=self.role,
        )
        notifier.changed = self._dispatch.changed
        return notifier

    def reconcile(self, stopping: threading.Event, *, bells: bool = True) -> list[Compared]:
        """Compare every mailbox with the store, and fetch what is missing. Raises StoreError.

        Without `bells`, not those whose rounds by the bell do that.
        """
        return [
            compared
            for box in self.polled_mailboxes
            if bells or not box.bell
            for compared in self._reconciliation.run(box.mailbox, box.policies, stopping)
        ]

    def is_comparison_due(self, every: timedelta) -> bool:
        """Whether a comparison of the mailboxes is due. Raises StoreError."""
        return is_due(self.store, self.polled_mailboxes, every, self.clock())

    def deliver_due(self, stopping: threading.Event) -> tuple[Counter[Outcome], int]:
        """Apply covers to waiting deliveries, attempt those that are due, and set due marks.

        Returns the outcomes, and how many marks could not be set yet.
        """
        self._corrections.apply()
        self._covers.follow(stopping)
        outcomes = self._dispatch.deliver_due(stopping)
        if not self.role.has(Duty.MARKS):
            return outcomes, 0
        return outcomes, sum(
            self._mark_sender.send_due(box.receiver, stopping) for box in self.polled_mailboxes
        )

    def _retention(self) -> Retention:
        snapshot = self._active.snapshot()
        return retention(self.store, snapshot.configuration, snapshot.table)

    def run_housekeeping(self, stopping: threading.Event) -> bool:
        """Delete what retention allows. Raises StoreError.

        Returns False if it must be run again soon, because the clock is not certain yet.
        """
        return not self._housekeeping.run("service", stopping).withheld

    def deliver_now(self) -> None:
        """Let a `deliver_due` in progress deliver what is due, also at paused destinations.

        May be called from any thread.
        """
        self._dispatch.asked.set()
        self._dispatch.new_work.set()

    def next_due(self) -> datetime | None:
        """Return when the next delivery is due; None if nothing is waiting."""
        return self._dispatch.next_due()

    def attempts(self) -> dict[tuple[str, Outcome], int]:
        """Return the number of attempts since the start, by destination and outcome."""
        return self._dispatch.counted.values()

    def worker_usage(self) -> ProcessUsage | None:
        """Return what the workers use together; None without any, or if it is not known yet."""
        return self.workers.usage() if self.workers else None

    def paces(self) -> list[PaceNumbers]:
        """Return the pace of each client that calls Altinn, of this process and its workers."""
        workers = self.workers.paces() if self.workers else ()
        return added_up([*paces_of(self.mailboxes), *workers])

    def token_ends(self) -> dict[str, datetime]:
        """Return when the tokens expire, by mailbox. This is not a heartbeat of the mailbox."""
        ends = (
            (each.name, each.token_ends()) for each in self.mailboxes if isinstance(each, HasTokens)
        )
        return {name: moment for name, moment in ends if moment}

    def wrong_tokens(self) -> int | None:
        """Return how many calls of the pull API lacked the right token since the start.

        None without a pull API.
        """
        return self.tokens.wrong if self.tokens else None

    def configuration(self) -> Configuration:
        """Return the active configuration."""
        return self._active.configuration()

    def files(self) -> tuple[Path, Path]:
        """Return the files to watch for edits."""
        configuration = self._active.configuration()
        return configuration.path, configuration.routing.file

    def texts(self) -> tuple[str, str]:
        """Return what these files said when the active configuration was read from them."""
        active = self._active.snapshot()
        return active.configuration.text, active.table.text

    def swap(self, checked: LoadedConfig) -> None:
        """Activate an edited configuration: its routing table and its destinations.

        Other edits need a restart, and the log says so. Call it from one thread at a time. Raises
        StoreError, and changes nothing then.
        """
        active, new = self._active.snapshot(), checked.configuration
        old = active.configuration
        if needs_restart(old) != needs_restart(new):
            _log.warning(
                "an edit of [store], [mailbox], [delivery], [api] or [monitoring] is in force "
                "after a restart"
            )
        self._note_table(checked.table)  # before a letter can name it
        unchanged = {each.name for each in new.destinations if each in old.destinations}
        kept = {name: active.destinations[name] for name in unchanged}
        connected = plugins.connect_destinations(new, exclude=unchanged)
        self._active.replace(
            Snapshot(configuration=new, table=checked.table, destinations={**kept, **connected})
        )
        log_table_warnings(checked.table)

    def check_lock(self) -> None:
        """Check that this process still has the store's lock.

        Raises StoreError if it must not use the store any more.
        """
        if problem := self._lock.look():
            if self.problems.begin(Problem(kind=LOCK, about="the store", text=problem)):
                _log.error("the store's lock is not as it should be", reason=problem)
        elif self.problems.end(LOCK, "the store"):
            _log.info("the store's lock is as it should be again")

    def close(self) -> None:
        """End all workers, and close every connection."""
        if self.workers:
            self.workers.close()
        for box in self.polled_mailboxes:
            box.mailbox.close()
        self._active.close()


@contextmanager
def open_app(
    checked: LoadedConfig, new_clock: Callable[..., Clock] = Clock, *, with_workers: bool = False
) -> Iterator[App]:
    """Open the service's parts, with the store's lock, until the block ends.

    Use `with_workers` for a long run, with worker processes. `new_clock` makes the clock. Raises
    StoreError if the store cannot be opened, lies where other machines share it, or if another
    process is using it.
    """
    leave_no_core()
    allow_enough_files()
    tune_malloc()
    settings = checked.configuration.store
    refuse_shared_file_systems(settings)
    refuse_closed_store(settings)
    log_configuration_warnings(checked.configuration)
    with ExitStack() as ends:
        lock = lock_of(settings, SERVICE if with_workers else POLL)
        ends.callback(lock.release)
        lease = new_lease(settings)
        fork_server = start_fork_server(lease.confirm) if with_workers else None
        if fork_server:
            ends.callback(fork_server[0].close)
        store = open_when_reachable(settings) if with_workers else open_alone(settings)
        ends.callback(store.close)
        node = ends.enter_context(taking_part(store, settings, lease))
        app = App(checked, store, clock_of(store, new_clock, node), lock, fork_server, node)
        app.check_lock()  # there may have been no database to lock before
        ends.callback(app.close)
        yield app
