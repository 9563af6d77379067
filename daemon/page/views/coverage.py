"""Coverage: what may keep letters away, since when, and what to do; as `coverage` says it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.core.coverage import CoverageFinding, FindingKind
from daemon.core.rights import Right, UserAccess
from daemon.monitoring.coverage_problems import compared_at, findings
from daemon.page.context import page_of, require
from daemon.page.problems_of_user import operates_all_of
from daemon.page.wording import N_

_SHOWN = 200
WORDS: Mapping[FindingKind, str] = {
    FindingKind.SYSTEM_USER: N_("System users and delegations that have ended"),
    FindingKind.RIGHT: N_("Rights that were lost"),
    FindingKind.SERVICE: N_("Services that cannot be read"),
    FindingKind.RESOURCE: N_("Resources that carry letters and are not configured"),
    FindingKind.SENDER: N_("Senders that have fallen silent"),
    FindingKind.EXPIRY: N_("Keys and certificates that end"),
}
REMEDIES: Mapping[FindingKind, str] = {
    FindingKind.SYSTEM_USER: N_(
        "Have the organisation approve the system user or delegate to it again. If it has left, "
        "take it out of the configuration."
    ),
    FindingKind.RIGHT: N_("Have the organisation give the system user the access package again."),
    FindingKind.SERVICE: N_(
        "Have the organisation delegate the access package for ordinary post to the system user."
    ),
    FindingKind.RESOURCE: N_("Have the resource added to its mailbox in the configuration."),
    FindingKind.SENDER: N_(
        "Ask the sender whether letters were sent, and look into the inbox in Altinn."
    ),
    FindingKind.EXPIRY: N_("Have the key or certificate renewed before it ends."),
}


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/coverage", show)]


def show(request: Request) -> Response:
    """Show what the user operates all of, by kind."""
    page, user = page_of(request), require(request, Right.OPERATE)
    own = [each for each in findings(page.configuration, page.store) if _is_shown(user, each)]
    groups = [(kind, [each for each in own if each.kind is kind]) for kind in WORDS]
    looked_at, senders_at = compared_at(page.configuration, page.store)
    return page.render(
        request,
        "coverage/coverage.html",
        compared_at=looked_at,
        senders_at=senders_at,
        count=len(own),
        groups=[(kind, rows[:_SHOWN]) for kind, rows in groups if rows],
        more={kind: max(0, len(rows) - _SHOWN) for kind, rows in groups},
        kind_words=WORDS,
        remedies=REMEDIES,
    )


def _is_shown(user: UserAccess, finding: CoverageFinding) -> bool:
    """Whether the user may know of it; of senders of confidential post, few may."""
    if finding.confidential and not user.may_with(Right.CONFIDENTIAL, finding.party, ()):
        return False
    return not finding.party or operates_all_of(user, finding.party)
