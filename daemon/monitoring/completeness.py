"""How complete the store is: what the comparisons with the sources have found, added up.

Only what was compared in the last two days counts; everything else is named beside it, so that
nothing reads as complete that was not looked at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from daemon.config.loader import Configuration
from daemon.core.completeness import CHECKED, Account, ChannelState, CompletenessRow
from daemon.core.times import in_norway, norwegian_day
from daemon.monitoring.problem import Problem, moment, some
from daemon.store import PartyAccount, Store

KIND = "shortfall"
_A_DAY = timedelta(days=1)
_NOTHING = "Nothing has been compared with the source yet"
_LEFT_OUT: Mapping[ChannelState, str] = {
    ChannelState.PENDING: "not compared yet",
    ChannelState.UNASKED: "could not be asked",
    ChannelState.STALE: "last asked more than two days ago",
    ChannelState.CLOSED: "without a right to read",
    ChannelState.ENDED: "not read any more",
}


@dataclass(kw_only=True)
class Completeness:
    """All channels together, or those of some organisations."""

    now: datetime
    by_mailbox: dict[str, Account] = field(default_factory=dict)
    """The numbers of the channels that were compared, by mailbox."""
    channels: Counter[ChannelState] = field(default_factory=Counter)
    channels_of: dict[str, Counter[ChannelState]] = field(default_factory=dict)
    """The same, by mailbox."""
    never_asked_of: dict[str, list[str]] = field(default_factory=dict)
    """Organisations of the configuration of which nothing is known, by mailbox."""
    checked_at: datetime | None = None
    """When the channel was compared whose comparison is longest ago."""
    checked_of: dict[str, datetime] = field(default_factory=dict)
    """The same, by mailbox."""
    since: datetime | None = None
    """From when on letters are read; None for all of them."""
    since_at_last: datetime | None = None
    """The same, of the channel that is read for the shortest time."""

    @property
    def account(self) -> Account:
        """Return the numbers of all mailboxes together."""
        return added(self.by_mailbox.values())

    @property
    def never_asked(self) -> list[str]:
        """Return the organisations of which nothing is known, of all mailboxes."""
        return [party for each in self.never_asked_of.values() for party in each]

    @property
    def left_out(self) -> Mapping[ChannelState, int]:
        """Return how many channels do not count, by why."""
        return {state: self.channels[state] for state in _LEFT_OUT if self.channels[state]}

    @property
    def later_since(self) -> datetime | None:
        """From when on some channels are read, where that is later than for others."""
        last = self.since_at_last
        return last if last and (self.since is None or last - self.since > _A_DAY) else None

    @property
    def is_whole(self) -> bool:
        """Whether every letter of everything that is read is here or explained."""
        whole = {ChannelState.COMPLETE, ChannelState.CLOSED, ChannelState.ENDED}
        looked_at = self.channels[ChannelState.COMPLETE] > 0 and set(self.channels) <= whole
        return looked_at and not (self.never_asked or self.account.unexamined)

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.checked_at is None:
            return "; ".join([_NOTHING, *self._beside()])
        account = self.account
        since = f" since {norwegian_day(self.since):%Y-%m-%d}" if self.since else ""
        if self.later_since:
            since += f" (some channels since {norwegian_day(self.later_since):%Y-%m-%d})"
        text = (
            f"{_grouped(account.accounted)} of {_grouped(account.letters)} letters{since} are here "
            f"or explained, checked {when(self.checked_at, self.now)}"
        )
        return "; ".join([text, *self._beside()])

    def _beside(self) -> Iterator[str]:
        account = self.account
        for count, what in (
            (account.failing, "could not be fetched yet"),
            (account.unexplained, "cannot be explained"),
            (account.unexamined, "older ones are still to be examined"),
        ):
            if count:
                yield f"{_grouped(count)} {what}"
        left = [f"{count} {_LEFT_OUT[state]}" for state, count in self.left_out.items()]
        if left:
            yield f"channels that do not count: {', '.join(left)}"
        if self.never_asked:
            yield f"never asked: {some(self.never_asked)}"

    def facts(self) -> Mapping[str, object]:
        """Return what `status --json` promises."""
        account = self.account
        return {
            "sentence": self.sentence,
            "whole": self.is_whole,
            "letters": account.letters,
            "accounted": account.accounted,
            "since": self.since,
            "checked_at": self.checked_at,
            "account": account.numbers(),
            "channels": {state.value: self.channels[state] for state in ChannelState},
            "never_asked": self.never_asked,
        }


def completeness(
    configuration: Configuration,
    store: Store,
    now: datetime,
    is_shown: Callable[[str], bool] = lambda _: True,
) -> Completeness:
    """Return how complete the store is, as of the last comparisons. Raises StoreError.

    Only of organisations that `is_shown` allows. The cost depends on the channels, not on letters.
    """
    found = Completeness(now=now)
    known: defaultdict[str, set[str]] = defaultdict(set)
    names = [each.name for each in configuration.mailboxes]
    for each in store.completeness.parties(now, names):
        if is_shown(each.party):
            if each.state is not ChannelState.ENDED:
                known[each.mailbox].add(each.party)
            _add(found, each)
    for mailbox in configuration.mailboxes:
        expected = [*mailbox.settings.organisations, *_found(store, mailbox.name)]
        found.never_asked_of[mailbox.name] = [
            party
            for party in dict.fromkeys(expected)
            if party not in known[mailbox.name] and is_shown(party)
        ]
    return found


def _found(store: Store, mailbox: str) -> Iterator[str]:
    """Yield the organisations that were found for a mailbox that looks for them itself."""
    for number, each in store.mailbox_parties.of(mailbox).items():
        if each.gone_at is None:
            yield number


def _add(found: Completeness, each: PartyAccount) -> None:
    found.channels[each.state] += each.channels
    found.channels_of.setdefault(each.mailbox, Counter())[each.state] += each.channels
    if each.state not in CHECKED or each.checked_at is None:
        return
    first = not found.by_mailbox
    accounts = (found.by_mailbox.get(each.mailbox, Account()), each.account)
    found.by_mailbox[each.mailbox] = added(accounts)
    found.checked_at = min(found.checked_at or each.checked_at, each.checked_at)
    before = found.checked_of.get(each.mailbox, each.checked_at)
    found.checked_of[each.mailbox] = min(before, each.checked_at)
    earliest, latest = each.begins_at, each.begins_at_last
    if first:
        found.since, found.since_at_last = earliest, latest
    else:
        found.since = min(found.since, earliest) if found.since and earliest else None
        found.since_at_last = max((t for t in (found.since_at_last, latest) if t), default=None)


def added(accounts: Iterable[Account]) -> Account:
    """Return the sum of accounts."""
    total = Counter[str]()
    for each in accounts:
        total.update(each.numbers())
    return Account(**total)


def when(at: datetime, now: datetime) -> str:
    """Return a time as people in Norway say it: `today 03:12 CET`."""
    day, today = norwegian_day(at), norwegian_day(now)
    words = {today: "today", today - _A_DAY: "yesterday"}.get(day, f"{day:%Y-%m-%d}")
    return f"{words} {in_norway(at):%H:%M %Z}"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def of_completeness(configuration: Configuration, store: Store) -> Iterator[Problem]:
    """Yield what cannot be explained, by mailbox. Raises StoreError."""
    by_mailbox: defaultdict[str, list[CompletenessRow]] = defaultdict(list)
    for each in store.completeness.unexplained():
        by_mailbox[each.mailbox].append(each)
    for mailbox in (each.name for each in configuration.mailboxes if each.name in by_mailbox):
        rows = by_mailbox[mailbox]
        since = min(each.first_at for each in rows)
        count = sum(each.unexplained for each in rows)
        which = some([f"{each.party} {each.service} {each.resource}" for each in rows])
        yield Problem(
            kind=KIND,
            about=mailbox,
            where=mailbox,
            count=count,
            parties=sorted({each.party for each in rows}),
            since=since,
            text=(
                f"Letters in the mailbox {mailbox} that are neither here nor explained: {count}, "
                f"found {moment(since)}: {which}; `postmottak reconcile` fetches what it can, and "
                "names them"
            ),
        )
