"""What coverage lacks: rights, services, resources and senders from which letters may not come."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from daemon.core.columns import enum_column

WHOLE_STORE = ""
"""What `CoverageLook` has in place of a mailbox for what is of none, or of all."""
FindingKey = tuple[str, str, str, str, bool]
"""Of what kind a finding is, its mailbox, organisation and subject, and whether it is secret."""


class FindingKind(StrEnum):
    """What may keep letters away."""

    RIGHT = "right"  # a channel that could be read, and is refused now
    SYSTEM_USER = "system-user"  # the organisation's system user or delegation has ended
    SERVICE = "service"  # one of the ten services that cannot be read
    RESOURCE = "resource"  # it carries letters, and is not in the configuration
    SENDER = "sender"  # it was regular, and has fallen silent
    EXPIRY = "expiry"  # a key or certificate that ends


class CoverageFinding(SQLModel, table=True):
    """One thing that may keep letters away, from `first_seen_at` to `ended_at`.

    What comes back after it ended is a new row.
    """

    __tablename__ = "coverage_findings"
    __table_args__ = (
        Index("coverage_open", "mailbox", "kind", sqlite_where=text("ended_at IS NULL")),
        Index("coverage_ended", "ended_at"),
    )

    id: int | None = Field(default=None, primary_key=True)
    kind: FindingKind = Field(sa_type=enum_column(FindingKind))
    mailbox: str = Field(description="empty if it is of no mailbox")
    party: str = Field(default="", description="organisation number; empty if it is of all")
    subject: str = Field(
        default="",
        description=(
            "service and resource, or the sender's organisation number, or `key`, or "
            "`certificate` and the destination; empty if it is all that the organisation has"
        ),
    )
    name: str = Field(default="", description="what the sender calls itself")
    confidential: bool = Field(
        default=False, description="whether it is about confidential post, which few may know of"
    )
    reason: str = Field(default="", description="what is known of it, as of `first_seen_at`")
    first_seen_at: datetime
    since: datetime = Field(
        description="since when it is so; of what expires, when; of a sender, its last day"
    )
    ended_at: datetime | None = Field(default=None, description="None while it is so")

    @property
    def key(self) -> FindingKey:
        """Return what it is about: of two open ones with one key there is only one."""
        return self.kind, self.mailbox, self.party, self.subject, self.confidential


class CoverageLook(SQLModel, table=True):
    """When a mailbox was last compared; the row without a name is of the whole store."""

    __tablename__ = "coverage_looks"

    mailbox: str = Field(primary_key=True)
    compared_at: datetime
    registry_at: datetime | None = Field(
        default=None, description="when the registry last said which resources there are"
    )
    senders_at: datetime | None = Field(
        default=None, description="when the senders of all mailboxes were last looked at"
    )
