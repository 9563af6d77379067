"""What an HTTP status says of a letter that was posted: it is taken, it is tried later, or never."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from daemon.core.errors import DeliveryFailure, PermanentFailure, TemporaryFailure

SUCCESSES = range(200, 300)
REDIRECTS = range(300, 400)
_LATER = frozenset({408, 425, 429})
_GONE = 410
_TOO_LARGE = 413
_SERVER_ERROR = 500


@dataclass(frozen=True, kw_only=True)
class Remedies:
    """What an operator can do about each status that says that something is set up wrongly.

    Each is the end of a sentence, and names the options of one type of destination.
    """

    unauthorized: str
    """401."""
    forbidden: str
    """403."""
    not_found: str
    """404."""
    no_post: str
    """405."""
    proxy: str
    """407."""
    media_type: str
    """415."""
    redirect: str
    """3xx."""

    def of(self, status: int) -> str:
        """The remedy for a status from 401 to 415; empty if it says nothing of the set-up."""
        return {
            401: self.unauthorized,
            403: self.forbidden,
            404: self.not_found,
            405: self.no_post,
            407: self.proxy,
            415: self.media_type,
        }.get(status, "")


def judge(
    who: str, status: int, retry_after: timedelta | None, remedies: Remedies
) -> DeliveryFailure | None:
    """How the delivery failed, or None if `status` says that `who` has the letter.

    What a server or an operator can put right is temporary, and waits `retry_after` if the server
    asked for that; what only another letter or another address would change is permanent.
    """
    text = f"{who} answers with status {status}"
    if status in SUCCESSES:
        return None
    if remedy := remedies.of(status):
        return TemporaryFailure(f"{text}; {remedy}", retry_after=retry_after)
    if status in _LATER or status >= _SERVER_ERROR:
        return TemporaryFailure(f"{text}; it is tried again later", retry_after=retry_after)
    return PermanentFailure(f"{text}{_why_never(status, remedies)}")


def _why_never(status: int, remedies: Remedies) -> str:
    if status in REDIRECTS:
        return f", a redirect, which is not followed; {remedies.redirect}, and retry the delivery"
    if status == _TOO_LARGE:
        return (
            ": the letter is too large for it; let it take more, or send the letter elsewhere, "
            "and retry the delivery"
        )
    if status == _GONE:
        return ": it takes no more letters; take the destination out of the routing table"
    return (
        ": it does not take this letter; look at its log, and retry the delivery when that is fixed"
    )
