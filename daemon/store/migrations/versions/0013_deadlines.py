"""Deadlines: what persons said of them, what routes compute, warnings, and calendars."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Create the tables, and what finds deadlines without reading every letter."""
    _create_tables()
    op.add_column("decisions", sa.Column("respond_by", UTCDateTime(), nullable=True))
    for name, table, column in (
        ("decisions_by_respond_by", "decisions", "respond_by"),
        ("messages_by_due", "messages", "due_at"),
    ):
        has_one = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, table, [column], unique=False, sqlite_where=has_one)


def _create_tables() -> None:
    states = ("confirmed", "dropped", "handled")
    op.create_table(
        "deadlines",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*states, name="deadlinestate", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("message_id", "number"),
    )
    op.create_index("deadlines_by_due", "deadlines", ["due_at"], unique=False)
    op.create_table(
        "deadline_warnings",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("mail", sa.Uuid(), nullable=False),
        sa.Column("planned_at", UTCDateTime(), nullable=False),
        sa.Column("told_at", UTCDateTime(), nullable=True),
        sa.Column("try_at", UTCDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("message_id", "mail", "try_at"):
        name = f"ix_deadline_warnings_{column}"
        op.create_index(name, "deadline_warnings", [column], unique=False)
    op.create_table(
        "calendars",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=True),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("titles", sa.Boolean(), nullable=False),
        sa.Column("made_at", UTCDateTime(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.name"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_calendars_user", "calendars", ["user"], unique=False)
