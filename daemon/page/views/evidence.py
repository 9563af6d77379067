"""The evidence of a letter, as a file: for those who may open it and who read the log of events.

It has a part of that log with addresses, so who administers with limits cannot have it. Of a
confidential letter it can be had for a while after the user has opened it, with the same reason.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import structlog
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from daemon.core.errors import ContentMissing, ContentUnavailable
from daemon.core.model import MessageValues
from daemon.core.rights import Right
from daemon.maintenance.evidence.words import Language
from daemon.page.context import address_of, page_of, user_of
from daemon.page.reasons import reasons_in
from daemon.page.secret_letters import is_secret
from daemon.page.views.letter import OpenedLetter, letter_of, may_export, reason_of_opening
from daemon.service import evidence
from daemon.store.journal.key import key_path

_log = structlog.get_logger(__name__)


def routes() -> list[Route]:
    """Return the addresses."""
    return [Route("/letters/{id}/evidence", export, methods=["POST"])]


def export(request: Request) -> Response:
    """Send the evidence as a file, which is removed when it is sent."""
    found = _letter_to_export(request)
    reason = reason_of_opening(request, found.message)
    if is_secret(found.message) and not reason:
        return page_of(request).render(
            request, "letter/reason.html", message=found.message, fault=False
        )
    folder = Path(mkdtemp(prefix="postmottak-evidence-"))
    try:
        path = _written(request, found.message, folder, reason)
    except ContentMissing as error:
        rmtree(folder, ignore_errors=True)
        if isinstance(error, ContentUnavailable):
            raise
        raise HTTPException(HTTPStatus.GONE, "missing") from error
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        path,
        media_type="application/zip",
        filename=path.name,
        background=BackgroundTask(partial(rmtree, folder, ignore_errors=True)),
    )


def _letter_to_export(request: Request) -> OpenedLetter:
    """Return the letter, if the user may export it; otherwise record the refusal."""
    found = letter_of(request)
    if not may_export(request):
        page_of(request).note(
            request,
            "refused",
            message_id=found.message.id,
            done=False,
            details={"right": Right.ADMINISTER.value},
        )
        raise HTTPException(HTTPStatus.FORBIDDEN, Right.ADMINISTER.value)
    return found


def _written(request: Request, message: MessageValues, folder: Path, reason: str) -> Path:
    page = page_of(request)
    path = folder / f"evidence-{message.id.hex[:8]}.zip"
    source = evidence.EvidenceSource(
        store=page.store,
        content=page.content,
        key=key_path(page.configuration.store.beside),
    )
    language: Language = "en" if request.state.language == "en" else "nb"
    by = evidence.Exporter(
        user=user_of(request).name,
        address=address_of(request),
        reason=reason,
        language=language,
        reason_of=reasons_in(language),
    )
    found = evidence.export(source, str(message.id), path, by, page.clock())
    if found.findings:
        _log.error(
            "an exported evidence is not in order: the database was changed by hand, or is "
            "damaged; run postmottak journal verify",
            message=str(message.id),
            findings=len(found.findings),
        )
    return path
