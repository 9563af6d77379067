"""The calls to Dialogporten. Only `open_dialog` leaves a trace there.

Source: Altinn/dialogporten, WebApi/Endpoints/V1/EndUser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode

from connectors.altinn3.platform import DIALOGPORTEN, Platform
from connectors.altinn3.system_user_settings import SystemUserSettings
from connectors.dialogporten.files import DialogFile, Transmission, files_in, transmissions_in
from connectors.dialogporten.wire import (
    Dialog,
    DialogPage,
    FoundParty,
    letter_in,
    most_parties_in,
    page_from,
    parties_in,
    party_urn,
)
from connectors.net.cpu_throttle import CpuThrottle
from connectors.net.http_response import HttpResponse, Parser, json_object
from daemon.core.errors import AccessRefused, MailboxError, MailboxUnavailable
from daemon.core.parties import NamedParty

BASE = "/dialogporten/api/v1"
USUAL_LIMIT = 100
"""How many parties a search may name, if the limits in force cannot be read."""
_PAGE = 1000
_PAGES_AT_MOST = 200
_ORDER = "contentUpdatedAt_asc,id_asc"
_OK, _BAD, _FORBIDDEN, _NOT_FOUND, _GONE, _TOO_WIDE = 200, 400, 403, 404, 410, 422


class SearchTooWide(MailboxUnavailable):
    """The search names more than Dialogporten can take now; a narrower one may do."""


@dataclass(frozen=True, kw_only=True)
class DialogsFound:
    """What a search found, page by page."""

    dialogs: tuple[Dialog, ...]
    asked_at: datetime
    """When it began, by Dialogporten's clock."""
    shortfall: str = ""
    """Why there may be more; empty if it is complete."""


class DialogClient:
    """The calls. All methods may be called from several threads.

    They raise MailboxUnavailable, or AccessRefused where a scope or a system user is missing. `as_`
    is the organisation whose system user asks.
    """

    def __init__(self, platform: Platform, clock: Callable[[], datetime]) -> None:
        self._platform, self._clock = platform, clock

    def changed(self, as_: str, parties: Sequence[str], since: datetime | None) -> DialogsFound:
        """Find the dialogs of these parties whose content has changed at `since` or later.

        What is deleted, expired or not visible yet is not found, nor is what the system user may
        not read: that is silence. Raises SearchTooWide too.
        """
        query = [("party", party_urn(each)) for each in parties]
        query += [("orderBy", _ORDER), ("limit", str(_PAGE))]
        if since:
            query.append(("contentUpdatedAfter", since.isoformat()))
        asked_at: datetime | None = None
        found: dict[str, Dialog] = {}
        odd, token, throttle = 0, "", CpuThrottle()
        for _ in range(_PAGES_AT_MOST):
            throttle.step()
            page, at = self._page(as_, query + [("continuationToken", token)] * bool(token))
            asked_at = asked_at or at
            new = [each for each in page.dialogs if each.id not in found]
            found.update((each.id, each) for each in page.dialogs)
            odd += page.odd
            if not page.more:
                shortfall = f"{odd} dialogs could not be read" if odd else ""
                return DialogsFound(
                    dialogs=tuple(found.values()), asked_at=asked_at, shortfall=shortfall
                )
            if not new or page.token in {"", token}:
                break
            token = page.token
        return DialogsFound(
            dialogs=tuple(found.values()),
            asked_at=asked_at or self._clock(),
            shortfall="Dialogporten promises more dialogs and does not show them",
        )

    def most_parties(self) -> int:
        """Return how many parties a search may name now."""
        answer = self._platform.look_up(f"{BASE}/metadata/limits", most_parties_in)
        return int(answer.value) if answer.status == _OK else USUAL_LIMIT

    def letter_of(self, as_: str, dialog_id: str) -> str:
        """Return the id of the letter of Correspondence that a dialog mirrors.

        Empty if it mirrors none, or is not there any more.
        """
        query = urlencode({"instanceRef": f"urn:altinn:dialog-id:{dialog_id}"})
        answer = self._get(as_, f"/enduser/dialoglookup?{query}", letter_in)
        if answer.status in {_NOT_FOUND, _GONE}:
            return ""
        if answer.status != _OK:
            raise refusal(answer, f"the dialog {dialog_id}")
        return str(answer.value)

    def exists(self, as_: str, dialog_id: str) -> bool:
        """Return whether the dialog is still there, readable or not.

        Only Dialogporten's own word counts: a gateway also answers 404.
        """
        query = urlencode({"instanceRef": f"urn:altinn:dialog-id:{dialog_id}"})
        answer = self._get(as_, f"/enduser/dialoglookup?{query}", letter_in)
        return answer.status not in {_NOT_FOUND, _GONE} or not _is_own(answer)

    def transmissions(self, as_: str, dialog_id: str) -> tuple[Transmission, ...]:
        """Return the dialog's transmissions.

        Leaves no trace, and says nothing of those that are withheld.
        """
        answer = self._get(as_, f"{dialog_path(dialog_id)}/transmissions", transmissions_in)
        if answer.status != _OK:
            raise refusal(answer, f"the letters of dialog {dialog_id}")
        return tuple(answer.value)

    def open_dialog(self, as_: str, dialog_id: str) -> tuple[DialogFile, ...]:
        """Return the dialog's own attachments; none if it is not there any more.

        **It leaves a mark that cannot be taken back**: the agency and every colleague see that the
        system user has seen the dialog. Only for owners whose rule allows it.
        """
        answer = self._get(as_, dialog_path(dialog_id), files_in)
        if answer.status in {_NOT_FOUND, _GONE}:
            return ()
        if answer.status != _OK:
            raise refusal(answer, f"the dialog {dialog_id}")
        return tuple(answer.value)

    def parties(self, as_: str) -> tuple[FoundParty, ...]:
        """Return the organisations that the system user may act for; one call, without pages."""
        answer = self._get(as_, "/enduser/parties", parties_in)
        if answer.status != _OK:
            raise refusal(answer, "the list of parties")
        return tuple(answer.value)

    def _page(self, as_: str, query: Sequence[tuple[str, str]]) -> tuple[DialogPage, datetime]:
        answer = self._get(as_, f"/enduser/dialogs?{urlencode(query)}", page_from)
        if answer.status in {_TOO_WIDE, _BAD}:
            raise SearchTooWide(f"Dialogporten did not take the search ({answer.status})")
        if answer.status != _OK:
            raise refusal(answer, "the search")
        return answer.value, answer.date or self._clock()

    def _get(self, as_: str, path: str, parse: Parser) -> HttpResponse:
        return self._platform.get(as_, BASE + path, parse, DIALOGPORTEN)

    def wanted_parties(self, settings: SystemUserSettings) -> tuple[NamedParty, ...]:
        """Return the organisations to read for `parties = "all"`, corrected by the operator."""
        assert settings.system_user
        found = {
            each.number: NamedParty(each.number, each.name)
            for each in self.parties(settings.system_user)
            if not each.is_deleted
        }
        missing = [each for each in settings.include if each not in found]
        kept = [each for key, each in found.items() if key not in settings.exclude]
        return (*kept, *(NamedParty(each, "") for each in missing))


def _is_own(answer: HttpResponse) -> bool:
    try:
        return "errors" in json_object(answer.body)
    except ValueError:
        return False


def dialog_path(dialog_id: str) -> str:
    """Return the path of a dialog, below `BASE`."""
    return f"/enduser/dialogs/{quote(dialog_id, safe='')}"


def refusal(answer: HttpResponse, what: str) -> MailboxError:
    """Return what a refused call means."""
    if answer.status == _FORBIDDEN and not answer.body.strip():
        return AccessRefused(
            f"Dialogporten refuses {what} because the token lacks a scope; add "
            "digdir:dialogporten to the Maskinporten client"
        )
    if answer.status == _FORBIDDEN:
        return AccessRefused(f"Dialogporten refuses {what}: no right to it (403)")
    return MailboxUnavailable(f"Dialogporten did not return {what} ({answer.status})")
