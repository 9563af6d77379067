"""The error tree, sorted by who must act.

    PostmottakError
    ├── OperatorError            the operator fixes a file or a command; never a traceback
    │   ├── ConfigurationError   every fault of a configuration at once
    │   ├── StoreClosed          a database that was moved, or is half of a move
    │   └── NotFound             no such message, delivery or destination
    ├── StoreError               the database, the disk or the fork server; exit code 4
    │   ├── DiskFull             nothing new is fetched until there is room
    │   │   └── StorageUnreachable   nothing new is fetched until the bucket of content answers
    │   ├── StoreBusy            another program has a lock; the service waits, a command gives up
    │   ├── JournalKeyMissing    this machine lacks the key that signs the journal
    │   ├── StoreUnreachable     no connection to PostgreSQL, or only to a standby; it may pass
    │   │   └── StoreRefused     it answers and lets this user not in; a start does not wait for it
    │   ├── NodeFenced           others have taken over this node's work; it is started again
    │   └── WorkerLost           the fork server, which starts worker processes, has ended
    ├── NotStorable              one letter that the database rejects as it is
    ├── ContentMissing           the bytes of one attachment are not where they were put
    │   └── ContentUnavailable   they cannot be had now; try later
    ├── MailboxError             the server of a mailbox
    │   ├── MailboxUnavailable   unreachable or not making sense now; try later
    │   ├── AccessRefused        a right is missing; someone must grant it
    │   ├── LetterGone           listed, but no longer available
    │   └── PartUnavailable      one attachment is not available; the letter itself is
    └── DeliveryFailure          a destination did not take a parcel
        ├── TemporaryFailure     try later
        ├── PermanentFailure     trying again would not help
        └── ConnectorFault       a fault of the connector itself; the log says where

A message says what, where and what to do. It never holds a secret, a letter's title or its content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


class PostmottakError(Exception):
    """Root of all errors that Postmottak raises on purpose."""


class OperatorError(PostmottakError):
    """Something that the operator can fix; shown without a traceback."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of a configuration: where, what, and what to do about it."""

    file: str
    key: str
    problem: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        return f"{place}:{key} {self.problem}. {self.remedy}"


class ConfigurationError(OperatorError):
    """A configuration that cannot be used.

    `faults` holds every fault that was found, never none.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class StoreClosed(OperatorError):
    """A database that nothing may use, because it was moved or is half of a move."""


class NotFound(OperatorError):
    """What the operator named does not exist."""


class StoreError(PostmottakError):
    """The database or the disk failed; nothing may continue as if it had not."""


class DiskFull(StoreError):
    """The system has no disk space, open file or memory left for another letter.

    The service waits until it has.
    """


class StorageUnreachable(DiskFull):
    """The bucket of the content store cannot be reached, or refuses to be used.

    The service waits, as for room: nothing is lost, and letters are asked for again.
    """


class StoreBusy(StoreError):
    """Another program locks the database for longer than the caller waits.

    Nothing is wrong with it, and nothing was changed.
    """


class JournalKeyMissing(StoreError):
    """This machine lacks the key that signs the journal; the message says where it belongs."""


class StoreUnreachable(StoreError):
    """The database's server cannot be reached, has closed the connection, or is a standby.

    What the transaction did is undone, but for one that was lost while it was committed: that may
    be done. It may pass, as when a server is restarted or another one takes over.
    """


class StoreRefused(StoreUnreachable):
    """The database's server answers, and does not let this user in.

    For a wrong password, or no such user or database. A service that runs waits for it all the
    same; a start does not.
    """


class NodeFenced(StoreError):
    """Others have taken over the work of this node, because it was silent for too long.

    Its process must end, and may be started again.
    """


class WorkerLost(StoreError):
    """The fork server, without which no worker process is replaced, has ended unexpectedly.

    What it had in flight is repeated after a restart.
    """


class NotStorable(PostmottakError):
    """A value that the database rejects; everything else can still be stored."""


class ContentMissing(PostmottakError):
    """The bytes of one attachment are missing from the content store."""


class ContentUnavailable(ContentMissing):
    """The bytes of one attachment cannot be had now, because their bucket cannot be reached."""


class MailboxError(PostmottakError):
    """The server of a mailbox did not do what was asked."""


class MailboxUnavailable(MailboxError):
    """The mailbox cannot be used now; `retry_after` is what the server asked for, if anything."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class AccessRefused(MailboxError):
    """A right is missing for a party, a service or a single letter."""


class LetterGone(MailboxError):
    """The letter was listed, but has been removed since, by its sender or someone else."""


class PartUnavailable(MailboxError):
    """One attachment is not available. `state` is a value of `model.PartState`.

    `retry` says whether asking again by itself may help; `retry_after` is the shortest wait that
    the server asked for, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        state: str,
        retry: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        self.state, self.retry, self.retry_after = state, retry, retry_after
        super().__init__(message)


class DeliveryFailure(PostmottakError):
    """A destination did not take a parcel."""


class TemporaryFailure(DeliveryFailure):
    """Trying later may help.

    `retry_after` is the shortest wait that the destination asked for, if it did. `progress`, JSON
    values, is kept and handed back with the parcel at the next attempt, so that what is done is not
    done again.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: timedelta | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> None:
        self.retry_after = retry_after
        self.progress = progress
        super().__init__(message)


class PermanentFailure(DeliveryFailure):
    """Trying the same parcel again cannot help."""


class ConnectorFault(DeliveryFailure):
    """The connector failed in an unexpected way.

    It is tried again later, and the log says where it was.
    """
