"""What coverage lacks, from when to when, and when that was last compared."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0029"
down_revision = "0028"

_KINDS = ("right", "system-user", "service", "resource", "sender", "expiry")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "coverage_findings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(*_KINDS, name="findingkind", native_enum=False, length=20),
            nullable=False,
        ),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("mailbox", "party")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("subject", "name")),
        sa.Column("confidential", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("first_seen_at", UTCDateTime(), nullable=False),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "coverage_open",
        "coverage_findings",
        ["mailbox", "kind"],
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("coverage_ended", "coverage_findings", ["ended_at"])
    op.create_table(
        "coverage_looks",
        sa.Column("mailbox", sa.String(), nullable=False),
        sa.Column("compared_at", UTCDateTime(), nullable=False),
        sa.Column("registry_at", UTCDateTime(), nullable=True),
        sa.Column("senders_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("mailbox"),
    )
