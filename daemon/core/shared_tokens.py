"""What a mailbox offers that lets several processes of the service use one access token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class SharesTokens(Protocol):
    """A mailbox whose access tokens other processes of the service may use as well.

    So the number of calls for tokens does not grow with the number of processes.
    """

    def lend_tokens(self, parties: Collection[str]) -> Sequence[object]:
        """Return the parties' tokens that are valid now, which can be pickled. Makes no call."""

    def borrow_tokens(self, tokens: Sequence[object]) -> None:
        """Use what `lend_tokens` returned in another process of this machine."""
