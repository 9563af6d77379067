"""Canaries: letters that are none, and what became of each."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0028"
down_revision = "0027"

_STEPS = ("routing", "store", "delivery", "pickup", "through")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "canaries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("destination", sa.String(), nullable=False),
        sa.Column("begun_at", UTCDateTime(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column(
            "step",
            sa.Enum(*_STEPS, name="canarystep", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("try_at", UTCDateTime(), nullable=False),
        sa.Column("give_up_at", UTCDateTime(), nullable=False),
        sa.Column("delivered_at", UTCDateTime(), nullable=True),
        sa.Column("taken_at", UTCDateTime(), nullable=True),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("receipt", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=True),
        sa.Column("problem", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "canaries_by_destination", "canaries", ["destination", "begun_at"], unique=False
    )
    op.create_index(
        "canaries_open",
        "canaries",
        ["destination"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
    )
