"""Who may do what on the page: rights are a set, and each is given for some letters or for all.

Pure. A role is a name for several rights; a user may have any number of roles, each limited to
recipients or to organisations. No role brings `CONFIDENTIAL`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Right(StrEnum):
    """What can be allowed."""

    LIST = "list"  # lists and metadata of letters
    OPEN = "open"  # a letter's text and attachments
    RECEIVE = "receive"  # acknowledge, reject, comment, for one's own recipients
    DRAFT = "draft"  # try a routing table out
    PUBLISH = "publish"  # activate a routing table, route a letter elsewhere
    OPERATE = "operate"  # retry, hold, release, resend; see the service
    ADMINISTER = "administer"  # users, sessions, the log of events
    CONFIDENTIAL = "confidential"  # open confidential letters that a route appoints one for


class Role(StrEnum):
    """Names for several rights, as the command line has them."""

    READER = "reader"
    RECEIVER = "receiver"
    ROUTER = "router"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLES: Mapping[Role, frozenset[Right]] = {
    Role.READER: frozenset({Right.LIST, Right.OPEN}),
    Role.RECEIVER: frozenset({Right.LIST, Right.OPEN, Right.RECEIVE}),
    Role.ROUTER: frozenset({Right.LIST, Right.OPEN, Right.DRAFT, Right.PUBLISH}),
    Role.OPERATOR: frozenset({Right.LIST, Right.OPERATE}),
    Role.ADMIN: frozenset({Right.ADMINISTER}),
}
"""The rights that each role brings. Who runs the machine does not read letters by that."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Rights for the letters of some recipients and organisations; of all, where it names none."""

    rights: frozenset[Right]
    recipients: frozenset[str] = frozenset()
    parties: frozenset[str] = frozenset()

    @property
    def covers_all(self) -> bool:
        """Whether it leaves no letter out."""
        return not (self.parties or self.recipients)

    def covers(self, party: str, recipients: Collection[str]) -> bool:
        """Whether a letter for this organisation and these recipients is within the limits."""
        return (not self.parties or party in self.parties) and (
            not self.recipients or not self.recipients.isdisjoint(recipients)
        )


@dataclass(frozen=True, kw_only=True)
class UserAccess:
    """A user who has logged in, and what they may do."""

    name: str
    grants: Sequence[Grant] = ()

    def may(self, right: Right) -> bool:
        """Whether the right is given, for some letters at least."""
        return any(right in each.rights for each in self.grants)

    def may_with(self, right: Right, party: str, recipients: Collection[str]) -> bool:
        """Whether the right is given for a letter to this organisation and these recipients."""
        return any(right in each.rights and each.covers(party, recipients) for each in self.grants)

    def may_with_all(self, right: Right) -> bool:
        """Whether the right is given for all letters."""
        return any(right in each.rights and each.covers_all for each in self.grants)

    def limits(self, right: Right) -> Sequence[Grant]:
        """Return the grants with the right. A letter is within it if one of them covers it."""
        return [each for each in self.grants if right in each.rights]
