"""Retention: what was deleted, by which rule, and what must not be."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and the tables."""
    op.add_column("messages", sa.Column("body_deleted_at", UTCDateTime(), nullable=True))
    op.add_column("attachments", sa.Column("deleted_at", UTCDateTime(), nullable=True))
    op.create_table(
        "deletions",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column(
            "part",
            sa.Enum(
                "body", "attachments", "metadata", name="letterpart", native_enum=False, length=20
            ),
            nullable=False,
        ),
        sa.Column("deleted_at", UTCDateTime(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("what", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "part"),
    )
    op.create_table(
        "tombstones",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("letter", "notice", name="messagekind", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("mailbox", sa.String(), nullable=False),
        sa.Column("party", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("altinn2_id", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("tombstones_by_altinn2_id", "tombstones", ["altinn2_id"], unique=False)
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("begun_at", UTCDateTime(), nullable=False),
        sa.Column("begun_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_legal_holds_message_id", "legal_holds", ["message_id"], unique=False)
