"""What nodes share: turns of organisations, pauses of servers, and log-ins that were begun."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "polls",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("mailbox", "party")),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("busy", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("fence", "parties")),
        sa.PrimaryKeyConstraint("mailbox", "party"),
    )
    op.create_index("polls_due", "polls", ["mailbox", "due_at"])
    op.create_table(
        "host_pauses",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("host", "client")),
        sa.Column("closed_until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("host", "client"),
    )
    op.create_table(
        "pending_logins",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ends_at", UTCDateTime(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
