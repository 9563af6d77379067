"""What a mail server's refusal means: temporary or permanent, for whom, and who can fix it.

The server's own words are never repeated, because they may quote the mail. Source of the numbers:
RFC 5321, RFC 4954.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

ACCEPTED = range(200, 300)
_REFUSED = range(500, 600)
NEEDS_LOGIN = frozenset({530})
_ACCESS = NEEDS_LOGIN | {534, 535, 538}
"""The log-in is refused, not the letter. The operator fixes that, and the letter waits."""
_NO_ROOM = 552
_TOO_BIG = frozenset({523, _NO_ROOM})


class Stage(StrEnum):
    """What the server refused, in the words of an error text."""

    SENDER = "the sender, and so the mail to"
    RECIPIENT = "the recipient"
    MAIL = "the mail to"


@dataclass(frozen=True)
class SmtpRefusal:
    """One refusal of the mail for one recipient."""

    code: int
    stage: Stage

    @property
    def permanent(self) -> bool:
        """Whether trying again cannot help.

        For a recipient, 552 only means that there are too many at a time, or that a mailbox is
        full.
        """
        passing = self.code in _ACCESS or (self.stage is Stage.RECIPIENT and self.code == _NO_ROOM)
        return self.code in _REFUSED and not passing

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if self.code in _ACCESS:
            return "check security, username and password_file"
        if not self.permanent:
            return "it is tried again later"
        if self.stage is not Stage.RECIPIENT and self.code in _TOO_BIG:
            return "the mail is too big; lower max_attachment_bytes, and retry the delivery"
        remedy = {
            Stage.SENDER: "correct sender",
            Stage.RECIPIENT: "correct the address",
            Stage.MAIL: "check the server's log",
        }
        return f"{remedy[self.stage]}, and retry the delivery"


def describe(refusals: Mapping[str, SmtpRefusal]) -> str:
    """Return all refusals, by recipient, in one sentence, with remedies."""
    groups: dict[SmtpRefusal, list[str]] = {}
    for recipient, refusal in refusals.items():
        groups.setdefault(refusal, []).append(recipient)
    return "; ".join(
        f"refuses {refusal.stage} {', '.join(recipients)} (status {refusal.code}): {refusal.remedy}"
        for refusal, recipients in groups.items()
    )
