"""Confidential letters are found by an index, which has no other letter."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "messages_confidential",
        "messages",
        ["fetched_at"],
        unique=False,
        sqlite_where=sa.text("confidential"),
    )
