"""Alerts keep what they were about when someone was notified, so that more of it is noticed.

Alerts that an earlier version kept for each organisation are forgotten: there is one for each cause
now, and their end would be notified although the problem goes on. A count of 0 is of an alert that
an earlier version noted, of which no more is known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns, and delete the alerts."""
    op.add_column("alerts", sa.Column("incident", sa.String(), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("parties", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("alerts", sa.Column("count", sa.Integer(), nullable=False, server_default="0"))
    op.execute("DELETE FROM alerts WHERE kind IN ('rights', 'unread', 'unfetched', 'failing')")
