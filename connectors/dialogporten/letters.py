"""Letters that live in dialogs: the dialog itself, and each transmission that is not the party's.

Pure. A letter's id is the dialog's, or the dialog's and the transmission's with a slash between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from connectors.dialogporten.files import HAS_EXPIRED, DialogFile, Transmission
from connectors.dialogporten.owners import OwnerRule
from connectors.dialogporten.wire import Dialog
from daemon.core.missing_files import Lack, Opening
from daemon.core.model import Envelope, Letter, LetterRef, Part, PartState
from daemon.core.outside_values import storable

CHANNEL = "dialogporten"
"""The resource under which letters of dialogs are listed; each letter's service is its own."""
SERVICE = "dialog"
"""The service of a letter that is not fetched yet."""
NOT_OPENED = (
    "only by opening the dialog, which leaves a mark that cannot be taken back: see `seen` of the "
    "owner"
)
_OPENED_LATER = "the dialog is opened for them once its letter is stored, which leaves a mark"


class DialogLetter(NamedTuple):
    """A letter: a dialog, and the transmission if it is one."""

    dialog: Dialog
    transmission: Transmission | None

    @property
    def id(self) -> str:
        """Return the letter's id in the mailbox."""
        return letter_id(self.dialog.id, self.transmission.id if self.transmission else None)


def letter_id(dialog_id: str, transmission_id: str | None) -> str:
    """Return the id of a letter in the mailbox."""
    return f"{dialog_id}/{transmission_id}" if transmission_id else dialog_id


def split_id(external_id: str) -> tuple[str, str]:
    """Return the ids of the dialog and of the transmission, which is empty without one."""
    dialog_id, _, transmission_id = external_id.partition("/")
    return dialog_id, transmission_id


def letters_in(dialog: Dialog, transmissions: Sequence[Transmission]) -> list[DialogLetter]:
    """Return the letters of a dialog.

    What the party itself has sent is none, and a letter of Correspondence is read there.
    """
    sent = [each for each in transmissions if not (each.from_party or each.is_correspondence)]
    return [DialogLetter(dialog, None), *(DialogLetter(dialog, each) for each in sent)]


def letter_from(
    letter: DialogLetter,
    ref: LetterRef,
    rule: OwnerRule,
    files: Sequence[DialogFile],
    lacks: Mapping[str, Lack],
    withheld: int,
    opening: Opening | None = None,
) -> Letter:
    """Return the letter as it is stored.

    `files` are its attachments as far as they are known, and `lacks` say by id why one is
    unavailable. `withheld` is how many transmissions of the dialog are kept from the system user.
    """
    dialog, transmission = letter
    is_hidden = rule.title == "hide"
    named = [replace(each, name="") for each in files] if is_hidden else files
    parts = tuple(_part(each, number, lacks) for number, each in enumerate(named, start=1))
    hidden = 0 if transmission or files else dialog.gui_attachments
    title = (transmission.title if transmission else "") or dialog.title
    summary = transmission.summary if transmission else dialog.summary
    at = transmission.created_at if transmission else dialog.created_at
    shown = title or dialog.external_reference or dialog.resource
    properties = _properties(letter, title if is_hidden else "")
    if is_hidden and any(each.name for each in files):
        names = zip(parts, files, strict=True)
        properties["fileNames"] = {part.original_name: file.name for part, file in names}
    missing = _missing(parts, lacks, 0 if transmission else withheld)
    if hidden:
        missing[f"{hidden} attachments"] = _OPENED_LATER if opening else NOT_OPENED
    if missing:
        properties["notHad"] = missing
    sender = dialog.sender_name or rule.name or dialog.org
    fields: dict[str, Any] = {
        "mailbox": ref.mailbox,
        "external_id": ref.external_id,
        "party": ref.party,
        "service": dialog.resource or SERVICE,
        "resource": CHANNEL,
        "title": f"{sender}: {dialog.resource}" if is_hidden else shown,
        "summary": "" if is_hidden else summary,
        "body": "" if is_hidden else summary,
        "sender_org": rule.organisation,
        "sender_name": sender,
        "sender_reference": dialog.external_reference,
        "created_at": at,
        "requested_at": at,
        "published_at": at,
        "due_at": dialog.due_at,
        "properties": properties,
        "references": [{"referenceType": "DialogportenDialogId", "referenceValue": dialog.id}],
    }
    envelope = Envelope(**storable(fields))
    return Letter(envelope=envelope, parts=parts, lacks=lacks, opening=opening)


def _missing(parts: Sequence[Part], lacks: Mapping[str, Lack], withheld: int) -> dict[str, str]:
    """Return what is unavailable of the letter, and why."""
    missing = {
        each.original_name: lacks[each.external_id].reason
        for each in parts
        if each.external_id in lacks
    }
    if withheld:
        missing[f"{withheld} letters of the dialog"] = "the owner withholds them"
    return missing


def _properties(letter: DialogLetter, hidden_title: str) -> dict[str, Any]:
    dialog, transmission = letter
    found = {
        "dialogId": dialog.id,
        "dialogStatus": dialog.status,
        "owner": dialog.org,
        "serviceResource": dialog.resource,
        "transmissionId": transmission.id if transmission else "",
        "transmissionType": transmission.type if transmission else "",
        "dialogTitle": hidden_title,
    }
    return {name: value for name, value in found.items() if value}


def _part(file: DialogFile, number: int, lacks: Mapping[str, Lack]) -> Part:
    return Part(
        external_id=file.id,
        original_name=file.name or f"vedlegg-{number}",
        display_name=file.name,
        media_type=_media_type(file),
        state=state_for(lacks.get(file.id)),
        expires_at=file.expires_at,
    )


def state_for(lack: Lack | None) -> PartState:
    """Return the state of a file that is unavailable for this reason; PRESENT without one."""
    if lack is None:
        return PartState.PRESENT
    return PartState.EXPIRED if lack.reason == HAS_EXPIRED else PartState.UNAVAILABLE


def _media_type(file: DialogFile) -> str:
    named = (each.media_type for each in file.addresses if each.media_type)
    return next(named, "application/octet-stream")
