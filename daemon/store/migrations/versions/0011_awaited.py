"""Letters that wait for a person, and who has been told of them."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0011"
down_revision = "0010"

_STEPS = ("deputy", "manager", "last-resort", "keepers", "rejected")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "awaited",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column("begun_at", UTCDateTime(), nullable=False),
        sa.Column("within", sa.String(), nullable=False),
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("rejected_at", UTCDateTime(), nullable=True),
        sa.Column("look_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("ix_awaited_look_at", "awaited", ["look_at"], unique=False)
    op.create_table(
        "reminders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("decision", sa.Integer(), nullable=False),
        sa.Column(
            "step",
            sa.Enum(*_STEPS, name="ladderstep", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
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
    op.create_index("ix_reminders_mail", "reminders", ["mail"], unique=False)
    op.create_index("ix_reminders_try_at", "reminders", ["try_at"], unique=False)
    op.create_index("reminders_by_message", "reminders", ["message_id", "decision"], unique=False)
