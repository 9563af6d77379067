"""Routing tables that a second person approves, and an index of all confidential letters.

Letters of confidential post are among them, whatever their mark.
"""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0014"
down_revision = "0013"

_SOURCES = ("page", "file", "command", "rollback")
_STATES = ("waiting", "approved", "declined", "withdrawn")


def upgrade() -> None:
    """Create the table, and add who approved; renew the index."""
    _create_approvals()
    op.create_index("approvals_by_state", "approvals", ["state"], unique=False)
    op.add_column("publications", sa.Column("approved_by", sa.String(), nullable=True))
    op.add_column("publications", sa.Column("approval", sa.Integer(), nullable=True))
    op.add_column("routing_changes", sa.Column("approved_by", sa.String(), nullable=True))
    op.drop_index("messages_confidential", table_name="messages")
    op.create_index(
        "messages_confidential",
        "messages",
        ["fetched_at"],
        unique=False,
        sqlite_where=sa.text("confidential OR service = '5504/1'"),
    )


def _create_approvals() -> None:
    sources = sa.Enum(*_SOURCES, name="changesource", native_enum=False, length=20)
    states = sa.Enum(*_STATES, name="approvalstate", native_enum=False, length=20)
    op.create_table(
        "approvals",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("version_before", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("source", sources, nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("state", states, nullable=False),
        sa.Column("decided_at", UTCDateTime(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("answer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
