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
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from daemon.core.bookkeeping import RESOURCES, Bookmark
from daemon.core.connector_calls import call_connector
from daemon.core.errors import PostmottakError
from daemon.core.ports import FindsResources, Mailbox
from daemon.monitoring.problems import Problem
from daemon.monitoring.service_problems import ServiceProblems
from daemon.runtime.owner import create_file
from daemon.service.room import without_room
from daemon.store import Store

_log = structlog.get_logger(__name__)
_EVERY = timedelta(days=1)
_RETRY = 3600.0  # seconds after which a question that failed is asked again
_LOST = timedelta(days=30)  # of failing, after which a resource that is not listed is given up
_NAMED = 5
_Place = tuple[str, str]
"""A service's code, and a resource."""


@dataclass(frozen=True, kw_only=True)
class KnownResources:
    """What was found for one mailbox, and when."""

    read_at: datetime | None = None
    """None if it was never found out."""
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
        self._known = {name: _read(file, name) for name in self._mailboxes}
        self._asked: dict[str, float] = {}
        self._unretired: set[str] = set()
        """Mailboxes of which bookmarks could not be retired, because the disk was full."""
        self._saving = threading.Lock()

    def recall(self, name: str) -> None:
        """Let the mailbox read what was found before this start. Raises StoreError."""
        if name in self._mailboxes:
            self._use(name, self._known[name])

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
            return
        found = frozenset(_places(answer))
        before, kept = self._known[name], self._kept(name)
        known = KnownResources(
            read_at=self._clock(),
            found=found,
            new=found - before.found if before.read_at else frozenset(),
            gone=_not_in((before.found | before.gone) & kept, found),
        )
        self._known[name] = known
        _log_changes(name, before, known)
        self._use(name, known)
        self._save()
        retired = self._retire(name)
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
        return known.read_at is None or not known.read_at <= now < known.read_at + _EVERY

    def _use(self, name: str, known: KnownResources) -> None:
        kept = _not_in(self._kept(name), known.found)
        self._mailboxes[name].use_resources(_by_service(known.found | kept))
        if text := _news(name, known):
            self._problems.begin(Problem(kind=RESOURCES, about=name, text=text, critical=False))
        else:
            self._problems.end(RESOURCES, name)

    def _kept(self, name: str) -> frozenset[_Place]:
        """Return what has been read before, but for what has long ceased to be readable."""
        now = self._clock()
        return frozenset(
            (each.service, each.resource)
            for each in self._store.queries.bookmarks()
            if each.mailbox == name
            and each.begun
            and not each.retired_at
            and not _is_lost(each, now)
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


def _is_lost(bookmark: Bookmark, now: datetime) -> bool:
    """Whether the channel has failed for so long."""
    read = bookmark.succeeded_at
    return bookmark.last_error is not None and read is not None and now - read > _LOST


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


def _news(name: str, known: KnownResources) -> str:
    """Return what has changed, in words; empty if nothing has."""
    changes = []
    if known.new:
        changes.append(f"new, and read from now on: {_words(known.new)}")
    if known.gone:
        changes.append(
            "not listed any more, but still read, because they could be read before: "
            f"{_words(known.gone)}"
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
        "found": sorted(known.found),
        "new": sorted(known.new),
        "gone": sorted(known.gone),
    }


def _read(file: Path, name: str) -> KnownResources:
    """Return what the file has about the mailbox; a missing or damaged file has nothing."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))[name]
        read_at = datetime.fromisoformat(kept["read_at"])
        places = {
            key: frozenset((str(service), str(resource)) for service, resource in kept[key])
            for key in ("found", "new", "gone")
        }
    except FileNotFoundError:
        return KnownResources()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("the resources are looked up again", file=str(file), reason=repr(error))
        return KnownResources()
    return KnownResources(read_at=read_at if read_at.tzinfo else None, **places)
