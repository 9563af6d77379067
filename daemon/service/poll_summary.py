"""What one round of the service did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.core.errors import Fault
from daemon.core.model import DeliveryState, Outcome
from daemon.intake.poll import IntakeSummary


@dataclass(kw_only=True)
class PollSummary:
    """What one round did. `unfinished` counts the deliveries that are left, by state."""

    intake: list[IntakeSummary] = field(default_factory=list)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    marks_failed: int = 0
    unfinished: Mapping[DeliveryState, int] = field(default_factory=dict)
    ignored: Sequence[Fault] = ()
    """Faults of an edit that was ignored."""

    @property
    def unreachable(self) -> bool:
        """Whether no mailbox at all could be reached."""
        return bool(self.intake) and all(each.unreachable for each in self.intake)

    @property
    def problems(self) -> list[str]:
        """Everything that went wrong on the mailboxes' side."""
        return [problem for each in self.intake for problem in each.problems]

    def total(self, number: Callable[[IntakeSummary], int]) -> int:
        """Return a number summed over all mailboxes."""
        return sum(number(each) for each in self.intake)
