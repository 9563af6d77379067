"""A mailbox at the simulated Altinn 3, for the tests of the Altinn 3 mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.altinn3.settings import Settings
from connectors.mailboxes.altinn3 import Altinn3
from connectors.net.http_client import HttpClient
from connectors.net.timeouts import Timeouts
from connectors.sandbox.altinn3.access import ReadyClient
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendAttachment, PretendLetter
from daemon.core.model import LetterRef, Part
from daemon.core.ports import Channel

PARTY, OTHER = "991825827", "974761076"
ADMINISTRATION, TAX, CONFIDENTIAL = (
    "eformidling-dpv-administrasjon",
    "skatt",
    "eformidling-dpv-taushetsbelagt",
)
QUICK = Timeouts(connect=2, step=2, whole=5, window=0.3, retry_delays=(0.001, 0.001))


@dataclass
class Post:
    """A mailbox and the Altinn behind it."""

    altinn: FakeAltinn
    client: ReadyClient
    settings: Settings
    mailbox: Altinn3
    waking: str = "list"
    """How `publish` finds the letter: in a list, or by the bell."""

    def channel(self, resource: str = ADMINISTRATION, party: str = PARTY) -> Channel:
        return next(
            each
            for each in self.mailbox.channels()
            if (each.resource, each.party) == (resource, party)
        )

    def refs(self, resource: str = ADMINISTRATION, party: str = PARTY) -> dict[str, LetterRef]:
        listing = self.mailbox.list(self.channel(resource, party), None)
        assert not listing.shortfall
        return {ref.external_id: ref for ref in listing.refs}

    def publish(self, *attachments: PretendAttachment, **letter: Any) -> LetterRef:
        new = self.altinn.publish(
            PretendLetter(**{"party": PARTY, "attachments": attachments, **letter})
        )
        place = letter.get("resource", ADMINISTRATION), letter.get("party", PARTY)
        return (self.rung if self.waking == "bell" else self.refs)(*place)[new]

    def rung(self, resource: str, party: str) -> dict[str, LetterRef]:
        since = self.altinn.clock.now() - timedelta(minutes=10)
        answers = list(self.mailbox.ring({party: since}))
        assert not any(each.problem for each in answers)
        rings = [ring for each in answers for ring in each.rings if ring.resource == resource]
        return {ref.external_id: ref for each in rings if (ref := self.mailbox.letter_of(each))}

    def read(self, ref: LetterRef, part: Part) -> bytes:
        with self.mailbox.open_part(ref, part) as chunks:
            return b"".join(chunks)


@pytest.fixture(name="post", autouse=True)
def new_post(tmp_path: Path, waking: str) -> Iterator[Post]:
    with FakeAltinn() as altinn:
        altinn.letters.confirm_delay = timedelta(seconds=0.1)
        client = altinn.ready_client()
        for party in (PARTY, OTHER):
            altinn.allow(client.client_id, party, [ADMINISTRATION, TAX, CONFIDENTIAL])
        settings = read_settings(tmp_path, altinn, client)
        mailbox = Altinn3("altinn", settings, HttpClient(longest_pause=300, timeouts=QUICK))
        yield Post(altinn, client, settings, mailbox, waking)
        mailbox.close()
        assert altinn.count("purge", "content") == 0


def read_settings(folder: Path, altinn: FakeAltinn, client: ReadyClient, **other: Any) -> Settings:
    (folder / "key.pem").write_text(client.private_key)
    told = {
        "maskinporten_url": altinn.maskinporten_url,
        "platform_url": altinn.platform_url,
        "client_id": client.client_id,
        "key_file": "key.pem",
        "key_id": client.key_id,
        "parties": [PARTY, OTHER],
        "resources": {"4255/10": [ADMINISTRATION], "4255/8": [TAX], "5504/1": [CONFIDENTIAL]},
    }
    return Settings.model_validate(told | other, context={"base": folder})
