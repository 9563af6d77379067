"""The organisations that were found for a mailbox."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mailbox_parties",
        sa.Column("mailbox", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("found_at", UTCDateTime(), nullable=False),
        sa.Column("gone_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("mailbox", "party"),
    )
