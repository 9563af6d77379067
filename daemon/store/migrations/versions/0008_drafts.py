"""Edits of the routing table on the page: drafts, and what is being published."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables, and begin the history with the tables that were in force before."""
    _create_tables()
    op.execute(
        "INSERT INTO routing_changes (at, version, version_before, by, reason, source, counts) "
        "SELECT in_force_since, version, lag(version) OVER (ORDER BY in_force_since), '', '', "
        "'file', '{}' FROM routing_versions "
        "WHERE NOT EXISTS (SELECT 1 FROM routing_changes) ORDER BY in_force_since"
    )


def _create_tables() -> None:
    op.create_table(
        "drafts",
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("saved_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "publications",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("version_before", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column(
            "source",
            sa.Enum(
                "page",
                "file",
                "command",
                "rollback",
                name="changesource",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "begun", "done", "dropped", name="publicationstate", native_enum=False, length=20
            ),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_publications_version", "publications", ["version"], unique=False)
