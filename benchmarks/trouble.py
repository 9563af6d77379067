"""Trouble that the pretend Altinn makes for one letter or one organisation, beside all others."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from connectors.sandbox.altinn3.correspondence import Caller, Correspondences, StorageFailure
from connectors.sandbox.altinn3.server import FakeAltinn
from connectors.sandbox.letters import PretendLetter
from connectors.sandbox.samples import sandbox_resources
from connectors.sandbox.setup import Scene

POISON, ENDLESS = "poison", "endless"
"""A letter whose every request fails; and a list that is always full, and of other letters."""
_PAGE = 1000  # ids of a full list


class _Troubled:
    """The pretend Altinn's letters, with trouble for some of them."""

    def __init__(
        self, letters: Correspondences, poison: Collection[str] = (), endless: str = ""
    ) -> None:
        self._letters, self._poison, self._endless = letters, poison, endless

    def list(self, caller: Caller, filters: Any) -> Sequence[str]:
        """List as usual; for the organisation `endless`, letters that do not exist."""
        if caller.organisation == self._endless:
            return [str(uuid4()) for _ in range(_PAGE)]
        return self._letters.list(caller, filters)

    def overview(self, caller: Caller, letter_id: str) -> Any:
        """Return it as usual; raise for poisonous letters."""
        if letter_id in self._poison:
            raise StorageFailure
        return self._letters.overview(caller, letter_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._letters, name)


def make_trouble(altinn: FakeAltinn, scene: Scene, trouble: str) -> None:
    """Make this trouble, if any, from now on; the last organisation of the scene has the list."""
    if not trouble:
        return
    troubled = (
        _Troubled(altinn.letters, poison=[altinn.publish(_letter(scene.party))])
        if trouble == POISON
        else _Troubled(altinn.letters, endless=_last_party(scene))
    )
    altinn.correspondence.letters = troubled  # type: ignore[assignment]  # it has what is used


def _letter(party: str) -> PretendLetter:
    return PretendLetter(
        party=party,
        resource=next(iter(sandbox_resources(confidential=False).values())),
        title="Vedtak",
        requested_at=datetime.now(UTC),
    )


def _last_party(scene: Scene) -> str:
    line = next(
        line
        for line in scene.configuration.read_text(encoding="utf-8").splitlines()
        if line.startswith("parties = ")
    )
    return str(json.loads(line.partition("=")[2])[-1])
