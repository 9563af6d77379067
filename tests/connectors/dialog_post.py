"""A mailbox at the simulated Dialogporten, and an agency that keeps its files itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.mailboxes.dialogporten import DialogMailbox, Settings
from connectors.net.http_client import HttpClient
from connectors.sandbox.altinn3.access import RECIPIENT_SCOPES, ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.dialogs import (
    DialogFile,
    PretendAddress,
    PretendDialog,
    PretendTransmission,
)
from connectors.sandbox.owner import OwnedFile, PretendOwner
from connectors.sandbox.owner_doors import Door
from daemon.core.model import Letter, LetterRef, Part
from tests.connectors.altinn3_post import OTHER, PARTY, QUICK

SCOPE = "nav:eksempel/dokumenter"
NAV = "nav_eksempel_dialog"


@dataclass
class DialogPost:
    """A mailbox, the Dialogporten behind it, and an owner of files."""

    altinn: FakeAltinn
    owner: PretendOwner
    client: ReadyClient
    folder: Path
    mailbox: DialogMailbox

    def open(self, **options: Any) -> DialogMailbox:
        """Open the mailbox with other options; what it remembers is gone."""
        self.mailbox.close()
        self.mailbox = new_mailbox(self.folder, self.altinn, self.owner, self.client, **options)
        return self.mailbox

    def file(self, path: str = "/1.pdf", **file: Any) -> DialogFile:
        """Put a file at the owner, and return it as an attachment."""
        url = self.owner.add(path, OwnedFile(**file))
        return DialogFile(addresses=(PretendAddress(url=url),), display_name=f"brev {path}")

    def add(self, *transmissions: PretendTransmission, **dialog: Any) -> str:
        """Add a dialog, and return its id."""
        told = {"party": PARTY, "resource": NAV, "transmissions": transmissions, **dialog}
        return self.altinn.dialogs.add(PretendDialog(**told))

    def refs(self, since: datetime | None = None) -> dict[str, LetterRef]:
        """Return what the mailbox lists for the party."""
        listing = self.mailbox.list(self.mailbox.channels()[0], since)
        assert not listing.shortfall
        return {each.external_id: each for each in listing.refs}

    def letters(self) -> list[Letter]:
        """Return every letter of the party, as fetched."""
        return [self.mailbox.fetch(each) for each in self.refs().values()]

    def read(self, ref: LetterRef, part: Part) -> bytes:
        """Return the bytes of an attachment."""
        with self.mailbox.open_part(ref, part) as chunks:
            return b"".join(chunks)


def new_mailbox(
    folder: Path, altinn: FakeAltinn, owner: PretendOwner, client: ReadyClient, **options: Any
) -> DialogMailbox:
    (folder / "key.pem").write_text(client.private_key)
    told = {
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": [PARTY, OTHER],
        "owners": {"nav": {"hosts": [owner.url], "scope": SCOPE}},
    }
    settings = Settings.model_validate(told | options, context={"base": folder})
    http = HttpClient(longest_pause=0.01, timeouts=QUICK)
    return DialogMailbox("dialoger", settings, http, altinn.clock.now)


def new_owner(altinn: FakeAltinn, door: Door = "nav") -> PretendOwner:
    return PretendOwner(altinn.tokens, altinn.access, altinn.clock, scope=SCOPE, door=door)


@pytest.fixture(name="post")
def new_post(tmp_path: Path) -> Iterator[DialogPost]:
    with FakeAltinn() as altinn, new_owner(altinn) as owner:
        client = altinn.ready_client(scopes=(*RECIPIENT_SCOPES, SCOPE))
        for party in (PARTY, OTHER):
            altinn.allow(client.client_id, party, [NAV, "eformidling-dpv-administrasjon", "app_x"])
        mailbox = new_mailbox(tmp_path, altinn, owner, client)
        made = DialogPost(altinn, owner, client, tmp_path, mailbox)
        yield made
        made.mailbox.close()


__all__ = ["NAV", "OTHER", "PARTY", "SCOPE", "DialogPost", "new_owner", "new_post"]
