"""Whether a token is still accepted, and what to say if none is."""

from __future__ import annotations

from connectors.altinn3.problem_details import problem_of
from connectors.net.http_response import HttpResponse
from daemon.core.errors import MailboxUnavailable

READ = "altinn:correspondence.read"
_UNAUTHORIZED = 401


def is_dead_token(reply: object) -> bool:
    """Return whether the token was refused, not its bearer's rights, which have a code."""
    return (
        isinstance(reply, HttpResponse)
        and reply.status == _UNAUTHORIZED
        and problem_of(reply).code is None
    )


def never_accepted(party: str) -> MailboxUnavailable:
    """Return the failure of a call for which a second, new token was refused as well."""
    return MailboxUnavailable(
        f"Altinn does not accept the token for {party} that it has just issued; it is tried "
        "again at the next poll. If this persists, check that `environment` and the clock are "
        "right, and whether Altinn requires a `subscription_key`"
    )
