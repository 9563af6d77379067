"""Find every letter behind a list that is cut at 1000, has no pages, and has ids but no times.

A window of time that comes back full is split until none does. What is known about the list:
Altinn/altinn-correspondence `GetCorrespondencesHandler.cs` and `CorrespondenceRepository.cs`
(bounds exclude, newest first, no order among equal times).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connectors.net.cpu_throttle import CpuThrottle

PAGE = 1000
"""A list of this length may have been cut."""

STATUSES = ("Published", "Read", "AttachmentsDownloaded", "Confirmed", "PurgedByRecipient")
"""Filters for letters that have ever had a status; each gives a separate list, cut separately."""

_TICK = timedelta(microseconds=1)
"""The resolution of the server's database; a finer bound is truncated to it, and would leave a
letter between two windows.
"""
_BIRTH = datetime(2003, 1, 1, tzinfo=UTC)
"""Altinn's; nearly every letter is later, though a sender may ask for any publish time."""
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_CALLS_AT_MOST = 2000


@dataclass(frozen=True)
class Window:
    """The letters with a requested publish time later than `after` and earlier than `before`.

    None for no bound.
    """

    after: datetime | None
    before: datetime | None

    def middle(self, now: datetime) -> datetime | None:
        """Return a time to split at, so that both parts are smaller.

        None if the window is a single instant. An open side is first taken to end where letters can
        be expected to end, and only then at the end of time.
        """
        begin = self.after or (_BIRTH if (self.before or now) - _BIRTH > 2 * _TICK else _FIRST)
        end = self.before or (now if now - begin > 2 * _TICK else _LAST)
        width = (end - begin) // _TICK
        # one tick of time between two bounds that exclude
        return begin + (width // 2) * _TICK if width > 2 else None  # noqa: PLR2004

    def older(self, middle: datetime) -> Window:
        """Return the part up to `middle`, which it includes."""
        return Window(self.after, middle + _TICK)

    def newer(self, middle: datetime) -> Window:
        """Return the part after `middle`."""
        return Window(middle, self.before)


Ask = Callable[[Window, str | None], Sequence[str]]
"""One call: the ids in a window, newest first and cut at PAGE, of letters that have had a status
(None: of all).
"""


@dataclass(frozen=True, kw_only=True)
class ListedLetters:
    """The ids that were found, and why there may be more (empty if there are not)."""

    ids: tuple[str, ...]
    shortfall: str = ""


def find_all(
    ask: Ask, since: datetime | None, now: datetime, throttle: CpuThrottle | None = None
) -> ListedLetters:
    """Find every letter later than `since`, with one call and about one more for each split.

    Where that takes many calls, `throttle` says how fast.
    """
    search = _WindowSearch(ask, now, throttle or CpuThrottle())
    ids = search.whole(Window(since, None))
    return ListedLetters(
        ids=tuple(dict.fromkeys(ids)), shortfall="; ".join(dict.fromkeys(search.shortfalls))
    )


@dataclass
class _WindowSearch:
    ask: Ask
    now: datetime
    throttle: CpuThrottle
    shortfalls: list[str] = field(default_factory=list)
    calls: int = 0

    def whole(self, window: Window) -> Iterable[str]:
        """Find every id in the window."""
        if self.calls >= _CALLS_AT_MOST:
            self.shortfalls.append(
                f"the listing was given up after {self.calls} calls; report to Altinn that its "
                "list cannot be read completely"
            )
            return ()
        self.calls += 1
        self.throttle.step()
        page = self.ask(window, None)
        return page if len(page) < PAGE else self.split(window, page)

    def split(self, window: Window, page: Sequence[str]) -> Iterable[str]:
        """Find every id in a window for which `page`, a full one, came back."""
        middle = window.middle(self.now)
        if middle is None:
            return self.crowd(window, page)
        older = set(self.whole(window.older(middle)))
        if older.isdisjoint(page):
            return {*older, *self.split(window.newer(middle), page)}
        if _reaches_into(page, older):
            return {*older, *page}
        return {*older, *page, *self.whole(window.newer(middle))}

    def crowd(self, window: Window, page: Sequence[str]) -> Iterable[str]:
        """Find what can be found where more letters have the same time than a list can hold."""
        ids = set(page)
        for status in STATUSES:
            self.calls += 1
            self.throttle.step()
            ids.update(self.ask(window, status))
        self.shortfalls.append(
            f"at least {len(ids)} letters share the publish time {_instant(window)}, and "
            f"Altinn lists at most {PAGE} of them; compare with the inbox in Altinn, and ask "
            "Altinn about those that are missing here"
        )
        return ids


def _reaches_into(page: Sequence[str], older: Collection[str]) -> bool:
    """Return whether a full page, newest first, reaches into the older part.

    It then covers the newer part. The order is verified, not assumed: the ids of the older part
    must be the page's tail.
    """
    tail = [each in older for each in page]
    return not tail[0] and tail[-1] and tail == sorted(tail)


def _instant(window: Window) -> str:
    edge = window.after + _TICK if window.after else window.before or _FIRST
    return edge.isoformat()
