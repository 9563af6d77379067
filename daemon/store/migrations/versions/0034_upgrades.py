"""Which version made the tables."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
expands = True


def upgrade() -> None:
    """Create the table. The store adds a row to it after each upgrade."""
    op.create_table(
        "upgrades",
        sa.Column("tables", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tables"),
    )
