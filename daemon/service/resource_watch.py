"""Which resources carry the letters, for mailboxes that find that out by themselves.

They are asked at the start and then once a day. What they answered is kept in a small file beside
the database, and every resource that has been read before is read on, so that no letter depends on
that question: not while it cannot be answered, and not if a resource is missing from the answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from daemon.core.bookkeeping import RESOURCES, Bookmark
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.ports import Channel, FindsResources, Mailbox
from daemon.monitoring.problem import Problem, moment
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.owner import create_file
from daemon.service.room import without_room
from daemon.store import Store

_log = structlog.get_logger(__name__)
_EVERY = timedelta(days=1)
_RETRY = 3600.0  # seconds after which a question that failed is asked again
_PATIENCE = timedelta(hours=6)  # for an answer that is due, before a problem begins
_LOST = timedelta(days=30)  # of refusals, after which a resource that is not listed is given up
_NAMED = 5
_Place = tuple[str, str]
"""A service's code, and a resource."""


@dataclass(frozen=True, kw_only=True)
class KnownResources:
    """What was found for one mailbox, and when."""

    read_at: datetime | None = None
    """None if it was never found out."""
    question: tuple[str, ...] = ()
    """What was asked, see `FindsResources.resource_question`; empty if that is not known."""
    found: frozenset[_Place] = frozenset()
    new: frozenset[_Place] = frozenset()
    """Those that the last answer had and the one before had not."""
    gone: frozenset[_Place] = frozenset()
    """Those that an earlier answer had, the last one has not, and that are still read."""


class ResourceWatch:
    """Keeps the resources of mailboxes up to date.

    Its methods may be called from several threads, for different mailboxes; they do nothing for
    mailboxes whose resources are configured. `file` is where the answers are kept.
    """

    def __init__(
        self,
        mailboxes: Iterable[Mailbox],
        store: Store,
        file: Path,
        problems: ServiceProblems,
        clock: Callable[[], datetime],
    ) -> None:
        self._mailboxes = {
            each.name: each
            for each in mailboxes
            if isinstance(each, FindsResources) and each.finds_resources
        }
        self._store, self._file, self._problems, self._clock = store, file, problems, clock
        self._known = {
            name: _read(file, name, each.resource_question)
            for name, each in self._mailboxes.items()
        }
        self._asked: dict[str, float] = {}
        self._unretired: set[str] = set()
        """Mailboxes of which bookmarks could not be retired, because the disk was full."""
        self._saving = threading.Lock()

    def recall(self, name: str) -> None:
        """Let the mailbox read what was found before this start. Raises StoreError.

        Nothing is given up here: that needs an answer of today.
        """
        if name in self._mailboxes:
            self._use(name, self._known[name], _places(begun_resources(self._store, name)))
            self._tell(name)

    def refresh(self, name: str) -> None:
        """Ask for the mailbox's resources if that is due, and read what is new.

        Raises StoreError.
        """
        if name in self._unretired:
            self._retire(name)
        if name not in self._mailboxes or not self._is_due(name):
            return
        self._asked[name] = time.monotonic()
        mailbox = self._mailboxes[name]
        answer = call_connector(mailbox.find_resources, mailbox=name)
        if isinstance(answer, PostmottakError):
            _log.warning(
                "resources could not be looked up; the known ones are used",
                mailbox=name,
                reason=str(answer),
            )
            self._tell_silence(name, str(answer))
            return
        self._problems.end(RESOURCES, _registry_of(name))
        found = frozenset(_places(answer))
        before, kept, question = self._known[name], self._kept(name), mailbox.resource_question
        is_news = before.read_at and before.question in {(), question}
        known = KnownResources(
            read_at=self._clock(),
            question=question,
            found=found,
            new=found - before.found if is_news else frozenset(),
            gone=_not_in((before.found | before.gone) & kept, found),
        )
        self._use(name, known, kept)
        # first: if the disk is full, the next answer must find the same resources new
        self._begin_new(name, before, known)
        self._known[name] = known
        _log_changes(name, before, known)
        self._save()
        retired = self._retire(name)
        self._tell(name)
        _log.info("resources looked up", mailbox=name, found=len(found), retired=retired)

    def _retire(self, name: str) -> int:
        """Retire the bookmarks of channels that are not read any more; later if the disk is full.

        Returns how many are newly retired. Raises StoreError.
        """
        self._unretired.add(name)
        with without_room("channels that are not read any more stay listed"):
            read = self._mailboxes[name].channels()
            retired = self._store.bookmarks.retire(name, read, self._clock())
            self._unretired.discard(name)
            return retired
        return 0

    def _is_due(self, name: str) -> bool:
        asked, known = self._asked.get(name), self._known[name]
        if asked is not None and time.monotonic() - asked < _RETRY:
            return False
        now = self._clock()
        if known.question != self._mailboxes[name].resource_question:
            return True
        return known.read_at is None or not known.read_at <= now < known.read_at + _EVERY

    def _use(self, name: str, known: KnownResources, kept: Iterable[_Place]) -> None:
        places = known.found | _not_in(kept, known.found)
        self._mailboxes[name].use_resources(_by_service(places))

    def _begin_new(self, name: str, before: KnownResources, known: KnownResources) -> None:
        """Let new resources be listed from when one could last know that they were not there.

        That is the last answer; without one, it is how far back the party's other channels go. On
        another platform, they are listed as at a first start.
        """
        store, mailbox, now = self._store, self._mailboxes[name], self._clock()
        if before.question and before.question[:1] != mailbox.resource_question[:1]:
            return
        own: dict[str, list[Bookmark]] = {}
        for each in store.queries.bookmarks():
            if each.mailbox == name:
                own.setdefault(each.party, []).append(each)
        places = known.found - before.found
        channels = [
            each
            for each in mailbox.channels()
            if each.party in own and (each.service, each.resource) in places
        ]
        changed: list[Bookmark] = []
        for channel, bookmark in zip(
            channels, store.bookmarks.of_channels(name, channels), strict=True
        ):
            usual = mailbox.earliest(channel, None, now)
            begins = [each.begins_at for each in own[channel.party] if each.begins_at]
            begin = (
                mailbox.earliest(channel, before.read_at, now)
                if before.read_at
                else min(begins, default=None)
            )
            if usual and begin and not bookmark.begun and begin < (bookmark.begins_at or usual):
                bookmark.begins_at = begin
                changed.append(bookmark)
        if changed:
            store.bookmarks.save(changed)

    def _tell_silence(self, name: str, reason: str) -> None:
        """Begin a problem if there is no answer at all, or none of the last day."""
        last = self._known[name].read_at
        if last and self._clock() - last < _EVERY + _PATIENCE:
            return
        since = f"has not answered since {moment(last)}" if last else "has not answered yet"
        text = (
            f"Where the mailbox {name} looks up the resources that carry its letters {since}, so "
            f"that letters in new ones are not read ({reason}); see `postmottak check`, or write "
            "the resources yourself"
        )
        about = _registry_of(name)
        self._problems.begin(
            Problem(kind=RESOURCES, about=about, where=name, text=text, critical=False)
        )

    def _tell(self, name: str) -> None:
        """Begin or end the problem that the mailbox's resources have changed."""
        known, channels = self._known[name], self._mailboxes[name].channels()
        read = frozenset((each.service, each.resource) for each in channels)
        known = replace(known, new=known.new & read, gone=known.gone & read)
        if text := _news(name, known, self._given_up(name, channels)):
            self._problems.begin(Problem(kind=RESOURCES, about=name, text=text, critical=False))
        else:
            self._problems.end(RESOURCES, name)

    def _kept(self, name: str) -> frozenset[_Place]:
        """Return what has been read before, but for what has long been refused."""
        bookmarks = [each for each in self._store.queries.bookmarks() if each.mailbox == name]
        last: dict[str, datetime] = {}
        for each in bookmarks:
            if each.succeeded_at:
                last[each.party] = max(each.succeeded_at, last.get(each.party, each.succeeded_at))
        return frozenset(
            (each.service, each.resource)
            for each in _begun(bookmarks)
            if not _is_lost(each, last.get(each.party))
        )

    def _given_up(self, name: str, channels: Sequence[Channel]) -> frozenset[_Place]:
        """Return what was read until some days ago, though its party and service are still read."""
        now = self._clock()
        resources = {each.resource for each in channels}
        wanted = {(each.party, each.service) for each in channels}
        return frozenset(
            (each.service, each.resource)
            for each in self._store.queries.bookmarks()
            if each.mailbox == name
            and each.begun
            and each.retired_at
            and now - each.retired_at < _LOST
            and (each.party, each.service) in wanted
            and each.resource not in resources
        )

    def _save(self) -> None:
        """Keep the answers. A failure costs only that they are asked for again."""
        half = self._file.with_name(f".{self._file.name}.half")
        try:
            with self._saving:
                known = {name: _plain(each) for name, each in self._known.items()}
                half.unlink(missing_ok=True)
                create_file(half)
                half.write_text(json.dumps(known), encoding="utf-8")
                half.replace(self._file)
        except OSError as error:
            _log.warning("the resources could not be kept", file=str(self._file), reason=str(error))


def begun_resources(store: Store, mailbox: str) -> dict[str, list[str]]:
    """Return the resources that the mailbox has read and still reads, by the service's code.

    Raises StoreError.
    """
    bookmarks = (each for each in store.queries.bookmarks() if each.mailbox == mailbox)
    return _by_service({(each.service, each.resource) for each in _begun(bookmarks)})


def _begun(bookmarks: Iterable[Bookmark]) -> Iterator[Bookmark]:
    return (each for each in bookmarks if each.begun and not each.retired_at)


def _is_lost(bookmark: Bookmark, last: datetime | None) -> bool:
    """Whether the channel was refused for so long; `last` is when its party last read any channel.

    An outage, a key that has expired or a machine that was off stops all channels of a party, so
    that it says nothing about one of them.
    """
    read = bookmark.succeeded_at
    return bookmark.refused and bool(read and last and last - read > _LOST)


def _registry_of(mailbox: str) -> str:
    """Return what a problem is about: not the resources, but that they cannot be looked up."""
    return f"registry of {mailbox}"


def _not_in(places: Iterable[_Place], found: Iterable[_Place]) -> frozenset[_Place]:
    """Return the places whose resources were not found, under any service."""
    resources = {resource for _, resource in found}
    return frozenset(place for place in places if place[1] not in resources)


def _places(answer: Mapping[str, Sequence[str]]) -> Iterator[_Place]:
    for service, resources in answer.items():
        yield from ((service, each) for each in resources)


def _by_service(places: Iterable[_Place]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for service, resource in sorted(places):
        found.setdefault(service, []).append(resource)
    return found


def _log_changes(name: str, before: KnownResources, known: KnownResources) -> None:
    if known.new:
        _log.warning("new resources are read", mailbox=name, resources=_words(known.new))
    if lost := known.gone - before.gone:
        _log.warning(
            "resources are not listed any more, and are still read",
            mailbox=name,
            resources=_words(lost),
        )
    if left := (before.found | before.gone) - known.found - known.gone:
        _log.warning("resources are not read any more", mailbox=name, resources=_words(left))


def _news(name: str, known: KnownResources, given_up: Iterable[_Place]) -> str:
    """Return what has changed, in words; empty if nothing has."""
    changes = []
    if known.new:
        changes.append(f"new, and read from now on: {_words(known.new)}")
    if known.gone:
        changes.append(
            "not listed any more, but still read, because they could be read before: "
            f"{_words(known.gone)}"
        )
    if given_up:
        changes.append(
            "not read any more, because the right to it was missing for thirty days, or because it "
            f"is confidential post now: {_words(given_up)}"
        )
    if not changes:
        return ""
    return (
        f"The resources for the mailbox {name} have changed in Altinn: {'; '.join(changes)}. To "
        "choose them yourself, see `postmottak discover`"
    )


def _words(places: Iterable[_Place]) -> str:
    names = [f"{resource} ({service})" for service, resource in sorted(places)]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _plain(known: KnownResources) -> dict[str, Any]:
    return {
        "read_at": known.read_at.isoformat() if known.read_at else None,
        "question": known.question,
        "found": sorted(known.found),
        "new": sorted(known.new),
        "gone": sorted(known.gone),
    }


def _read(file: Path, name: str, question: tuple[str, ...]) -> KnownResources:
    """Return what the file has about the mailbox; a missing or damaged file has nothing.

    Neither has one with the answer of another platform: `question` begins with the right address.
    """
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))[name]
        read_at = datetime.fromisoformat(kept["read_at"])
        asked = tuple(map(str, kept.get("question", ())))
        places = {
            key: frozenset((str(service), str(resource)) for service, resource in kept[key])
            for key in ("found", "new", "gone")
        }
    except FileNotFoundError:
        return KnownResources()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("the resources are looked up again", file=str(file), reason=repr(error))
        return KnownResources()
    if asked and asked[:1] != question[:1]:
        return KnownResources(question=asked)
    return KnownResources(read_at=read_at if read_at.tzinfo else None, question=asked, **places)
