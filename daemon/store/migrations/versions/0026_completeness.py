"""What each comparison of a channel with its source has found."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0026"
down_revision = "0022"

_TEXTS = ("mailbox", "party", "service", "resource")
_NUMBERS = (
    *("source", "here", "deleted", "waiting", "gone", "duplicate", "older"),
    *("failing", "unexplained", "unexamined", "unlisted"),
)


def upgrade() -> None:
    """Create the table, with indices for what is newest and for what is unexplained."""
    op.create_table(
        "completeness",
        sa.Column("id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _TEXTS),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("tried_at", UTCDateTime(), nullable=False),
        sa.Column("checked_at", UTCDateTime(), nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _NUMBERS),
        sa.Column("problem", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "completeness_newest", "completeness", list(_TEXTS), sqlite_where=sa.text("newest = 1")
    )
    op.create_index(
        "completeness_unexplained",
        "completeness",
        ["mailbox"],
        sqlite_where=sa.text("newest = 1 AND unexplained > 0"),
    )
    op.create_index("completeness_by_time", "completeness", ["newest", "tried_at"])
