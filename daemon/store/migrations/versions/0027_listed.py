"""When each letter was first listed."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the column, which is empty for what is here already."""
    op.add_column("messages", sa.Column("listed_at", UTCDateTime(), nullable=True))
