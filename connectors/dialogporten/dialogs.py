"""A party's dialogs as letters, with what was asked lately: one search, and few other calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from connectors.dialogporten.client import DialogClient
from connectors.dialogporten.files import Transmission
from connectors.dialogporten.letters import DialogLetter, letters_in, split_id
from connectors.dialogporten.wire import Dialog
from daemon.core.errors import AccessRefused, LetterGone, MailboxError, MailboxUnavailable
from daemon.core.model import LetterRef

_KEPT = 20_000


class Dialogs:
    """Searches, and remembers transmissions until something changes. From any thread."""

    def __init__(
        self,
        client: DialogClient,
        holder_of: Callable[[str], str],
        wanted: Callable[[Dialog], bool],
    ) -> None:
        self._client, self._holder_of, self._wanted = client, holder_of, wanted
        self._lock = threading.Lock()
        self._dialogs: dict[str, Dialog] = {}
        self._transmissions: dict[str, tuple[Dialog, tuple[Transmission, ...]]] = {}

    def letters(self, party: str, since: datetime | None) -> tuple[list[DialogLetter], str]:
        """Return the letters of dialogs that have changed after `since`, and why there may be more.

        Raises MailboxUnavailable or AccessRefused.
        """
        found = self._client.changed(self._holder_of(party), [party], since)
        letters: list[DialogLetter] = []
        troubles: list[MailboxError] = []
        for dialog in found.dialogs:
            is_later = since is None or dialog.content_updated_at > since
            if is_later and dialog.party == party and self._wanted(dialog):
                self._keep(dialog)
                try:
                    transmissions = self._of(dialog)
                except (MailboxUnavailable, AccessRefused) as error:
                    troubles.append(error)
                    transmissions = ()
                letters += letters_in(dialog, transmissions)
        return letters, "; ".join(filter(None, (found.shortfall, _summary(troubles))))

    def letter(self, ref: LetterRef, *, again: bool = False) -> DialogLetter:
        """Return one letter; its transmission is asked for `again` if its addresses must be fresh.

        Raises LetterGone if its dialog is deleted, which may take until the next attempt, and
        otherwise as `letters` does.
        """
        dialog_id, transmission_id = split_id(ref.external_id)
        dialog = self._dialogs.get(dialog_id) or self._search(ref, dialog_id)
        if not transmission_id:
            return DialogLetter(dialog, None)
        for each in self._of(dialog, again=again):
            if each.id == transmission_id:
                return DialogLetter(dialog, each)
        raise MailboxUnavailable(
            f"letter {ref.external_id} is not shown in its dialog now; it is tried again at the "
            "next poll"
        )

    def withheld(self, dialog: Dialog) -> int:
        """Return how many letters of the dialog its owner keeps from the system user."""
        shown = sum(not each.from_party for each in self._of(dialog))
        return max(0, dialog.from_owner - shown)

    def _search(self, ref: LetterRef, dialog_id: str) -> Dialog:
        """Find a dialog that is not remembered, among all of the party's.

        To GET the dialog would leave a mark.
        """
        found = self._client.changed(self._holder_of(ref.party), [ref.party], None)
        for each in found.dialogs:
            if self._wanted(each):
                self._keep(each)
        if dialog_id in self._dialogs:
            return self._dialogs[dialog_id]
        if not found.shortfall and not self._client.exists(self._holder_of(ref.party), dialog_id):
            raise LetterGone(f"dialog {dialog_id} is no longer in Dialogporten")
        raise MailboxUnavailable(
            f"dialog {dialog_id} is not shown now: it has expired, is not visible, or the system "
            f"user of {ref.party} may no longer read it; it is tried again at the next poll"
        )

    def _of(self, dialog: Dialog, *, again: bool = False) -> tuple[Transmission, ...]:
        if not dialog.from_owner:
            return ()
        with self._lock:
            known = self._transmissions.get(dialog.id)
        if known and not again and _is_same(known[0], dialog):
            return known[1]
        try:
            found = self._client.transmissions(self._holder_of(dialog.party), dialog.id)
        except MailboxError:
            self._forget(dialog.id)  # it may be deleted: the next attempt searches for it
            raise
        with self._lock:
            self._transmissions[dialog.id] = dialog, found
        return found

    def _keep(self, dialog: Dialog) -> None:
        with self._lock:
            self._dialogs.pop(dialog.id, None)
            self._dialogs[dialog.id] = dialog
            while len(self._dialogs) > _KEPT:
                self._drop(next(iter(self._dialogs)))

    def _forget(self, dialog_id: str) -> None:
        with self._lock:
            self._drop(dialog_id)

    def _drop(self, dialog_id: str) -> None:
        self._dialogs.pop(dialog_id, None)
        self._transmissions.pop(dialog_id, None)


def _summary(troubles: Sequence[MailboxError]) -> str:
    if not troubles:
        return ""
    return f"the letters of {len(troubles)} dialogs could not be listed: {troubles[0]}"


def _is_same(known: Dialog, dialog: Dialog) -> bool:
    """Return whether nothing was added: a silent update moves no time."""
    return (known.content_updated_at, known.from_owner) == (
        dialog.content_updated_at,
        dialog.from_owner,
    )
