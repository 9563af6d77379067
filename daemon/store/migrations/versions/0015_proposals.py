"""Proposals for routes that are not to be made again, and an index of what people moved."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "dismissed_proposals",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(
        "decisions_by_operators",
        "decisions",
        ["decided_at"],
        unique=False,
        sqlite_where=sa.text("route = '(operator)' AND number > 1"),
    )
