"""What the organisation that a letter is for was called when the letter came."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"


def upgrade() -> None:
    """Add the column; earlier letters have no name."""
    op.add_column(
        "messages", sa.Column("party_name", sa.String(), nullable=False, server_default="")
    )
