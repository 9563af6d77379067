"""Nodes, and the duties that one of them has at a time."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "nodes",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("name", "incarnation", "host")),
        sa.Column("pid", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("version", "lock")),
        *(sa.Column(name, UTCDateTime(), nullable=False) for name in ("started_at", "seen_at")),
        *(sa.Column(name, UTCDateTime(), nullable=True) for name in ("stopped_at", "fenced_at")),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "duties",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("name", "node", "incarnation")),
        sa.Column("since", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
