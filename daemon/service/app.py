"""Puts the parts together: what a configuration says, wired once, for one round or for the service."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog

from daemon.config.loader import Configuration, ConnectorConfiguration
from daemon.core.bookkeeping import CLOCK, LOCK
from daemon.core.errors import Fault
from daemon.core.model import DeliveryState, Outcome
from daemon.core.ports import Destination, HasTokens, LocalDestination, TellsTime
from daemon.core.times import norwegian_day
from daemon.delivery import retry
from daemon.delivery.dispatch import Dispatch
from daemon.delivery.marks import MarkSender
from daemon.delivery.pickup import Pickups
from daemon.delivery.worker.proxy import RemoteDestination
from daemon.delivery.worker.worker_client import WORKER, WorkerClient
from daemon.intake.fetch import Fetcher
from daemon.intake.mailboxes import polled_mailboxes
from daemon.intake.notices import Notices
from daemon.intake.poll import Intake, IntakeSummary
from daemon.intake.reconcile import Compared, Reconciliation
from daemon.intake.rerouting import Rerouter
from daemon.maintenance.housekeeping import Housekeeping
from daemon.monitoring.alerts import AlertNotifier
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems, clock_problems
from daemon.routing.table import Table
from daemon.runtime.clock import DOUBTED, Clock
from daemon.runtime.heartbeat import OUTBOX, WORKER_TIMEOUT, Heartbeats
from daemon.runtime.process import (
    allow_enough_files,
    freeze_gc,
    leave_no_core,
    pin_to_one_core,
    tune_malloc,
)
from daemon.service import plugins
from daemon.service.preflight import readable_secrets, refuse_shared_file_systems
from daemon.service.stack import LoadedConfig, open_content, retention
from daemon.store import BusyWait, Store
from daemon.store.content import ContentStore
from daemon.store.lock import InstanceLock
from daemon.web.tokens import TokenGuard

if TYPE_CHECKING:
    from daemon.web.server import WebServer

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class PollSummary:
    """What one round did. `unfinished` are the deliveries that are left, by state."""

    intake: list[IntakeSummary] = field(default_factory=list)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    marks_failed: int = 0
    unfinished: Mapping[DeliveryState, int] = field(default_factory=dict)

    @property
    def unreachable(self) -> bool:
        """Whether not even one mailbox could be reached."""
        return bool(self.intake) and all(each.unreachable for each in self.intake)

    @property
    def problems(self) -> list[str]:
        """Everything that went wrong on the mailboxes' side."""
        return [problem for each in self.intake for problem in each.problems]

    def total(self, number: Callable[[IntakeSummary], int]) -> int:
        """A number of all mailboxes together."""
        return sum(number(each) for each in self.intake)


class App:
    """All parts of the service, wired. Made by `open_app`."""

    def __init__(
        self,
        checked: LoadedConfig,
        store: Store,
        clock: Clock,
        agent: WorkerClient | None,
        lock: InstanceLock,
    ) -> None:
        self._agent, self._lock = agent, lock
        self.problems = ServiceProblems()
        self.problems.follow(CLOCK, lambda: clock_problems(clock.troubles()))
        configuration = checked.configuration
        content = open_content(configuration)
        content.remove_temporaries()
        self._configuration = configuration
        self._covers_followed: tuple[str, date] | None = None
        self.store, self.clock, self.table = store, clock, checked.table
        self.destinations: Mapping[str, Destination] = self._connect(configuration)
        self.heartbeats = Heartbeats()
        self._mailboxes = plugins.connect_mailboxes(configuration)
        clock.follow(*(each.source_time for each in self._mailboxes if isinstance(each, TellsTime)))
        self.polled_mailboxes = polled_mailboxes(configuration, self._mailboxes, self.heartbeats)
        fetcher = Fetcher(store=store, content=content, table=lambda: self.table, clock=clock)
        self.tokens = (
            TokenGuard(configuration.api.token_file.value, self.problems)
            if configuration.api
            else None
        )
        self.web = self._web_server(configuration, content)
        self.intake = Intake(
            store=store,
            fetcher=fetcher,
            notices=Notices(store=store, table=lambda: self.table, clock=clock),
            backlog=lambda: self._dispatch.backlog.is_set(),  # noqa: PLW0108  # which is made later
        )
        self._reconciliation = Reconciliation(store=store, intake=self.intake)
        self._dispatch = Dispatch(
            store=store,
            content=content,
            destinations=lambda: self.destinations,
            table=lambda: self.table,
            clock=clock,
            give_up_after=configuration.delivery.give_up_after,
            heartbeats=self.heartbeats,
            steady=clock.steady,
            stretch=clock.stretch,
            mend=self._mend,
        )
        self.pickups = Pickups(
            store=store,
            destinations=lambda: self.destinations,
            clock=clock,
            heartbeats=self.heartbeats,
        )
        self._receipts = MarkSender(store=store, clock=clock)
        self._housekeeping = Housekeeping(
            store=store,
            content=content,
            retention=lambda: retention(store, self._configuration, self.table),
            clock=clock,
            heartbeats=self.heartbeats,
            settled=lambda: clock.settled,
            right_for=clock.right_for,
        )
        self._rerouter = Rerouter(
            store=store,
            table=lambda: self.table,
            clock=clock,
            beat=partial(self.heartbeats.beat, OUTBOX),
        )
        store.letters.note_table(self.table.version, self.table.text, clock())
        _log_warnings(self.table)
        store.outbox.release_abandoned(clock())
        store.stamps.pull_back(clock(), retry.LONGEST_ASKED)
        for box in self.polled_mailboxes:
            store.bookmarks.retire(box.mailbox.name, box.mailbox.channels(), clock())

    def _connect(
        self, configuration: Configuration, exclude: Collection[str] = ()
    ) -> dict[str, Destination]:
        """The destinations, `exclude` for those named.

        Those on this machine are the agent's business, if there is one.
        """
        connected = plugins.connect_destinations(configuration, exclude)
        if self._agent:
            for each in configuration.destinations:
                destination = connected.get(each.name)
                if isinstance(destination, LocalDestination):
                    connected[each.name] = RemoteDestination(destination, each, self._agent)
        return connected

    def _web_server(self, configuration: Configuration, content: ContentStore) -> WebServer | None:
        """The pull API's server, if there is a section [api]."""
        if configuration.api is None or self.tokens is None:
            return None
        from daemon.web.api import Api
        from daemon.web.server import WebServer

        api = Api(store=self.store, content=content, tokens=self.tokens, clock=self.clock)
        return WebServer(
            "the pull API", api.application(), configuration.api.address, problems=self.problems
        )

    def poll(self, stopping: threading.Event) -> PollSummary:
        """One round: fetch what is new, deliver what is due, see what was taken, tell senders what may be told, and tell of trouble.

        Raises StoreError.
        """
        summary = PollSummary()
        for box in self.polled_mailboxes:
            summary.intake.append(self.intake.poll(box.mailbox, box.policies, stopping))
        summary.outcomes, summary.marks_failed = self.deliver_due(stopping)
        self.pickups.look()
        self.alerter(lambda: ()).look()
        summary.unfinished = self.store.queries.unfinished()
        return summary

    def alerter(self, faults: Callable[[], Sequence[Fault]]) -> AlertNotifier:
        """Looks for trouble, and tells it. `faults` are those of an edit that was ignored."""
        return AlertNotifier(
            store=self.store,
            configuration=self.configuration,
            destinations=lambda: self.destinations,
            faults=faults,
            clock=self.clock,
            heartbeats=self.heartbeats,
            service_problems=self.problems,
            steady=self.clock.steady,
        )

    def reconcile(self, stopping: threading.Event) -> list[Compared]:
        """Compare every mailbox with the store, and fetch what is missing. Raises StoreError."""
        return [
            compared
            for box in self.polled_mailboxes
            for compared in self._reconciliation.run(box.mailbox, box.policies, stopping)
        ]

    def is_comparison_due(self, every: timedelta) -> bool:
        """Whether a channel that can be read was not compared for so long.

        One that was never read has its first poll before it.
        """
        since = self.clock() - every
        readable = (
            each
            for each in self.store.queries.bookmarks()
            if each.begun and not (each.refused or each.retired_at)
        )
        return any(each.compared_at is None or each.compared_at <= since for each in readable)

    def deliver_due(self, stopping: threading.Event) -> tuple[Counter[Outcome], int]:
        """Attempt every delivery that is due, after those that wait have followed a cover that began or ended; then tell senders.

        Returns the outcomes, and how many senders could not be told yet.
        """
        self._mend()
        self._follow_covers(stopping)
        outcomes = self._dispatch.deliver_due(stopping)
        return outcomes, sum(
            self._receipts.send_due(box.receiver, stopping) for box in self.polled_mailboxes
        )

    def _follow_covers(self, stopping: threading.Event) -> None:
        """Follow the covers of this day and of the table in force, unless that is done.

        Again where either has changed meanwhile; not while the day is in doubt, because the clock
        is.
        """
        while not (stopping.is_set() or self.clock.troubles()):
            now = self.table.version, norwegian_day(self.clock())
            if now == self._covers_followed:
                return
            self._rerouter.follow_covers(stopping)
            if not stopping.is_set():
                self._covers_followed = now

    def run_housekeeping(self, stopping: threading.Event) -> bool:
        """Delete what retention lets go. Raises StoreError.

        Returns whether that was done; otherwise it is to be done soon, for the clock is not certain
        yet.
        """
        return not self._housekeeping.run("service", stopping).withheld

    def _mend(self) -> None:
        """After the clock was corrected: put right what was recorded meanwhile, and what is due by it. Raises StoreError."""
        corrections = self.clock.corrections()
        if not corrections:
            return
        now = self.clock()
        put_right = partial(self.store.stamps.put_right, now=now, certain=self.clock.confirmed)
        changed = sum(put_right(each.first, each.last) for each in corrections)
        changed += self.store.stamps.pull_back(now, retry.LONGEST)
        self.clock.mended(corrections)
        _log.warning("what was recorded while the clock was wrong is dated now", rows=changed)

    def tell_of_letters(self) -> None:
        """Letters were stored: a `deliver_due` that is under way takes them along.

        May be called from any thread.
        """
        self._dispatch.new_work.set()

    def next_due(self) -> datetime | None:
        """When there is next something to deliver; None if nothing waits for a time."""
        return self._dispatch.next_due()

    def attempts(self) -> dict[tuple[str, Outcome], int]:
        """Attempts since the start, by destination and outcome."""
        return dict(self._dispatch.counted)

    def token_ends(self) -> dict[str, datetime]:
        """When the tokens end, by mailbox. Not a sign of life of the mailbox."""
        ends = (
            (each.name, each.token_ends())
            for each in self._mailboxes
            if isinstance(each, HasTokens)
        )
        return {name: moment for name, moment in ends if moment}

    def wrong_tokens(self) -> int | None:
        """Calls of the pull API without the right token since the start.

        None without a pull API.
        """
        return self.tokens.wrong if self.tokens else None

    def configuration(self) -> Configuration:
        """What is in force."""
        return self._configuration

    def files(self) -> tuple[Path, Path]:
        """The files whose edits count."""
        return self._configuration.path, self._configuration.routing.file

    def texts(self) -> tuple[str, str]:
        """What these files said when they were read for what is in force."""
        return self._configuration.text, self.table.text

    def swap(self, checked: LoadedConfig) -> None:
        """Put an edited configuration in force: its routing table and its destinations.

        The rest needs a restart, and the log says so.
        """
        old, new = self._configuration, checked.configuration
        if _needs_restart(old) != _needs_restart(new):
            _log.warning(
                "an edit of [store], [mailbox], [delivery], [api] or [monitoring] is in force "
                "after a restart"
            )
        unchanged = {each.name for each in new.destinations if each in old.destinations}
        connected = self._connect(new, exclude=unchanged)
        replaced = [
            destination for name, destination in self.destinations.items() if name not in unchanged
        ]
        self.store.letters.note_table(
            checked.table.version, checked.table.text, self.clock()
        )  # before a letter can name it
        self.destinations = {**{name: self.destinations[name] for name in unchanged}, **connected}
        self.table, self._configuration = checked.table, new
        _log_warnings(self.table)
        for destination in replaced:
            destination.close()

    def has_its_agent(self) -> bool:
        """Whether there is one, if there should be; one that hangs gives no sign of life.

        Call it again and again, in the first thread.
        """
        if self._agent is None:
            return True
        self._agent.look(partial(self.heartbeats.beat, WORKER, WORKER_TIMEOUT))
        return not self._agent.has_ended()

    def look_at_lock(self) -> None:
        """See whether the store is still this process's own.

        Raises StoreError if it must not be worked with any more.
        """
        if trouble := self._lock.look():
            if self.problems.begin(Problem(kind=LOCK, about="the store", text=trouble)):
                _log.error("the store's lock is not as it should be", reason=trouble)
        elif self.problems.end(LOCK, "the store"):
            _log.info("the store's lock is as it should be again")

    def close(self) -> None:
        """Let go of every connection."""
        for box in self.polled_mailboxes:
            box.mailbox.close()
        for destination in self.destinations.values():
            destination.close()


def _needs_restart(configuration: Configuration) -> tuple[object, ...]:
    """The parts that are wired once."""
    return (
        configuration.store,
        configuration.mailboxes,
        configuration.delivery,
        configuration.api,
        configuration.monitoring,
    )


def _log_warnings(table: Table) -> None:
    for warning in table.warnings:
        _log.warning(
            "the routing table has something that is probably not meant", warning=str(warning)
        )


@contextmanager
def open_app(
    checked: LoadedConfig, new_clock: Callable[..., Clock] = Clock, *, with_agent: bool = False
) -> Iterator[App]:
    """The service's parts, and the store's lock, until the block ends.

    `with_agent` if they will work for long, and have a process more.

    `new_clock` makes the clock, as `Clock` does.

    Raises StoreError if the store cannot be opened, lies where other machines share it, or if
    another process works with it.
    """
    leave_no_core()
    allow_enough_files()
    tune_malloc()
    refuse_shared_file_systems(checked.configuration.store)
    for warning in readable_secrets(checked.configuration):
        _log.warning("a secret is not kept as one", warning=str(warning))
    with ExitStack() as ends:
        lock = InstanceLock(
            checked.configuration.store.database_path, checked.configuration.store.content
        )
        ends.callback(lock.release)
        agent = _begin_agent(checked.configuration) if with_agent else None
        if agent:
            ends.callback(agent.close)
        store = Store(
            checked.configuration.store.database, BusyWait(limit=None) if with_agent else None
        )
        ends.callback(store.close)
        app = App(checked, store, _clock(store, new_clock), agent, lock)
        app.look_at_lock()  # there may have been no database to lock before
        ends.callback(app.close)
        yield app


def _clock(store: Store, new_clock: Callable[..., Clock]) -> Clock:
    """The clock, compared with what the store knows of the time."""
    doubted = any(
        each.key == f"{CLOCK} {DOUBTED}" and not each.ended_at for each in store.alerts.all()
    )
    return new_clock(store.stamps.newest(), doubted=doubted)


def _begin_agent(configuration: Configuration) -> WorkerClient:
    """Begin the agent, with the lock, and before anything is opened that a second process must not have."""
    # so that both go on sharing it: the search for garbage writes into what it looks through
    freeze_gc()
    return WorkerClient(open_content(configuration), _connect_on_this_machine, pin_to_one_core())


def _connect_on_this_machine(connector: ConnectorConfiguration) -> LocalDestination:
    return cast("LocalDestination", plugins.connect_destination(connector))
