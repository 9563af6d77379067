"""All SQL: letters, the outbox, marks for the mailbox, decisions, and queries for people.

Each subject has a class, all on one `Database`. Only this package changes a delivery's state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from daemon.core.callbacks import do_nothing
from daemon.core.nodes import Member
from daemon.store.acknowledgements import Acknowledgements
from daemon.store.alerts import Alerts
from daemon.store.approvals import Approvals
from daemon.store.arrivals import Arrivals, ArrivalWindow
from daemon.store.attachments import MissingAttachments
from daemon.store.awaited import Awaited, DueMail, OpenLetter, ToldLetter
from daemon.store.balance import Balance
from daemon.store.bells import Bells
from daemon.store.bookmarks import Bookmarks
from daemon.store.busy import BusyWait, wait_limit
from daemon.store.calendars import Calendars
from daemon.store.canaries import Canaries
from daemon.store.changes import Changes
from daemon.store.claims import Claim
from daemon.store.completeness import ChannelAccount, CompletenessRows, PartyAccount
from daemon.store.confidential import ConfidentialLetters
from daemon.store.coverage import Coverage
from daemon.store.covers import WAITING, Changed, Cover, Covers, Queued
from daemon.store.database import Database
from daemon.store.deadline_warnings import DeadlineWarnings
from daemon.store.deadlines import Deadlines
from daemon.store.decisions import Decided, Decisions, NewestDecision, Outline
from daemon.store.delivery_list import (
    DeliveryFilter,
    DeliveryList,
    DeliveryPage,
    ListedDelivery,
    ListPlace,
)
from daemon.store.digests import Digests
from daemon.store.drafts import Drafts
from daemon.store.due_letters import DueLetter, DueLetters
from daemon.store.events import Events
from daemon.store.handed_over import HandedOver, LetterCopy, SeveralCopies
from daemon.store.handovers import Handovers
from daemon.store.letters import Letters
from daemon.store.link_key import LinkKeys
from daemon.store.login_links import LoginLinks
from daemon.store.login_throttle import LoginThrottle, login_keys
from daemon.store.mailbox_parties import MailboxParties
from daemon.store.marks import Marks
from daemon.store.missing_files import MissingFiles
from daemon.store.moves import Moved, Moves
from daemon.store.nodes import Nodes
from daemon.store.openings import Openings
from daemon.store.outbox import Outbox
from daemon.store.passages import Passages
from daemon.store.pending_logins import PendingLoginRows
from daemon.store.polls import Polls
from daemon.store.publications import Intent, Publications
from daemon.store.queries import Queries
from daemon.store.removals import Removals
from daemon.store.results import ClaimResult
from daemon.store.retention import RetentionRows
from daemon.store.routing_changes import RoutingChanges
from daemon.store.search import Listed, Search, Wanted
from daemon.store.senders import SenderHistories, Senders
from daemon.store.sessions import Sessions
from daemon.store.signed_journal import SignedJournal
from daemon.store.stamps import Stamps
from daemon.store.stored_letter import StoredLetter
from daemon.store.totals import ChannelTotals, Totals
from daemon.store.users import Actor, RoleGrant, Users
from daemon.store.waiting import Waiting, WaitingDeliveries

__all__ = [
    "WAITING",
    "Acknowledgements",
    "Actor",
    "Alerts",
    "Approvals",
    "ArrivalWindow",
    "Arrivals",
    "Awaited",
    "BusyWait",
    "Calendars",
    "Canaries",
    "Changed",
    "Changes",
    "ChannelAccount",
    "ChannelTotals",
    "Claim",
    "ClaimResult",
    "CompletenessRows",
    "Cover",
    "Covers",
    "Database",
    "DeadlineWarnings",
    "Deadlines",
    "Decided",
    "Decisions",
    "DeliveryFilter",
    "DeliveryList",
    "DeliveryPage",
    "Digests",
    "Drafts",
    "DueLetter",
    "DueLetters",
    "DueMail",
    "Events",
    "Intent",
    "LetterCopy",
    "Letters",
    "LinkKeys",
    "ListPlace",
    "Listed",
    "ListedDelivery",
    "LoginLinks",
    "LoginThrottle",
    "Marks",
    "MissingFiles",
    "Moved",
    "Moves",
    "NewestDecision",
    "Nodes",
    "OpenLetter",
    "Openings",
    "Outbox",
    "Outline",
    "PartyAccount",
    "Passages",
    "PendingLoginRows",
    "Polls",
    "Publications",
    "Queries",
    "Queued",
    "RoleGrant",
    "RoutingChanges",
    "Search",
    "SenderHistories",
    "Sessions",
    "SeveralCopies",
    "SignedJournal",
    "Stamps",
    "Store",
    "StoredLetter",
    "ToldLetter",
    "Totals",
    "Users",
    "Waiting",
    "Wanted",
    "login_keys",
    "wait_limit",
]


class Store:
    """The database, by subject. May be used from several threads."""

    # one statement for each subject
    def __init__(  # noqa: PLR0915
        self, url: str, busy_wait: BusyWait | None = None, password: str = "", alone: bool = False
    ) -> None:
        """Open the database, and wait for a busy one, as `Database` does. Raises StoreError."""
        self._database = Database(url, busy_wait, password, alone=alone)
        self.nodes = Nodes(self._database)
        self.polls = Polls(self._database)
        self.letters = Letters(self._database)
        self.bookmarks = Bookmarks(self._database)
        self.bells = Bells(self._database)
        self.mailbox_parties = MailboxParties(self._database)
        self.attachments = MissingAttachments(self._database)
        self.missing_files = MissingFiles(self._database)
        self.openings = Openings(self._database)
        self.outbox = Outbox(self._database)
        self.marks = Marks(self._database)
        self.covers = Covers(self._database)
        self.decisions = Decisions(self._database)
        self.moves = Moves(self._database)
        self.retention = RetentionRows(self._database)
        self.queries = Queries(self._database)
        self.handed_over = HandedOver(self._database)
        self.handovers = Handovers(self._database)
        self.search = Search(self._database)
        self.confidential = ConfidentialLetters(self._database)
        self.delivery_list = DeliveryList(self._database)
        self.changes = Changes(self._database)
        self.alerts = Alerts(self._database)
        self.stamps = Stamps(self._database)
        self.totals = Totals(self._database)
        self.waiting = WaitingDeliveries(self._database)
        self.balance = Balance(self._database)
        self.completeness = CompletenessRows(self._database)
        self.users = Users(self._database)
        self.sessions = Sessions(self._database)
        self.login_links = LoginLinks(self._database)
        self.pending_logins = PendingLoginRows(self._database)
        self.login_throttle = LoginThrottle(self._database)
        self.acknowledgements = Acknowledgements(self._database)
        self.deadlines = Deadlines(self._database)
        self.deadline_warnings = DeadlineWarnings(self._database)
        self.digests = Digests(self._database)
        self.due_letters = DueLetters(self._database)
        self.calendars = Calendars(self._database)
        self.awaited = Awaited(self._database)
        self.link_keys = LinkKeys(self._database)
        self.events = Events(self._database)
        self.journal = SignedJournal(self._database)
        self.routing_changes = RoutingChanges(self._database)
        self.drafts = Drafts(self._database)
        self.publications = Publications(self._database)
        self.approvals = Approvals(self._database)
        self.arrivals = Arrivals(self._database)
        self.passages = Passages(self._database)
        self.canaries = Canaries(self._database)
        self.coverage = Coverage(self._database)
        self.removals = Removals(self._database)
        self.senders = Senders(self._database)

    @property
    def is_shared(self) -> bool:
        """Whether several machines may work with it, as nodes."""
        return self._database.is_shared

    def write_as(self, member: Member) -> None:
        """From now on write for this start of a node, and nothing once it is fenced off."""
        self._database.member = member

    def wait_until(
        self, stopping: threading.Event, on_wait: Callable[[float, float], None] = do_nothing
    ) -> None:
        """From now on wait for a busy database, and one that is away, as long as it takes.

        StoreBusy, and StoreUnreachable where a transaction begins, are raised only a little after
        `stopping` is set. `on_wait` is as for `BusyWait`.
        """
        busy_wait = self._database.busy_wait
        busy_wait.limit, busy_wait.stopping, busy_wait.on_wait = None, stopping, on_wait
        busy_wait.rides = True

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._database.close()
