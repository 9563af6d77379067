"""Turn what Altinn 2 reports of a letter into an Envelope and its Parts. Pure.

Altinn 2 gives times without a zone, which are taken to be Norwegian, and the name of a service but
no edition. It gives neither the organisation number of the sender nor checksums. Fields:
Altinn/docs `api/soap/grensesnitt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from connectors.altinn3.envelope import body_type, media_type
from daemon.core.dpv import ALL_SERVICES, CONFIDENTIAL_POST, DPV_SERVICES
from daemon.core.errors import LetterGone
from daemon.core.model import Envelope, Letter, LetterRef, Part, PartState
from daemon.core.outside_values import identifier_from, time_if_set
from daemon.core.times import NORWAY

DPV_CODE = DPV_SERVICES[0].code.partition("/")[0]
CONFIDENTIAL_CODE = CONFIDENTIAL_POST.code.partition("/")[0]
_LANGUAGES = {"English": "en", "NorwegianNO": "nb", "NorwegianNN": "nn", "Sami": "se"}
_Bytes = TypeVar("_Bytes")
_GONE = frozenset({"DeletedByUser", "DeletedByAltinn"})


@dataclass(frozen=True, kw_only=True)
class Element:
    """A letter as the list reports it."""

    external_id: str
    """The letter's number in the inbox, which it keeps in the archive; or its archive reference, if
    it has no number.
    """
    archive_id: int | None
    changed_at: datetime | None


def elements_from(rows: Iterable[Any], code: str) -> Iterator[Element]:
    """Yield the rows of a list that are letters of the service code.

    Forms and other things are in the same list.
    """
    for row in rows:
        if (
            row.ReporteeElementType != "Correspondence"
            or row.ExternalServiceCode != code
            or row.CorrespondenceStatus in _GONE
        ):
            continue
        active = row.ReporteeElementId or row.SEReporteeElementID
        if active or row.ArchiveId:
            external_id = str(active) if active else f"AR{row.ArchiveId}"
            archive_id = row.ArchiveId if not row.ReporteeElementId else None
            yield Element(
                external_id=external_id, archive_id=archive_id, changed_at=utc(row.LastChangedDate)
            )


def utc(time: datetime | None) -> datetime | None:
    """Return a time of Altinn 2's in UTC; one without a zone is Norwegian.

    None for the value that means "no time".
    """
    return time_if_set(time if time is None or time.tzinfo else time.replace(tzinfo=NORWAY))


def service_named(name: str, known: str) -> str:
    """Return the code and edition of the service that a letter names, in any of its languages.

    Returns `known` if the name is not one of these services'.
    """
    wanted = " ".join(name.casefold().split())
    for service in ALL_SERVICES:
        if any(wanted.endswith(each.casefold()) for each in service.names.values()):
            return service.code
    return known


def letter_from(told: Any, attachments: Any, links: Any, ref: LetterRef, now: datetime) -> Letter:
    """Return a letter of the inbox; one without a time is published `now`.

    Raises ValueError, which quotes nothing, if it is another letter.
    """
    if told is None or str(told.CorrespondenceID) != ref.external_id:
        raise ValueError("it is of another letter, or of none")
    more = {
        "language": _LANGUAGES.get(told.LanguageID, ""),
        "confirmation_needed": told.IsConfirmationNeeded is True,
        "service": service_named(told.CorrespondenceName or "", ref.service),
        "body": told.CorrespondenceTxt or "",
    }
    return _letter(told, attachments, links, ref, now, more)


def archived_letter_from(told: Any, ref: LetterRef, now: datetime) -> Letter:
    """Return a letter of the archive, which has fewer fields.

    The language is missing, and whether it had to be confirmed. Raises as `letter_from` does.
    """
    more = {
        "service": service_named(told.ServiceName or "", ref.service),
        "body": told.CorrespondenceText or "",
    }
    return _letter(told, told.CorrespondenceAttachments, told.CorrespondenceLinks, ref, now, more)


def is_gone(told: Any) -> bool:
    """Return whether the letter is in the bin."""
    return told is None or told.CorrespondenceStatus in _GONE


def is_confirmed(told: Any) -> bool:
    """Return whether nothing is left to confirm."""
    return told.ConfirmationDate is not None or not told.IsConfirmationNeeded


def rows_of(value: Any, name: str) -> list[Any]:
    """Return the rows of a list type. zeep returns None for an empty one."""
    rows = getattr(value, name, None) if value is not None else None
    return [each for each in rows or () if each is not None]


def inbox_number(ref: LetterRef) -> int:
    """Return the number by which the inbox knows the letter.

    Raises LetterGone for a reference that cannot be one of a letter there.
    """
    text = ref.external_id
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number < 1 << 31:
        raise LetterGone(f"letter {text} has no number in Altinn 2's inbox")
    return number


def parts_by_id(attachments: Any, parts: Sequence[_Bytes]) -> dict[str, _Bytes]:
    """Return those of `parts` that belong to the attachments, by the attachments' ids."""
    rows = enumerate(rows_of(attachments, "AttachmentBEV2"), start=1)
    return {
        part_id(row, place): parts[int(row.AttachmentData)]
        for place, row in rows
        if row.AttachmentData is not None
    }


def part_id(told: Any, place: int) -> str:
    """Return an attachment's id within its letter: its number, otherwise its position."""
    return str(told.AttachmentID) if told.AttachmentID else f"place {place}"


def _letter(
    told: Any, attachments: Any, links: Any, ref: LetterRef, now: datetime, more: dict[str, Any]
) -> Letter:
    sent = utc(told.DateSent)
    envelope = Envelope(
        mailbox=ref.mailbox,
        external_id=ref.external_id,
        party=ref.party,
        resource=ref.resource,
        title=told.CorrespondenceTitle or told.CorrespondenceSubject or "",
        summary=told.CorrespondenceSummary or "",
        body_type=body_type(more["body"]),
        sender_name=told.SentBy or "",
        sender_reference=told.ExternalSystemReference or "",
        requested_at=sent,
        published_at=sent or now,
        due_at=utc(told.DueDate),
        confidential=more["service"] == CONFIDENTIAL_POST.code,
        altinn2_id=identifier_from(int(ref.external_id)) if ref.external_id.isdigit() else None,
        reply_options=[_link(each) for each in rows_of(links, "CorrespondenceLink")],
        **more,
    )
    return Letter(
        envelope=envelope,
        parts=tuple(
            _part(each, place)
            for place, each in enumerate(rows_of(attachments, "AttachmentBEV2"), start=1)
        ),
    )


def _link(link: Any) -> dict[str, Any]:
    return {"linkURL": link.LinkURL, "linkText": link.LinkText}


def _part(told: Any, place: int) -> Part:
    """Return an attachment; one that came without bytes is unavailable."""
    name = told.FileName or ""
    return Part(
        external_id=part_id(told, place),
        original_name=name,
        display_name=told.AttachmentName or "",
        media_type=media_type(_type(told.AttachmentTypeID or ""), name),
        encrypted=told.IsEncrypted is True,
        state=PartState.PRESENT if told.AttachmentData is not None else PartState.UNAVAILABLE,
    )


def _type(token: str) -> str:
    """Return the media type of a type name: `application_vnd_ms_excel` is application/vnd.ms-excel.

    Only the names with at most two words follow a rule.
    """
    known = {
        "application_vnd_ms_excel": "application/vnd.ms-excel",
        "application_vnd_ms_powerpoint": "application/vnd.ms-powerpoint",
    }
    family, _, kind = token.partition("_")
    if token.startswith("application_vnd_oasis_opendocument_"):
        return "application/vnd.oasis.opendocument." + token.rpartition("_")[2]
    return known.get(
        token,
        f"{family}/{kind}"
        if family in {"application", "text", "image"} and "_" not in kind and kind != "None"
        else "",
    )
