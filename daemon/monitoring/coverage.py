"""For which organisations letters can be read, as far as was seen when they were last read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.core.dpv import CONFIDENTIAL_POST

if TYPE_CHECKING:
    from daemon.config.loader import MailboxConfiguration
    from daemon.core.bookkeeping import Bookmark
    from daemon.store import Store


@dataclass(frozen=True, kw_only=True)
class Client:
    """An organisation that is, was or will be read, and what it has delegated.

    Whether its post can be read is None while that is not known.
    """

    mailbox: str
    party: str
    name: str
    ordinary: bool | None
    confidential: bool | None
    gone_at: datetime | None
    """Since when it is not found any more."""

    @property
    def is_missing(self) -> bool:
        """Whether its ordinary post is known not to be read."""
        return self.ordinary is False or self.gone_at is not None

    @property
    def is_unknown(self) -> bool:
        """Whether it is not known yet if its ordinary post can be read."""
        return self.ordinary is None and self.gone_at is None


def clients(store: Store, mailboxes: Iterable[MailboxConfiguration]) -> Iterator[Client]:
    """Yield every organisation of these mailboxes, in order. Raises StoreError.

    Those of the configuration that have never been asked are among them.
    """
    channels: defaultdict[str, list[Bookmark]] = defaultdict(list)
    for each in store.queries.bookmarks():
        channels[each.mailbox].append(each)
    for mailbox in mailboxes:
        yield from _of_mailbox(mailbox, store, channels[mailbox.name])


def _of_mailbox(
    mailbox: MailboxConfiguration, store: Store, bookmarks: Sequence[Bookmark]
) -> Iterator[Client]:
    found = store.mailbox_parties.of(mailbox.name)
    channels: defaultdict[str, list[Bookmark]] = defaultdict(list)
    for each in bookmarks:
        if not each.retired_at or each.party in found:
            channels[each.party].append(each)
    for party in sorted({*channels, *found, *mailbox.settings.organisations}):
        known = found.get(party)
        own = channels[party]
        confidential = [each for each in own if each.service == CONFIDENTIAL_POST.code]
        yield Client(
            mailbox=mailbox.name,
            party=party,
            name=known.name if known else "",
            ordinary=_can_be_read([each for each in own if each not in confidential]),
            confidential=_can_be_read(confidential),
            gone_at=known.gone_at if known else None,
        )


def _can_be_read(channels: Sequence[Bookmark]) -> bool | None:
    """Return whether any of the channels can be read; None if that is not known."""
    if any(each.begun and not each.refused for each in channels):
        return True
    return False if any(each.refused for each in channels) else None
