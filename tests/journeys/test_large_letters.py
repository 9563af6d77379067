"""Size does not matter: bytes pass through in pieces."""

from __future__ import annotations

import hashlib

from connectors.sandbox.letters import PretendAttachment, PretendLetter
from tests.journeys.conftest import Journey

GIGABYTE = 1 << 30
MOST = 150 << 20


def test_a_gigabyte_passes_through(journey: Journey) -> None:
    """One attachment of 1 GB goes through to a file drop, whole, with a peak memory under 150
    MB."""
    attachment = PretendAttachment(name="plantegninger.zip", size=GIGABYTE)
    journey.altinn.publish(PretendLetter(party=journey.scene.party, attachments=(attachment,)))
    polled, most = journey.measure("poll", "--json")
    assert polled.code == 0, polled.errors
    assert most < MOST
    (drop,) = journey.drops()
    with (drop / "001-plantegninger.zip").open("rb") as dropped:
        assert hashlib.file_digest(dropped, "md5").hexdigest() == attachment.md5()
