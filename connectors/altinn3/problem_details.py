"""Altinn's problem codes, and what they mean for a recipient.

Codes: Altinn/altinn-correspondence `Errors.cs`; the form of the body: `ProblemDetailsHelper.cs`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from connectors.net.http_response import HttpResponse, json_object
from daemon.core.errors import AccessRefused, LetterGone, MailboxError, MailboxUnavailable
from daemon.core.model import LetterRef, PartState

_FORBIDDEN = 403


class Code(IntEnum):
    """The codes that make a difference to a recipient."""

    LETTER_NOT_FOUND = 1001
    READ_BEFORE_FETCHED = 1024
    CONFIRMED_BEFORE_FETCHED = 1025
    READ_ALREADY = 1040
    CONFIRMED_ALREADY = 1041
    ATTACHMENT_NOT_FOUND = 2001
    ATTACHMENT_PURGED = 2019
    ATTACHMENT_EXPIRED = 2020
    NO_ACCESS = 4001
    CALLER_UNKNOWN = 4006


ATTACHMENT_CODES = range(2000, 3000)
PART_STATES = {
    Code.ATTACHMENT_PURGED: PartState.PURGED,
    Code.ATTACHMENT_EXPIRED: PartState.EXPIRED,
    Code.LETTER_NOT_FOUND: PartState.PURGED,
}
"""What a refused download says about the attachment; with any other code it is unavailable."""


@dataclass(frozen=True, kw_only=True)
class ProblemDetails:
    """What an answer other than 200 says about itself.

    `code` is None where the answer is not from Correspondence.
    """

    status: int
    code: int | None
    empty: bool

    def __str__(self) -> str:
        return f"{self.status}, code {self.code}" if self.code else str(self.status)


def problem_of(answer: HttpResponse) -> ProblemDetails:
    """Read the problem from an answer."""
    try:
        code = _code(json_object(answer.body))
    except ValueError:
        code = None
    return ProblemDetails(status=answer.status, code=code, empty=not answer.body.strip())


def _code(body: dict[str, Any]) -> int | None:
    if isinstance(body.get("errorCode"), int):
        return int(body["errorCode"])
    found = re.fullmatch(r"CORR-0*([0-9]{1,9})", str(body.get("code")))
    return int(found[1]) if found else None


class ResourceRefused(AccessRefused):
    """The party's system user may not read the resource, or there is none."""


def channel_error(problem: ProblemDetails, party: str, resource: str) -> MailboxError:
    """Return why a list was refused."""
    if problem.code in {Code.NO_ACCESS, Code.CALLER_UNKNOWN}:
        return ResourceRefused(
            f"the system user of {party} may not read {resource}, or there is no such resource "
            f"(Altinn answered {problem}); have the party give the system user the access package "
            "or right for it, or correct `resources`"
        )
    return _general_error(problem, f"the list of {resource} for {party}")


def letter_error(problem: ProblemDetails, ref: LetterRef) -> MailboxError:
    """Return why a letter was refused."""
    if problem.code == Code.LETTER_NOT_FOUND:
        return LetterGone(
            f"letter {ref.external_id} is no longer in Altinn: it was purged or withdrawn"
        )
    if problem.code in {Code.NO_ACCESS, Code.CALLER_UNKNOWN}:
        return AccessRefused(
            f"the system user of {ref.party} may no longer read letter {ref.external_id} of "
            f"{ref.resource} (Altinn answered {problem}); have the party give the system user the "
            "access package or right for it"
        )
    return _general_error(problem, f"letter {ref.external_id}")


def _general_error(problem: ProblemDetails, what: str) -> MailboxError:
    if problem.status == _FORBIDDEN and problem.empty:
        return AccessRefused(
            f"Altinn refuses {what} because the token lacks a scope; add "
            "altinn:correspondence.read to the Maskinporten client"
        )
    return MailboxUnavailable(
        f"Altinn did not return {what} ({problem}); it is tried again at the next poll"
    )
