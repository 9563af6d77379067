"""Routes that are proposed because people moved letters alike: to accept, change or dismiss.

An accepted one is in the user's draft, and is published as every edit is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from daemon.core.errors import NotFound
from daemon.core.model import Message
from daemon.core.rights import Right, UserAccess
from daemon.intake.proposing import proposed
from daemon.page.context import Page, back_to, page_of, require
from daemon.page.views.routing.effects import seen_letter, tried_within
from daemon.page.views.routing.fields import fields_of, shown
from daemon.page.views.routing.shared import Form, address_of_row, keep, with_form
from daemon.routing.proposals import Proposal
from daemon.store import Moved

_NAMED = 5  # letters


@dataclass(frozen=True, kw_only=True)
class ShownProposal:
    """A proposal, and what people see of it."""

    proposal: Proposal
    says: Sequence[tuple[str, str]]
    """The labels and texts of the route's fields."""
    corrected: Sequence[Message]
    """Some of the letters that were moved."""
    others: Sequence[Message]
    """Some of those that it would have moved besides."""


def show(request: Request) -> Response:
    """Show what is proposed, with what each would have done."""
    user, page = require(request, Right.DRAFT), page_of(request)
    found = [_shown(page, user, each) for each in _proposed(page, user)]
    return page.render(
        request,
        "routing/proposals.html",
        found=found,
        may_dismiss=user.may(Right.PUBLISH),
    )


def _proposed(page: Page, user: UserAccess) -> list[Proposal]:
    workshop, now = page.workshop, page.clock()
    table = workshop.present(workshop.file_text())
    limits = tried_within(user)

    def may_know(moved: Moved) -> bool:
        return user.may_with(Right.DRAFT, moved.facts.party, moved.recipients)

    return proposed(
        page.store,
        table,
        now,
        lambda: workshop.letters.samples(
            workshop.letters.window(now), follow_threads=table.follows_threads, limits=limits
        ),
        may_know,
    )


def _shown(page: Page, user: UserAccess, proposal: Proposal) -> ShownProposal:
    fields = {each.key: each for each in fields_of("route")}
    return ShownProposal(
        proposal=proposal,
        says=[
            (fields[key].label, shown(fields[key], proposal.values))
            for key in proposal.values
            if key != "name"
        ],
        corrected=_letters(page, user, proposal.corrections),
        others=_letters(page, user, proposal.others),
    )


def _letters(page: Page, user: UserAccess, keys: Sequence[str]) -> list[Message]:
    seen = (seen_letter(page, user, UUID(key), Right.LIST) for key in keys)
    return list(islice((each for each in seen if each), _NAMED))


async def accept(request: Request) -> Response:
    """Put a proposal into the user's draft, and show it there, or to be changed."""
    return await with_form(request, _accept)


def _accept(request: Request, form: Form) -> Response:
    user, page = require(request, Right.DRAFT), page_of(request)
    proposal = _find(request, page, user)
    draft = page.workshop.draft(user.name)
    keys = draft.document.keys("route")
    name = str(proposal.values["name"])
    if name not in keys:
        before = proposal.before if proposal.before in keys else None
        keep(request, draft.added("route", proposal.values, before=before))
        page.note(request, "proposal-accepted", about=proposal.key)
    if form.get("do") == "change":
        return back_to(address_of_row("route", name) + "?notice=saved")
    return back_to("/routing?notice=accepted")


def _find(request: Request, page: Page, user: UserAccess) -> Proposal:
    key = request.path_params["key"]
    found = next((each for each in _proposed(page, user) if each.key == key), None)
    if found is None:
        raise NotFound(f"The proposal {key} is no longer made")
    return found


async def dismiss(request: Request) -> Response:
    """Never make a proposal again, to anybody."""
    return await with_form(request, _dismiss)


def _dismiss(request: Request, _form: Form) -> Response:
    require(request, Right.PUBLISH)
    user, page = require(request, Right.DRAFT), page_of(request)
    proposal = _find(request, page, user)
    page.store.moves.dismiss(proposal.key, user.name, page.clock())
    page.note(request, "proposal-dismissed", about=proposal.key)
    return back_to("/routing/proposals?notice=dismissed")
