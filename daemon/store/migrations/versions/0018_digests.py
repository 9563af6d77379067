"""Digests: who is told at a time of day what waits for them."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "digest_rounds",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("day", "at"),
    )
    op.create_table(
        "digests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("letters", sa.JSON(), nullable=False),
        sa.Column("planned_at", UTCDateTime(), nullable=False),
        sa.Column("told_at", UTCDateTime(), nullable=True),
        sa.Column("try_at", UTCDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_digests_day", "digests", ["day"], unique=False)
    op.create_index("ix_digests_try_at", "digests", ["try_at"], unique=False)
