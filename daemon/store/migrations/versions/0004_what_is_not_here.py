"""What is not here: since when a channel, a letter or a mark has failed.

Also what was accepted as missing, and when channels were compared.
"""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns and the indexes.

    What fails now has failed since the earliest time that is known of it.
    """
    for column in ("failing_since", "retired_at", "compared_at"):
        op.add_column("bookmarks", sa.Column(column, UTCDateTime(), nullable=True))
    op.add_column("sightings", sa.Column("failing_since", UTCDateTime(), nullable=True))
    op.add_column("marks", sa.Column("refused_since", UTCDateTime(), nullable=True))
    op.add_column("attachments", sa.Column("accepted_at", UTCDateTime(), nullable=True))
    missing = sa.text("state NOT IN ('present', 'deleted')")
    op.create_index(
        "attachments_not_had",
        "attachments",
        ["message_id"],
        unique=False,
        sqlite_where=missing,
    )
    op.create_index("sightings_by_state", "sightings", ["state"], unique=False)
    op.execute("UPDATE sightings SET failing_since = first_seen_at WHERE state = 'failing'")
    op.execute(
        "UPDATE marks SET refused_since = due_at WHERE state <> 'done' AND last_error IS NOT NULL"
    )
