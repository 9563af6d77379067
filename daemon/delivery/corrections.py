"""What a dispatch needs to know of corrections of this machine's clock."""

from __future__ import annotations

from typing import Protocol


class CorrectsRecords(Protocol):
    """Corrects recorded times after a correction of the clock."""

    def apply(self) -> None:
        """Correct what was recorded at a time that has been corrected since. Called often."""

    def stretch(self) -> int | None:
        """Return the number of the time since the last correction.

        None while no delivery may be given up.
        """


class NeverCorrected:
    """For a clock that is never corrected."""

    def apply(self) -> None:
        """Do nothing."""

    def stretch(self) -> int:
        """Return the only time there is."""
        return 0
