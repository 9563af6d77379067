"""A mailbox at the simulated Altinn 2, for the tests of the Altinn 2 mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.mailboxes import altinn2
from connectors.sandbox.altinn2.server import PretendAltinn2
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.setup import altinn2_section
from daemon.core.model import LetterRef, Part

PARTY = "991825827"
NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


@dataclass
class Box:
    """A mailbox, and the simulated Altinn 2 at its other side."""

    altinn: PretendAltinn2
    base: Path
    opened: list[altinn2.Altinn2] = field(default_factory=list)

    def settings(self, **more: Any) -> altinn2.Settings:
        told = {**altinn2_section(self.base, self.altinn, PARTY), **more}
        return altinn2.Settings.model_validate(told, context={"base": self.base})

    def mailbox(self, **more: Any) -> altinn2.Altinn2:
        self.opened.append(altinn2.connect("box", self.settings(**more)))
        return self.opened[-1]

    def put(self, **fields: Any) -> int:
        told: dict[str, Any] = {"party": PARTY, "requested_at": NOON, **fields}
        return self.altinn.publish(PretendLetter(**told))


@pytest.fixture(name="box")
def new_box(tmp_path: Path) -> Iterator[Box]:
    with PretendAltinn2() as altinn:
        box = Box(altinn, tmp_path)
        yield box
        for each in box.opened:
            each.close()


def refs(mailbox: altinn2.Altinn2) -> list[LetterRef]:
    return list(mailbox.list(mailbox.channels()[0], None).refs)


def read(mailbox: altinn2.Altinn2, ref: LetterRef, part: Part) -> bytes:
    with mailbox.open_part(ref, part) as chunks:
        return b"".join(chunks)
