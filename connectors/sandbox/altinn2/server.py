"""The simulated Altinn 2: inbox, archive and confirmation over SOAP 1.1, in the Basic variant.

Its letters are those of the simulated Altinn 3. It is written from Altinn/docs `api/soap` and the
published interfaces, and is independent of the client: it parses requests with tables of its own,
and refuses anything that does not match exactly. What is not published is a guess here, and marked
as one: an unknown letter is answered with nothing, and a confirmation that is not asked for with a
fault.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from connectors.sandbox.altinn2.xml import (
    CREDENTIALS,
    BadRequest,
    Call,
    Fields,
    Raw,
    altinn_fault,
    answer,
    local,
    read_call,
)
from connectors.sandbox.altinn3.faults import Faults
from connectors.sandbox.clock import Clock
from connectors.sandbox.http_server import LoopbackServer, Request, Response
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from connectors.sandbox.loopback import Peer
from connectors.sandbox.samples import sandbox_resources
from daemon.core.dpv import CONFIDENTIAL_POST, find_service
from daemon.core.times import shifted

_NOTHING = 5
_LOGIN = 989
_NOT_ASKED_FOR = 40010
_TYPES = {
    "pdf": "application_pdf",
    "txt": "text_plain",
    "xml": "text_xml",
    "zip": "application_zip",
    "jpg": "image_jpeg",
}


@dataclass(kw_only=True)
class Correspondence:
    """A letter as the server keeps it."""

    number: int
    letter: PretendLetter
    sent_at: datetime
    changed_at: datetime
    read_at: datetime | None = None
    confirmed_at: datetime | None = None
    archive_id: int | None = None
    withdrawn: bool = False
    without_bytes: set[str] = field(default_factory=set)

    @property
    def service(self) -> str:
        """The code and edition, by the resource that carries the service in the sandbox."""
        codes = {resource: code for code, resource in sandbox_resources().items()}
        return codes.get(self.letter.resource, "4255/10")

    @property
    def service_name(self) -> str:
        """The name of the service as in the letter."""
        found = find_service(self.service)
        if found is None or found is CONFIDENTIAL_POST:
            return "Taushetsbelagt post fra det offentlige"
        return f"Post fra det offentlige innenfor {found.nb.lower()}"

    @property
    def due_at(self) -> datetime | None:
        """Counted, as in the simulated Altinn 3, from the time that the sender asked for."""
        due_after = self.letter.due_after
        return shifted(self.letter.requested_at or self.sent_at, due_after) if due_after else None

    @property
    def status(self) -> str:
        """The status in the list and the letter."""
        if self.withdrawn:
            return "DeletedByAltinn"
        if self.archive_id:
            return "Archived"
        return "Confirmed" if self.confirmed_at else "Read" if self.read_at else "Created"


class PretendAltinn2(Peer):
    """A context manager that serves on 127.0.0.1 from entry to exit.

    All methods may be called from any thread. Kinds for `faults` and `count` are list, letter,
    confirm, archived, attachment, and other. `list_limit` cuts lists without an indication.
    """

    def __init__(self, *, port: int = 0, seed: int = 1) -> None:
        self.clock = Clock()
        self.faults = Faults(seed)
        self.credentials = dict.fromkeys(CREDENTIALS, "") | {
            "systemUserName": "4255",
            "systemPassword": "sandbox-system",
            "userSSN": "01017012345",
            "userPassword": "sandbox-user",
            "userPinCode": "abcde",
            "authMethod": "AltinnPin",
        }
        self.list_limit = 5000
        self._server = LoopbackServer(self._answer, port=port, clock=self.clock)
        self.url = self._server.url
        """Without a slash at its end."""
        self._lock = threading.RLock()
        self._letters: dict[int, Correspondence] = {}
        self._numbers = itertools.count(5_100_001)
        self._counts: Counter[str] = Counter()

    # Letters

    def publish(self, letter: PretendLetter) -> int:
        """Add a letter.

        Returns its number; a migrated letter keeps the number that it had, if it has one.
        """
        now = self.clock.now()
        sent = letter.published_at or letter.requested_at or now
        with self._lock:
            number = letter.altinn2_id or next(self._numbers)
            self._letters[number] = Correspondence(
                number=number, letter=letter, sent_at=sent, changed_at=sent
            )
        return number

    def record(self, number: int) -> Correspondence:
        """Return a letter in its current state."""
        with self._lock:
            return replace(self._letters[number])

    def archive(self, number: int) -> int:
        """Move a letter to the archive, as a person does in the portal; return its number there."""
        with self._lock:
            letter = self._letters[number]
            letter.archive_id = number + 1_000_000
            letter.changed_at = self.clock.now()
            return letter.archive_id

    def withdraw(self, number: int) -> None:
        """Remove a letter."""
        with self._lock:
            self._letters[number].withdrawn = True

    def withdraw_bytes(self, number: int, name: str) -> None:
        """Leave out the bytes of an attachment from now on."""
        with self._lock:
            self._letters[number].without_bytes.add(name)

    def count(self, *kinds: str) -> int:
        """Return how many requests of these kinds there were; of all kinds, if none is named."""
        with self._lock:
            return sum(self._counts[kind] for kind in kinds or self._counts)

    # Answering

    def _answer(self, request: Request) -> Response:
        try:
            call = read_call(request)
        except BadRequest as bad:
            self._note("other")
            return bad.response
        fault = self.faults.next(call.kind)
        if fault and fault.instead:
            response = fault.instead()
        else:
            response = self._right_answer(call)
            response = fault.spoil(response) if fault and fault.spoil else response
        self._note(call.kind)
        return response

    def _note(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1

    def _right_answer(self, call: Call) -> Response:
        if any(call.texts[name] != wanted for name, wanted in self.credentials.items()):
            return altinn_fault(_LOGIN, "Feil passord eller PIN")
        kinds: dict[str, Callable[[Call], Response]] = {
            "list": self._list,
            "letter": self._letter,
            "confirm": self._confirm,
            "archived": self._archived,
            "attachment": self._attachment,
        }
        with self._lock:
            return kinds[call.kind](call)

    def _list(self, call: Call) -> Response:
        """Newest first, and cut without an indication."""
        wanted = [
            each
            for each in self._letters.values()
            if _is_searched(each, call) and not each.withdrawn
        ]
        wanted.sort(key=lambda each: each.changed_at, reverse=True)
        return answer(
            call, ("ReporteeElementBEV2", [_row(each) for each in wanted[: self.list_limit]])
        )

    def _letter(self, call: Call) -> Response:
        letter = self._letters.get(int(call.texts["correspondenceID"]))
        if letter is None or letter.withdrawn or letter.archive_id:
            return answer(call, None)
        if letter.read_at is None:
            letter.read_at = letter.changed_at = self.clock.now()
        return answer(call, _letter_fields(letter))

    def _confirm(self, call: Call) -> Response:
        letter = self._letters.get(int(call.texts["reporteeElementID"]))
        if letter is None or letter.withdrawn or letter.archive_id:
            return altinn_fault(_NOTHING, "Ugyldige parametere")
        if not letter.letter.confirmation_needed:
            return altinn_fault(_NOT_ASKED_FOR, "Meldingen krever ikke bekreftelse")
        letter.confirmed_at = letter.confirmed_at or self.clock.now()
        letter.changed_at = self.clock.now()
        return answer(call, ())

    def _archived(self, call: Call) -> Response:
        wanted = int(call.texts["archiveId"])
        found = next(
            (
                each
                for each in self._letters.values()
                if each.archive_id == wanted and not each.withdrawn
            ),
            None,
        )
        return answer(call, _archived_fields(found) if found else None)

    def _attachment(self, call: Call) -> Response:
        wanted = int(call.texts["attachmentId"])
        for letter in self._letters.values():
            for place, each in enumerate(letter.letter.attachments, start=1):
                if letter.archive_id and _attachment_number(letter, place) == wanted:
                    return answer(call, _attachment_fields(letter, place, each, inline=True))
        return answer(call, None)


def _is_searched(letter: Correspondence, call: Call) -> bool:
    after, before = call.times.get("FromDate"), call.times.get("ToDate")
    return (
        call.texts["Reportee"] == letter.letter.party
        and (not call.codes or letter.service.partition("/")[0] in call.codes)
        and (after is None or letter.changed_at > after)
        and (before is None or letter.changed_at < before)
    )


def _row(letter: Correspondence) -> Fields:
    status = (
        "NotOpenedConfirmationReq"
        if letter.letter.confirmation_needed
        else "NotOpenedNoConfirmationReq"
    )
    return _overridden(
        letter,
        ("ArchiveId", letter.archive_id),
        ("ArchiveReference", f"AR{letter.archive_id}" if letter.archive_id else None),
        ("CorrespondenceStatus", letter.status),
        ("ExternalServiceCode", letter.service.partition("/")[0]),
        ("LastChangedDate", local(letter.changed_at)),
        ("ReporteeElementId", 0 if letter.archive_id else letter.number),
        ("ReporteeElementType", "Correspondence"),
        ("ReporteeName", f"{letter.letter.party} EKSEMPEL AS"),
        ("SEReporteeElementID", letter.number if letter.archive_id else 0),
        ("ServiceEditionVersion", 164393),
        ("Status", "Archive" if letter.archive_id else status),
        ("Title", letter.letter.title),
    )


def _overridden(letter: Correspondence, *fields: tuple[str, Any]) -> Fields:
    """Return the fields with the letter's `overrides` applied."""
    return tuple((name, letter.letter.overrides.get(name, value)) for name, value in fields)


def _letter_fields(letter: Correspondence) -> Fields:
    content = letter.letter
    correspondence = _overridden(
        letter,
        ("ConfirmationDate", local(letter.confirmed_at)),
        ("CorrespondenceID", letter.number),
        ("CorrespondenceName", letter.service_name),
        ("CorrespondenceStatus", letter.status),
        ("CorrespondenceSummary", content.summary),
        ("CorrespondenceTitle", content.title),
        ("CorrespondenceTxt", content.body),
        ("DateSent", local(letter.sent_at)),
        ("DueDate", local(letter.due_at)),
        ("ExternalSystemReference", content.senders_reference),
        ("IsConfirmationNeeded", content.confirmation_needed),
        (
            "LanguageID",
            {"nb": "NorwegianNO", "nn": "NorwegianNN", "en": "English"}.get(
                content.language, "Default"
            ),
        ),
        ("SentBy", content.message_sender),
    )
    return (
        ("Correspondence", Raw("correspondence", correspondence)),
        ("CorrespondenceAttachments", _attachments(letter, inline=True)),
        ("CorrespondenceLinks", _links(letter)),
        ("CorrespondenceNotifications", Raw("list", ())),
    )


def _archived_fields(letter: Correspondence) -> Fields:
    """Return the fields of an archived letter.

    Attachments come without their bytes, which have an operation of their own. Whether Altinn 2 did
    the same is not published.
    """
    content = letter.letter
    return _overridden(
        letter,
        ("ArchiveCorrespondenceID", letter.archive_id),
        ("ConfirmationDate", local(letter.confirmed_at)),
        ("CorrespondenceSummary", content.summary),
        ("CorrespondenceText", content.body),
        ("CorrespondenceTitle", content.title),
        ("DateSent", local(letter.sent_at)),
        ("DueDate", local(letter.due_at)),
        ("ExternalSystemReference", content.senders_reference),
        ("SentBy", content.message_sender),
        ("ServiceName", letter.service_name),
        ("CorrespondenceAttachments", _attachments(letter, inline=False)),
        ("CorrespondenceLinks", _links(letter)),
    )


def _attachments(letter: Correspondence, *, inline: bool) -> Raw:
    rows = [
        (
            "AttachmentBEV2",
            Raw("attachment", _attachment_fields(letter, place, each, inline=inline)),
        )
        for place, each in enumerate(letter.letter.attachments, start=1)
    ]
    return Raw("attachment", tuple(rows))


def _attachment_fields(
    letter: Correspondence, place: int, attachment: PretendAttachment, *, inline: bool
) -> Fields:
    here = inline and attachment.name not in letter.without_bytes
    return (
        ("AttachmentData", attachment.chunks() if here else None),
        ("AttachmentFunctionTypeID", "Unspecified"),
        ("AttachmentID", _attachment_number(letter, place)),
        ("AttachmentName", attachment.display_name),
        (
            "AttachmentTypeID",
            _TYPES.get(attachment.name.rpartition(".")[2].lower(), "binary_octet_stream"),
        ),
        ("CreatedDateTime", local(letter.sent_at)),
        ("DestinationType", "ShowToAll"),
        ("FileName", attachment.name),
        ("IsEncrypted", attachment.encrypted),
        ("ReporteeElementID", letter.number),
    )


def _attachment_number(letter: Correspondence, place: int) -> int:
    return letter.number * 100 % 2_000_000_000 + place


def _links(letter: Correspondence) -> Raw:
    rows = [
        (
            "CorrespondenceLink",
            Raw("link", (("LinkText", text), ("LinkType", "ServiceURL"), ("LinkURL", link))),
        )
        for link, text in letter.letter.reply_options
    ]
    return Raw("link", tuple(rows))
