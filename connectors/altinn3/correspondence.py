"""Altinn's Correspondence API as a recipient uses it: each call, and what its refusals mean.

Only what reading needs is here: nothing purges, nothing fetches `/content`, which would mark a
letter as read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from connectors.altinn3.listing import Window
from connectors.altinn3.platform import Platform
from connectors.altinn3.platform_batch import PlatformBatch
from connectors.altinn3.problem_details import (
    ATTACHMENT_CODES,
    PART_STATES,
    Code,
    ProblemDetails,
    channel_error,
    letter_error,
    problem_of,
)
from connectors.net.http_response import HttpResponse, has_end, json_object
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable, PartUnavailable
from daemon.core.model import LetterRef, Part, PartState

_PATH = "/correspondence/api/v1/correspondence"
_OK = 200
_TOO_EARLY = frozenset({Code.READ_BEFORE_FETCHED, Code.CONFIRMED_BEFORE_FETCHED})
_DONE_ALREADY = frozenset({Code.READ_ALREADY, Code.CONFIRMED_ALREADY})


class Correspondence:
    """The calls.

    All methods may be called from several threads, and raise MailboxUnavailable or AccessRefused.
    """

    def __init__(self, platform: Platform, *, on_behalf: bool = False) -> None:
        """Name the party in lists if the calls are made `on_behalf`, with another's token."""
        self._platform, self._on_behalf = platform, on_behalf

    def ids(
        self, party: str, resource: str, window: Window, status: str | None = None
    ) -> list[str]:
        """List the ids in `window`, newest first, at most 1000.

        With `status`, only letters that have ever had it.
        """
        query = {"resourceId": resource, "role": "Recipient"}
        if self._on_behalf:
            query["onBehalfOf"] = f"urn:altinn:organization:identifier-no:{party}"
        if window.after:
            query["from"] = window.after.isoformat()
        if window.before:
            query["to"] = window.before.isoformat()
        if status:
            query["status"] = status
        answer = self._platform.get(party, f"{_PATH}?{urlencode(query)}", _ids)
        if answer.status != _OK:
            raise channel_error(problem_of(answer), party, resource)
        return list(answer.value)

    def overview(self, ref: LetterRef) -> dict[str, Any]:
        """Fetch the letter without the attachments' bytes.

        Altinn marks it as Fetched. Raises LetterGone too.
        """
        return self._letter(ref, "")

    def has_been(self, ref: LetterRef, status: str) -> bool:
        """Return whether the letter has ever had a status.

        Altinn marks it as Fetched again. Raises LetterGone too.
        """
        history = self._letter(ref, "/details").get("statusHistory")
        return any(
            isinstance(each, dict) and each.get("status") == status for each in history or ()
        )

    def tell(self, ref: LetterRef, verb: str) -> None:
        """Post `markasread` or `confirm`.

        Fetches the letter first if Altinn requires that; succeeds if it is already done. Raises
        LetterGone too.
        """
        problem = self._post(ref, verb)
        if problem and problem.code in _TOO_EARLY:
            self.overview(ref)
            problem = self._post(ref, verb)
        if problem and problem.code not in _DONE_ALREADY:
            raise letter_error(problem, ref)

    @contextmanager
    def stream(self, ref: LetterRef, part: Part) -> Iterator[Iterator[bytes]]:
        """Open the attachment's bytes from the start.

        Raises PartUnavailable too; MailboxUnavailable also while they are read.
        """
        reply = self._platform.download(ref.party, part_path(ref, part))
        if isinstance(reply, HttpResponse):
            raise self.part_error(reply, ref, part)
        with closing(reply):
            require_a_file(reply.headers, part)
            yield reply.chunks

    def batch(self, at_once: int) -> AbstractContextManager[PlatformBatch]:
        """Make many calls at once in this thread; see PlatformBatch."""
        return self._platform.batch(at_once)

    def _letter(self, ref: LetterRef, what: str) -> dict[str, Any]:
        answer = self._platform.get(ref.party, letter_path(ref) + what, json_object)
        return overview_in(answer, ref)

    def _post(self, ref: LetterRef, verb: str) -> ProblemDetails | None:
        answer = self._platform.post(ref.party, f"{letter_path(ref)}/{verb}")
        return None if answer.status == _OK else problem_of(answer)

    def part_error(self, answer: HttpResponse, ref: LetterRef, part: Part) -> MailboxError:
        """Return why an attachment is refused: for good, with the letter, or only now."""
        problem = problem_of(answer)
        about = f"attachment {part.external_id} of letter {ref.external_id}"
        if problem.code in PART_STATES:
            return PartUnavailable(
                f"{about} is no longer in Altinn ({problem})", state=PART_STATES[Code(problem.code)]
            )
        if problem.code == Code.NO_ACCESS and not self._is_refused(ref):
            words = (
                f"{about} belongs to another resource, which the system user of {ref.party} may "
                "not read"
            )
            return PartUnavailable(words, state=PartState.UNAVAILABLE)
        if problem.code in ATTACHMENT_CODES:
            return PartUnavailable(
                f"Altinn does not have {about} ({problem})", state=PartState.UNAVAILABLE
            )
        return letter_error(problem, ref)

    def _is_refused(self, ref: LetterRef) -> bool:
        """Return whether the letter itself may no longer be read."""
        try:
            self.overview(ref)
        except AccessRefused:
            return True
        return False


def overview_in(answer: HttpResponse, ref: LetterRef) -> dict[str, Any]:
    """Return the letter that was asked for. Raises LetterGone and what else a refusal means."""
    if answer.status != _OK:
        raise letter_error(problem_of(answer), ref)
    return dict(answer.value)


def letter_path(ref: LetterRef) -> str:
    """Return the address of the letter on the platform."""
    return f"{_PATH}/{quote(ref.external_id, safe='')}"


def part_path(ref: LetterRef, part: Part) -> str:
    """Return the address of the attachment's bytes on the platform."""
    return f"{letter_path(ref)}/attachment/{quote(part.external_id, safe='')}/download"


def _ids(body: bytes) -> list[str]:
    ids = json_object(body).get("ids")
    if not isinstance(ids, list) or not all(isinstance(each, str) and each for each in ids):
        raise ValueError("no list of ids")
    return ids


def require_a_file(headers: Mapping[str, str], part: Part) -> None:
    """Refuse what cannot be the whole file.

    Altinn names the file in each download (`FileDownloadResponseHelper.cs`); a gateway's page does
    not.
    """
    if "content-disposition" not in headers and headers.get("content-type", "").startswith(
        "text/html"
    ):
        raise MailboxUnavailable(
            f"a web page came instead of attachment {part.external_id}; it is tried again at "
            "the next poll"
        )
    if not has_end(headers) and not part.sender_checksum:
        raise MailboxUnavailable(
            f"attachment {part.external_id} came without length or checksum, so it may be "
            "incomplete; it is tried again at the next poll"
        )
