"""One channel: list it from its bookmark, and move the bookmark past what is stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import zip_longest

from daemon.core.bookkeeping import Bookmark
from daemon.core.connector_calls import call_connector
from daemon.core.errors import AccessRefused, PostmottakError
from daemon.core.model import LetterRef
from daemon.core.outside_values import is_storable, text_from
from daemon.core.ports import Channel, Listing, Mailbox

# this machine's clock and a source's, or this machine's before and after it was set
_CLOCKS_APART = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class ListedChannel:
    """The result of listing one channel."""

    channel: Channel
    bookmark: Bookmark
    at: datetime
    since: datetime | None = None
    refs: tuple[LetterRef, ...] = ()
    problem: str = ""
    refused: bool = False

    @property
    def expected(self) -> bool:
        """Whether the problem does not count: the resource was only presumed, and is refused."""
        return self.refused and self.channel.presumed


def abreast(channels: Sequence[Channel]) -> list[Channel]:
    """Return the channels so that those of different parties come side by side.

    A party's first call fetches its token, and calls for the same party would wait for that.
    """
    by_party: defaultdict[str, list[Channel]] = defaultdict(list)
    for each in channels:
        by_party[each.party].append(each)
    rows = zip_longest(*by_party.values())
    return [each for row in rows for each in row if each is not None]


def list_channel(
    mailbox: Mailbox, channel: Channel, bookmark: Bookmark, clock: Callable[[], datetime]
) -> ListedChannel:
    """List a channel from its bookmark. Whatever goes wrong is the `problem` of the result.

    Raises StoreError.
    """
    begun = ListedChannel(channel=channel, bookmark=bookmark, at=clock())
    listed = call_connector(
        partial(_list, mailbox, begun, clock), party=channel.party, resource=channel.resource
    )
    if isinstance(listed, PostmottakError):
        failed = replace(begun, problem=text_from(str(listed)))
        return _refused(mailbox, failed, clock()) if isinstance(listed, AccessRefused) else failed
    return listed


def first_listing_from(
    mailbox: Mailbox, channel: Channel, bookmark: Bookmark, now: datetime
) -> datetime | None:
    """Return from when on a channel that was never listed completely is listed; None: everything.

    An earlier attempt that the source answered, and not the time of the first success, says how
    far back that is: what was published while a right was missing is not passed over.
    """
    earliest = mailbox.earliest(channel, None, now)
    return min(earliest, bookmark.begins_at or earliest) if earliest else None


def _refused(mailbox: Mailbox, failed: ListedChannel, now: datetime) -> ListedChannel:
    """Return the result of a listing that was refused.

    A refusal is an answer, from which the clock is known as well as from a list.
    """
    answered = replace(failed, at=now, refused=True)
    return replace(answered, since=_earliest(mailbox, answered))


def _list(mailbox: Mailbox, begun: ListedChannel, clock: Callable[[], datetime]) -> ListedChannel:
    """List the channel. Raises as `Mailbox.list` does."""
    since = _earliest(mailbox, begun)
    listing = mailbox.list(begun.channel, since)
    listed = replace(begun, at=clock())
    earlier = _earliest(mailbox, listed)
    if since and (earlier is None or since - earlier > _CLOCKS_APART):
        # The source's answer has shown that this machine's clock was ahead.
        since, listing = earlier, mailbox.list(begun.channel, earlier)
    refs, shortfall = _usable(listing)
    return replace(listed, since=since, refs=refs, problem=shortfall)


def moved_bookmark(listed: ListedChannel, newest: datetime | None, now: datetime) -> Bookmark:
    """Return the channel's bookmark with the result of the listing, moved if letters are stored.

    `newest` is the newest publish time up to which every letter is stored; None if there is none.
    """
    bookmark = listed.bookmark
    bookmark.refused, bookmark.retired_at = listed.refused, None
    if listed.problem:
        if listed.since and not bookmark.begun:
            bookmark.begins_at = min(listed.since, bookmark.begins_at or listed.since)
        bookmark.failed_at, bookmark.last_error = now, listed.problem
        bookmark.failing_since = (
            None if listed.expected else bookmark.failing_since or bookmark.succeeded_at or now
        )
        return bookmark
    bookmark.succeeded_at, bookmark.last_error, bookmark.failing_since = now, None, None
    if not bookmark.begun:
        bookmark.begun, bookmark.begins_at = True, listed.since
    if _is_beyond(bookmark.position, listed.at):
        # The channel has just been listed from the beginning, so the bookmark can come back.
        bookmark.position = listed.at
    reached = now if listed.channel.list_only else newest
    if reached:
        bookmark.position = max(reached, bookmark.position or reached)
    return bookmark


def _earliest(mailbox: Mailbox, listed: ListedChannel) -> datetime | None:
    """Return the time from which to list.

    That is the beginning if the bookmark lies in the future: it may have hidden any letter.
    """
    bookmark, is_beyond = listed.bookmark, _is_beyond(listed.bookmark.position, listed.at)
    if bookmark.begun and is_beyond:
        return bookmark.begins_at
    if is_beyond or bookmark.position is None:
        return first_listing_from(mailbox, listed.channel, bookmark, listed.at)
    return mailbox.earliest(listed.channel, bookmark.position, listed.at)


def _is_beyond(position: datetime | None, now: datetime) -> bool:
    return position is not None and position - now > _CLOCKS_APART


def _usable(listing: Listing) -> tuple[tuple[LetterRef, ...], str]:
    """Return the letters that can be asked for, and why there may be more.

    A letter whose id is not storable text cannot be asked for, and stops no other letter.
    """
    refs = tuple(each for each in listing.refs if is_storable(each.external_id))
    odd = len(listing.refs) - len(refs)
    reasons = (
        text_from(listing.shortfall),
        f"{odd} letters have ids that are not text" * bool(odd),
    )
    return refs, "; ".join(filter(None, reasons))
