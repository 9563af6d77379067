"""The server's process for each node's heartbeats, which tells whether their connection ended."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
expands = True


def upgrade() -> None:
    """Add the column."""
    op.add_column("nodes", sa.Column("backend", sa.Integer(), server_default="0", nullable=False))
