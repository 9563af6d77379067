"""The index of confidential letters has all letters of confidential post, whatever their mark."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the index anew."""
    op.drop_index("messages_confidential", table_name="messages")
    op.create_index(
        "messages_confidential",
        "messages",
        ["fetched_at"],
        unique=False,
        sqlite_where=sa.text("confidential OR service = '5504/1'"),
    )
