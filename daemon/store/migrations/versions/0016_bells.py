"""How far each mailbox's bell was asked, and what it has found."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "bells",
        sa.Column("mailbox", sa.String(), nullable=False),
        sa.Column("asked_until", UTCDateTime(), nullable=True),
        sa.Column("rang_at", UTCDateTime(), nullable=True),
        sa.Column("lost_since", UTCDateTime(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("parties_heard", sa.Integer(), nullable=False),
        sa.Column("parties_listed", sa.Integer(), nullable=False),
        sa.Column("found_by_bell", sa.Integer(), nullable=False),
        sa.Column("found_by_overlap", sa.Integer(), nullable=False),
        sa.Column("found_by_walk", sa.Integer(), nullable=False),
        sa.Column("found_by_list", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("mailbox"),
    )
