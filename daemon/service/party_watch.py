"""For which organisations letters are read, where that is found and not configured.

They are asked for at the start and then every quarter of an hour, which is how long the source
remembers rights. An organisation that is not found any more is read for one more day: a bad answer
must not cost letters. One that comes and one that goes are reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.core.bookkeeping import PARTIES
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.parties import FindsParties, MailboxParty, NamedParty
from daemon.core.ports import Mailbox
from daemon.core.times import has_passed
from daemon.monitoring.problem import Problem, moment, some
from daemon.monitoring.service_problems import ServiceProblems
from daemon.service.room import without_room
from daemon.store import Store

_log = structlog.get_logger(__name__)
_EVERY = 900.0  # seconds
_PATIENCE = timedelta(days=1)
_SILENCE = timedelta(hours=6)
_NEWS = timedelta(days=7)
"""For how long it is shown that an organisation has gone."""


class PartyWatch:
    """Keeps the organisations of mailboxes up to date.

    Its methods may be called from several threads, for different mailboxes; they do nothing for
    mailboxes whose organisations are configured.
    """

    def __init__(
        self,
        mailboxes: Iterable[Mailbox],
        store: Store,
        problems: ServiceProblems,
        clock: Callable[[], datetime],
    ) -> None:
        self._mailboxes = {
            each.name: each
            for each in mailboxes
            if isinstance(each, FindsParties) and each.finds_parties
        }
        self._all = {each.name: each for each in mailboxes}
        self._store, self._problems, self._clock = store, problems, clock
        self._asked: dict[str, float] = {}
        self._silent_since: dict[str, datetime] = {}

    def recall(self, name: str) -> None:
        """Let the mailbox read whom it read before this start. Raises StoreError."""
        if name in self._mailboxes:
            self._use(name, self._store.mailbox_parties.of(name))

    def refresh(self, name: str) -> None:
        """Ask for whom the mailbox may read, if that is due. Raises StoreError."""
        asked = self._asked.get(name)
        is_due = asked is None or time.monotonic() - asked >= _EVERY
        if name not in self._mailboxes or not is_due:
            return
        self._asked[name] = time.monotonic()
        found = call_connector(self._mailboxes[name].find_parties, mailbox=name)
        if isinstance(found, PostmottakError):
            _log.warning(
                "organisations could not be looked up; the known ones are read",
                mailbox=name,
                reason=str(found),
            )
            self._tell_silence(name, str(found))
            return
        self._silent_since.pop(name, None)
        self._problems.end(PARTIES, _list_of(name))
        known = self._store.mailbox_parties.of(name)
        changed = _changed(name, known, found, self._clock())
        if changed:
            self._store.mailbox_parties.save(changed.values())
            _log_changes(name, known, changed)
        known |= changed
        self._use(name, known)
        self._tell(name, known)

    def _use(self, name: str, known: Mapping[str, MailboxParty]) -> None:
        now = self._clock()
        read = [
            number
            for number, each in known.items()
            if each.gone_at is None or now - each.gone_at < _PATIENCE
        ]
        self._mailboxes[name].use_parties(sorted(read))
        with without_room("channels that are not read any more stay listed"):
            self._store.bookmarks.retire(name, self._all[name].channels(), now)

    def _tell_silence(self, name: str, reason: str) -> None:
        """Begin a problem if there is no answer for long, or nothing is known from before."""
        since = self._silent_since.setdefault(name, self._clock())
        is_long = has_passed(_SILENCE, since, self._clock())
        if self._store.mailbox_parties.of(name) and not is_long:
            return
        text = (
            f"Where the mailbox {name} looks up its organisations has not answered since "
            f"{moment(since)}, so that letters to new ones are not read ({reason}); see "
            "`postmottak check`, or write them into `include`"
        )
        about = _list_of(name)
        self._problems.begin(
            Problem(kind=PARTIES, about=about, where=name, text=text, critical=False)
        )

    def _tell(self, name: str, known: Mapping[str, MailboxParty]) -> None:
        now = self._clock()
        gone = [
            _words(each) for each in known.values() if each.gone_at and now - each.gone_at < _NEWS
        ]
        if not gone:
            self._problems.end(PARTIES, name)
            return
        text = (
            f"Organisations that the mailbox {name} can no longer read: {some(sorted(gone))}; if "
            "that is not meant, have them delegate the access package again, else write them "
            "into `exclude`"
        )
        self._problems.begin(
            Problem(kind=PARTIES, about=name, where=name, text=text, critical=False)
        )


def _list_of(mailbox: str) -> str:
    """Return what a problem is about: not the organisations, but that they cannot be looked up."""
    return f"list of {mailbox}"


def _changed(
    name: str, known: Mapping[str, MailboxParty], found: Sequence[NamedParty], now: datetime
) -> dict[str, MailboxParty]:
    """Return the rows that differ from what is known. `known` stays as it is."""
    rows: dict[str, MailboxParty] = {}
    for number, called in found:
        before = known.get(number)
        if before is None or before.gone_at or (called and before.name != called):
            is_back = before is None or before.gone_at is not None
            rows[number] = MailboxParty(
                mailbox=name,
                party=number,
                name=called or (before.name if before else ""),
                found_at=now if is_back or before is None else before.found_at,
            )
    numbers = {each.number for each in found}
    for number, before in known.items():
        if number not in numbers and before.gone_at is None:
            rows[number] = MailboxParty(**before.model_dump() | {"gone_at": now})
    return rows


def _log_changes(
    name: str, known: Mapping[str, MailboxParty], changed: Mapping[str, MailboxParty]
) -> None:
    come = [
        number
        for number, each in changed.items()
        if not each.gone_at and (number not in known or known[number].gone_at)
    ]
    gone = [number for number, each in changed.items() if each.gone_at]
    if come:
        _log.warning("new organisations are read", mailbox=name, parties=some(sorted(come)))
    if gone:
        _log.warning("organisations can no longer be read", mailbox=name, parties=some(gone))


def _words(party: MailboxParty) -> str:
    return f"{party.party} {party.name}".strip()
