"""What an HTTP status means for a letter that was posted: delivered, try later, or never."""

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
    """The operator's remedy for each status that indicates a wrong setting.

    Each is the end of a sentence, and names the options of one type of destination.
    """

    unauthorized: str
    """Status 401."""
    forbidden: str
    """Status 403."""
    not_found: str
    """Status 404."""
    no_post: str
    """Status 405."""
    proxy: str
    """Status 407."""
    media_type: str
    """Status 415."""
    redirect: str
    """Status 3xx."""

    def of(self, status: int) -> str:
        """Return the remedy for a status from 401 to 415; empty if no setting causes it."""
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
    """Return the failure of the delivery, or None if `status` says that `who` has the letter.

    What the server or an operator can fix is temporary, and waits `retry_after` if the server asked
    for that. What only another letter or another address would change is permanent.
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
            ": the letter is too large for it; raise its limit, or send the letter elsewhere, "
            "and retry the delivery"
        )
    if status == _GONE:
        return ": it accepts no more letters; remove the destination from the routing table"
    return (
        ": it does not take this letter; check its log, and retry the delivery when that is fixed"
    )
